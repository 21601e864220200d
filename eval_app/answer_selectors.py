"""Reads on the way down from a run to one answer: its users, its samples, and one question with all answers to it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, FloatField, Func, IntegerField, OuterRef, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Left

from eval_app.methods import parse_method
from eval_app.models import Experiment, ExperimentRun, Prediction, Question, Run, UserImprovement
from eval_app.workspace_selectors import improvements_of, predictions_of
from retrieval_app.chosen import Chosen, chosen_of, pools_of_selectors
from users_app.models import Document, EndUser, Workspace

CHARACTERS_OF_A_LIST = 300
"""How much of a text is read for a list; a page of one sample has all of it."""

CHARACTERS_OF_AN_INPUT = 1_000
"""The same of a question's input, which begins with up to some hundred characters that all inputs of its task share."""

SEARCHED_AT_ONCE = 5_000
"""How many answers of a run are looked at for those of a score, which no index knows."""

COLUMNS_AT_MOST = 200


def baselines_of(*, workspace: Workspace, run: Run) -> list[Run]:
    """The runs against which `run`'s users were compared, the newest first. There are as many as experiments used."""
    compared = UserImprovement.objects.filter(run=run, baseline=OuterRef("pk"))
    found = Run.objects.filter(Exists(compared), workspace=workspace, split=run.split_id)
    return list(found.order_by("-pk")[:20])


def users_compared(
    *, workspace: Workspace, run: Run, baseline: Run, direction: int | None = None
) -> QuerySet[UserImprovement]:
    """What `run` changed for each end user against `baseline`; of one direction, or all."""
    found = improvements_of(workspace=workspace, run=run, direction=direction).filter(baseline=baseline)
    if direction is None:
        return found
    # As a range too, which the index by gain begins and ends with.
    return found.filter(**{{-1: "gain__lt", 0: "gain", 1: "gain__gt"}[direction]: 0})


def improvements_of_person(*, workspace: Workspace, end_user: EndUser) -> QuerySet[UserImprovement]:
    """What any run changed for one end user, each with its run and split."""
    found = UserImprovement.objects.filter(end_user=end_user, end_user__workspace=workspace, run__workspace=workspace)
    return found.select_related("run__split__dataset")


def columns_with(*, workspace: Workspace, run: Run) -> QuerySet[ExperimentRun]:
    """The columns in which `run` stands, those of the newest experiments first."""
    found = ExperimentRun.objects.filter(run=run, experiment__workspace=workspace)
    return found.select_related("experiment").defer("experiment__report").order_by("-experiment_id", "pk")


@dataclass(frozen=True, kw_only=True)
class ScoreRange:
    """Scores of one metric from `least` to `most`, each None where there is no end."""

    metric: str
    least: float | None = None
    most: float | None = None

    @property
    def is_everything(self) -> bool:
        return self.least is None and self.most is None


def listed_answers(*, workspace: Workspace, run: Run, end_user: EndUser | None = None) -> QuerySet[Prediction]:
    """What `run` answered, to one end user's questions or to all; long texts come as their beginnings.

    The beginnings are called `shown_input`, `shown_gold` and `shown_output`.
    """
    found = predictions_of(workspace=workspace, run=run)
    if end_user is not None:
        found = found.filter(end_user=end_user)
    return found.defer(
        "question__input",
        "question__document_ids",
        "question__entry_ids",
        "question__oracle_answer",
        "question__gold",
        "prompt",
        "output",
        "retrieved_document_ids",
        "retrieved_scores",
    ).annotate(
        shown_input=Left("question__input", CHARACTERS_OF_AN_INPUT),
        shown_gold=Left("question__gold", CHARACTERS_OF_A_LIST),
        shown_output=Left("output", CHARACTERS_OF_A_LIST),
    )


@dataclass(frozen=True)
class AnswersPage:
    """Some answers in the order of their questions; `after` is where to go on, None where these are the last.

    `searched_all` is False where more have to be searched for those of a score.
    """

    answers: list[Prediction]
    after: int | None
    searched_all: bool = True


def answers_page(
    answers: QuerySet[Prediction], *, scores: ScoreRange, after: int | None, size: int = 50
) -> AnswersPage:
    """The answers to the questions behind number `after`, at most `size` of them.

    Of those of a score, so many as there are among the next `SEARCHED_AT_ONCE`: however large a run is, a page is read
    in the same time.
    """
    # A question's number follows its place in the file.
    answers = answers.order_by("question_id")
    if after is not None:
        answers = answers.filter(question_id__gt=after)
    edge: int | None = None
    if not scores.is_everything:
        numbers = answers.values_list("question_id", flat=True)
        edge = next(iter(numbers[SEARCHED_AT_ONCE - 1 : SEARCHED_AT_ONCE]), None)
        answers = _of_score(answers if edge is None else answers.filter(question_id__lte=edge), scores)
    found = list(answers[: size + 1])
    if len(found) > size:
        return AnswersPage(found[:size], after=found[size - 1].question_id)
    return AnswersPage(found, after=edge, searched_all=edge is None)


