"""What an encoder learns from (ROPG): of every question its first documents with their worth, as it was gathered.

Only of end users whose data it may learn from, which is looked at when the samples are read, and again under lock when
the model is recorded.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from eval_app.document_feedback import learnable_questions
from eval_app.encoder_trainings import settings_of, splits_of
from eval_app.models import DocumentFeedback, ModelTraining
from eval_app.selectors import split_questions
from eval_app.standing_feedback import INCOMPLETE, NO_CONSENT, people_stand, rows_stand, some_of
from lamp.queries import document_text, query_of
from users_app.models import Workspace
from users_app.selectors import documents_of
from users_app.shared_training import may_learn_from

_QUESTIONS_AT_ONCE: Final = 500


@dataclass(frozen=True)
class JudgedQuestion:
    """One sample: φ_q of a question, the texts of its first documents by the initial retriever, best first, and what
    each is worth in [0, 1] (`lamp.utility`).
    """

    end_user_id: int
    query: str
    documents: tuple[str, ...]
    utilities: tuple[float, ...]


class EncoderFeedback:
    """The feedback of a training, read once: first what it yields of a split, then what it knows of all it yielded.

    Raises `eval_app.training_kinds.TrainingFailed` where a split is gone.
    """

    def __init__(self, training: ModelTraining) -> None:
        self._training = training
        self._workspace: Workspace = training.workspace
        self._settings = settings_of(training)
        self._splits = splits_of(training)
        self._digest = hashlib.sha256()
        self.left_out: dict[str, Counter[str]] = defaultdict(Counter)
        """By split, how many questions were left out, by reason: `NO_CONSENT`, `INCOMPLETE`."""
        self.end_user_ids: set[int] = set()
        """Who takes part."""
        self.feedback_ids: list[int] = []
        """The rows that it is made of."""

    @property
    def digest(self) -> str:
        """sha256 (hex) over everything that was yielded, in order."""
        return self._digest.hexdigest()

    def samples(self, split: str) -> Iterator[JudgedQuestion]:
        """The questions of `split` in the file's order.

        Left out as incomplete: those without a gold or feedback, and those of which fewer than two documents were
        judged, as there is no better and worse among one.
        """
        of_split, limit = self._splits[split], self._training.user_limit
        questions = learnable_questions(workspace=self._workspace, split=of_split, user_limit=limit)
        taken = 0
        ids = list(questions.order_by("position").values_list("pk", flat=True))
        for some in some_of(ids, _QUESTIONS_AT_ONCE):
            for sample in self._judged(split, some):
                taken += 1
                yield sample
        asked = split_questions(split=of_split, user_limit=limit)
        no_consent = asked.exclude(end_user__in=may_learn_from(workspace=self._workspace)).count()
        self.left_out[split].update({NO_CONSENT: no_consent, INCOMPLETE: asked.count() - no_consent - taken})

    def _judged(self, split: str, question_ids: Sequence[int]) -> Iterator[JudgedQuestion]:
        task = self._settings.task
        rows = DocumentFeedback.objects.filter(question__in=question_ids, settings_digest=self._settings.digest)
        for row in rows.select_related("question", "end_user").order_by("question__position"):
            own = documents_of(workspace=self._workspace, end_user=row.end_user, task=task.key)
            found = own.in_bulk(row.document_ids)
            if len(row.document_ids) < 2 or len(found) < len(row.document_ids):
                continue
            sample = JudgedQuestion(
                end_user_id=row.end_user_id,
                query=query_of(task, row.question.input),
                documents=tuple(document_text(task, found[pk].fields) for pk in row.document_ids),
                utilities=tuple(row.utilities),
            )
            self.end_user_ids.add(row.end_user_id)
            self.feedback_ids.append(row.pk)
            line = [split, task.key, row.question.external_id, sample.query, sample.documents, sample.utilities]
            self._digest.update(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
            yield sample


def feedback_stands(*, workspace: Workspace, end_user_ids: Collection[int], feedback_ids: Sequence[int]) -> bool:
    """Whether all these people are there and may be learned from, and all this feedback is as it was read.

    An erasure takes away the feedback of an end user, and that of an erased document.
    """
    standing = DocumentFeedback.objects.filter(question__split__dataset__workspace=workspace)
    return people_stand(workspace=workspace, end_user_ids=end_user_ids) and rows_stand(standing, feedback_ids)
