"""What a selector learns from: what each member of its pool came to on every question, read from ordinary runs.

Only of end users whose data it may learn from, which is looked at when the samples are read, and again under lock when
the model is recorded.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eval_app.models import DatasetSplit, ExperimentRun, ModelTraining, Prediction, Question, Run
from eval_app.selector_runs import method_of_member
from eval_app.selectors import USERS_A_QUERY, first_end_users
from eval_app.standing_feedback import INCOMPLETE, NO_CONSENT, people_stand, rows_stand, some_of
from eval_app.training_kinds import TrainingFailed
from lamp.catalogue import get_task
from lamp.utility import utility
from retrieval_app.pools import Member, read_pool
from users_app.models import Workspace
from users_app.shared_training import may_learn_from


@dataclass(frozen=True)
class Candidate:
    """What one member of the pool came to on a question; `utility` as `lamp.utility` has it, in [0, 1]."""

    prompt: str
    output: str
    utility: float


@dataclass(frozen=True)
class FeedbackSample:
    """One question with its candidates in the pool's order."""

    task: str
    question: str
    end_user_id: int
    candidates: tuple[Candidate, ...]


class SelectorFeedback:
    """The feedback of a training, read once: first what it yields of a split, then what it knows of all it yielded.

    Raises `TrainingFailed` where a run that should stand does not.
    """

    def __init__(self, training: ModelTraining) -> None:
        self._training = training
        self._workspace: Workspace = training.workspace
        self._pool = read_pool(training.pool)
        self._digest = hashlib.sha256()
        self.left_out: dict[str, Counter[str]] = defaultdict(Counter)
        """By split, how many questions were left out, by reason: `NO_CONSENT`, `INCOMPLETE`."""
        self.end_user_ids: set[int] = set()
        """Who takes part."""
        self.prediction_ids: list[int] = []
        """The answers that it is made of."""

    @property
    def digest(self) -> str:
        """sha256 (hex) over everything that was yielded, in order."""
        return self._digest.hexdigest()

    def samples(self, split: str) -> Iterator[FeedbackSample]:
        """The questions of `split`, task by task and user by user in the order of the files."""
        for task in self._training.tasks:
            runs = self._runs(task, split)
            users = first_end_users(split=runs[0].split, limit=self._training.user_limit)
            for some in some_of(users, USERS_A_QUERY):
                yield from self._of_users(task, split, runs, some)

    def _of_users(self, task: str, split: str, runs: Sequence[Run], users: Sequence[int]) -> Iterator[FeedbackSample]:
        allowed = set(may_learn_from(workspace=self._workspace).filter(pk__in=users).values_list("pk", flat=True))
        questions = Question.objects.filter(
            split=runs[0].split_id, split__dataset__workspace=self._workspace, end_user__in=users
        )
        self.left_out[split][NO_CONSENT] += questions.exclude(end_user__in=allowed).count()
        if not allowed:
            return
        own = questions.filter(end_user__in=allowed).only("pk", "end_user_id", "position", "external_id", "gold")
        answers = self._answers(runs, allowed)
        order = {end_user_id: at for at, end_user_id in enumerate(users)}
        for question in sorted(own, key=lambda one: (order[one.end_user_id], one.position)):
            given = [answers.get((run.pk, question.pk)) for run in runs]
            # An erased document has emptied the prompts that quoted it.
            if question.gold is None or not all(answer is not None and answer.prompt for answer in given):
                self.left_out[split][INCOMPLETE] += 1
                continue
            yield self._taken(task, split, question, [answer for answer in given if answer is not None])

    def _answers(self, runs: Sequence[Run], users: Collection[int]) -> Mapping[tuple[int, int], Prediction]:
        found = Prediction.objects.filter(
            run__in=runs, run__workspace=self._workspace, end_user__in=users, swapped_with__isnull=True
        ).only("pk", "run_id", "question_id", "prompt", "output")
        return {(answer.run_id, answer.question_id): answer for answer in found}

    def _taken(self, task: str, split: str, question: Question, answers: Sequence[Prediction]) -> FeedbackSample:
        found = get_task(task)
        candidates = tuple(
            Candidate(
                prompt=answer.prompt or "",
                output=answer.output,
                utility=utility(found, output=answer.output, gold=question.gold or ""),
            )
            for answer in answers
        )
        self.end_user_ids.add(question.end_user_id)
        self.prediction_ids += [answer.pk for answer in answers]
        line = [
            split,
            task,
            question.external_id,
            [
                [member.retriever, candidate.prompt, candidate.output, candidate.utility]
                for member, candidate in zip(self._pool, candidates, strict=True)
            ],
        ]
        self._digest.update(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        return FeedbackSample(task, question.external_id, question.end_user_id, candidates)

    def _runs(self, task: str, split: str) -> list[Run]:
        """The run of each member of the pool, in its order."""
        training = self._training
        on_train = split == DatasetSplit.Split.TRAIN
        experiment_id = training.train_experiment_id if on_train else training.dev_experiment_id
        columns = ExperimentRun.objects.filter(
            experiment=experiment_id,
            experiment__workspace=self._workspace,
            task=task,
            run__workspace=self._workspace,
            run__state=Run.State.DONE,
        ).select_related("run__split", "run__encoder")
        by_method = {column.method: column.run for column in columns}
        runs: list[Run] = []
        for member in self._pool:
            run = by_method.get(method_of_member(member.retriever).key)
            if run is None:
                raise TrainingFailed(
                    f"The feedback of {member.retriever} on the {split} split of {task} is not there any more. "
                    "Resume this training to have it gathered again."
                )
            _require_same_encoder(member, run)
            runs.append(run)
        return runs


def feedback_stands(*, workspace: Workspace, end_user_ids: Collection[int], prediction_ids: Sequence[int]) -> bool:
    """Whether all these people are there and may be learned from, and all these answers are as they were read.

    An erasure takes away the answers of an end user, and empties prompts that quoted an erased document.
    """
    answers = Prediction.objects.filter(run__workspace=workspace).exclude(prompt="")
    return people_stand(workspace=workspace, end_user_ids=end_user_ids) and rows_stand(answers, prediction_ids)


def _require_same_encoder(member: Member, run: Run) -> None:
    used = (run.encoder.name, run.encoder.revision) if run.encoder is not None else None
    if member.encoder and used != (member.encoder, member.encoder_revision):
        raise TrainingFailed(
            f"The runs of {member.retriever} used another encoder than the pool names, as a newer one was trained "
            "meanwhile. Begin a new training."
        )