def _of_score(answers: QuerySet[Prediction], scores: ScoreRange) -> QuerySet[Prediction]:
    value = Cast(KeyTextTransform(scores.metric, "scores"), FloatField())
    answers = answers.annotate(value=value)
    if scores.least is not None:
        answers = answers.filter(value__gte=scores.least)
    if scores.most is not None:
        answers = answers.filter(value__lte=scores.most)
    return answers


def experiment_by_id(*, workspace: Workspace, experiment_id: int) -> Experiment | None:
    """An experiment of the workspace without its report; None where there is none of that number."""
    found = Experiment.objects.filter(workspace=workspace).select_related("dataset").defer("report")
    return found.filter(pk=experiment_id).first()


def question_of_experiment(*, workspace: Workspace, experiment: Experiment, question_id: int) -> Question | None:
    """A question that the experiment asks, with its `profile_size`; None where there is none of that number."""
    found = (
        Question.objects.filter(
            pk=question_id,
            split__in=list(experiment.configuration["splits"].values()),
            split__dataset__workspace=workspace,
            end_user__workspace=workspace,
        )
        .select_related("split__dataset", "end_user")
        .defer("document_ids", "entry_ids")
        .annotate(profile_size=Func(F("document_ids"), function="cardinality", output_field=IntegerField()))
    )
    return found.first()


@dataclass(frozen=True)
class ColumnAnswer:
    """A column of an experiment on the question's task, and what its run answered; None where it did not."""

    column: ExperimentRun
    prediction: Prediction | None

    @property
    def title(self) -> str:
        return parse_method(self.column.method).title


def answers_to(*, workspace: Workspace, experiment: Experiment, question: Question) -> list[ColumnAnswer]:
    """What each method of the experiment answered to the question, in the order of its table."""
    found_columns = ExperimentRun.objects.filter(
        experiment=experiment, experiment__workspace=workspace, task=question.split.task
    )
    columns = list(found_columns.select_related("run").order_by("pk")[:COLUMNS_AT_MOST])
    predictions = Prediction.objects.filter(
        question=question,
        run__in={column.run_id for column in columns if column.run_id is not None},
        run__workspace=workspace,
        end_user=question.end_user_id,
    ).select_related("adapter", "swapped_with")
    # What is long of an adapter is not shown here.
    found = predictions.defer(
        "adapter__document_ids", "adapter__document_digests", "adapter__loss_curve", "adapter__versions"
    )
    by_run = {prediction.run_id: prediction for prediction in found}
    return [ColumnAnswer(column, by_run.get(column.run_id) if column.run_id else None) for column in columns]


@dataclass(frozen=True)
class RetrievedText:
    """A document that a prompt quotes, and how it scored; `fields` is None where it was deleted since."""

    document_id: int
    score: float
    fields: Mapping[str, Any] | None


def retrieved_texts(*, workspace: Workspace, predictions: Collection[Prediction]) -> dict[int, list[RetrievedText]]:
    """By prediction, the documents that it was made with, the best first, those that were deleted since included.

    None reaches through the wall: what is not of the user whose question it is or, in a control, of the one with whose
    profile it was answered, counts as deleted.
    """
    wanted = {document_id for one in predictions for document_id in one.retrieved_document_ids}
    owners = {_owner(one) for one in predictions}
    stored = Document.objects.filter(pk__in=wanted, end_user__in=owners, end_user__workspace=workspace)
    fields = {(one.end_user_id, one.pk): one.fields for one in stored.only("end_user_id", "fields")}
    return {
        one.pk: [
            RetrievedText(document_id, score, fields.get((_owner(one), document_id)))
            for document_id, score in zip(one.retrieved_document_ids, one.retrieved_scores, strict=True)
        ]
        for one in predictions
    }


def chosen_in(*, workspace: Workspace, predictions: Collection[Prediction], runs: Collection[Run]) -> dict[int, Chosen]:
    """By prediction, what the selector of its run chose; `runs` are those of the predictions.

    One statement where any of the runs has a selector, else none.
    """
    selectors = {run.pk: run.selector_id for run in runs if run.selector_id is not None}
    pools = pools_of_selectors(workspace=workspace, selector_ids=set(selectors.values()))
    found = {
        one.pk: chosen_of(
            selector_id=selectors.get(one.run_id),
            retriever=one.chosen_retriever,
            scores=one.candidate_scores,
            pools=pools,
        )
        for one in predictions
    }
    return {pk: chosen for pk, chosen in found.items() if chosen is not None}


def _owner(prediction: Prediction) -> int:
    return prediction.swapped_with_id or prediction.end_user_id


@dataclass(frozen=True)
class Neighbours:
    """The numbers of the questions before and behind one, None at either end."""

    previous: int | None
    following: int | None


def neighbours(*, workspace: Workspace, run: Run, question: Question, end_user: EndUser | None = None) -> Neighbours:
    """The questions around one, of those that `run` answered; of one end user's where one is given."""
    answered = Prediction.objects.filter(run=run, run__workspace=workspace)
    if end_user is not None:
        answered = answered.filter(end_user=end_user)
    numbers = answered.values_list("question_id", flat=True)
    return Neighbours(
        previous=numbers.filter(question_id__lt=question.pk).order_by("-question_id").first(),
        following=numbers.filter(question_id__gt=question.pk).order_by("question_id").first(),
    )
