"""What a run answered to each question, and what it changed for each user.

These hold users' ids and texts, so they need the scope by which users are exported and erased, not the one to look at
experiments.
"""

from collections.abc import Collection
from typing import Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.serializers import ChoiceField, Invalid, StringField
from eval_app.answer_selectors import chosen_in
from eval_app.api.runs import run_or_404
from eval_app.improvement import Direction
from eval_app.models import Prediction, Run, UserImprovement
from eval_app.workspace_selectors import Retrieved, improvements_of, predictions_of, retrieved_documents
from lamp.catalogue import get_task
from training_app.api.generation_answers import SelectionOut
from users_app.api.base import WorkspaceView
from users_app.models import Scope

_TAGS = ["Experiments"]
_INCLUDABLE: Final = ("prompt", "documents")
_DIRECTIONS: Final = {direction.name.lower(): direction for direction in Direction}
# Users of datasets are called by what they are of: "news/LaMP-4/17".
_USER_CHARACTERS_MOST: Final = 2_000


class RetrievedDocumentOut(serializers.Serializer):
    """A document whose text the prompt quotes."""

    id = serializers.CharField(
        source="entry_id", allow_null=True, help_text="In the question's profile; null in a control."
    )
    digest = serializers.CharField(help_text="Names the content, date included.")
    score = serializers.FloatField()


class PredictionOut(serializers.Serializer):
    """What was answered to one question."""

    question = serializers.JSONField(help_text="The question's id as its file has it: a string, or a number.")
    user = serializers.CharField(help_text="Whose question it is.")
    swapped_with = serializers.CharField(
        allow_null=True, help_text="In a control, the user with whose profile or adapter it was answered."
    )
    output = serializers.CharField()
    gold = serializers.CharField(allow_null=True, help_text="The right answer; null where it is not known.")
    scores = serializers.DictField(
        child=serializers.FloatField(), allow_null=True, help_text="By metric; null where it was not scored."
    )
    sequence_score = serializers.FloatField(
        allow_null=True, help_text="The mean log-probability of the output's tokens (nats), its end included."
    )
    adapter_id = serializers.IntegerField(allow_null=True)
    selection = SelectionOut(
        allow_null=True,
        help_text="Where the run's retriever chooses one of a pool for each input: rspg-pre, rspg-post.",
    )
    input_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    prompt = serializers.CharField(allow_null=True, required=False, help_text="With `include=prompt`.")
    documents = RetrievedDocumentOut(
        many=True, required=False, help_text="With `include=documents`, the best first; none that was erased since."
    )


class PredictionsQuery(PageQuery):
    user = StringField(max_length=_USER_CHARACTERS_MOST, required=False, help_text="Those to this user's questions.")
    include = StringField(
        required=False, max_length=100, help_text=f"To add to each, comma-separated: {', '.join(_INCLUDABLE)}."
    )

    def validate_include(self, value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
        if not set(names) <= set(_INCLUDABLE):
            raise Invalid("This names something that cannot be included.", remedy=f"Name {' or '.join(_INCLUDABLE)}.")
        return names


class ImprovementOut(serializers.Serializer):
    """One user's primary metric without and with personalization."""

    user = serializers.CharField(source="end_user.external_id")
    metric = serializers.CharField()
    baseline_score = serializers.FloatField(help_text="Of the non-personalized run, over the same questions.")
    score = serializers.FloatField()
    gain = serializers.FloatField(help_text="Positive where it got better, whatever the metric's direction.")
    direction = serializers.ChoiceField(choices=list(_DIRECTIONS))
    questions = serializers.IntegerField(source="question_count")
    profile_size = serializers.FloatField(help_text="Documents in the profile, the mean over the user's questions.")
    baseline_run_id = serializers.IntegerField(source="baseline_id")


class ImprovementsQuery(PageQuery):
    user = StringField(max_length=_USER_CHARACTERS_MOST, required=False, help_text="This user's.")
    direction = ChoiceField(choices=list(_DIRECTIONS), required=False, help_text="Those of users for whom it got so.")


class PredictionsView(WorkspaceView):
    """What one run answered."""

    scopes: ClassVar = {"GET": Scope.MANAGE}

    @extend_schema(
        operation_id="list_predictions",
        tags=_TAGS,
        summary="What a run answered, question by question",
        parameters=[PredictionsQuery],
        responses=page_schema(PredictionOut, name="Prediction"),
    )
    def get(self, request: Request, run_id: int) -> Response:
        """In the order of the imported file. Of users who were erased since there are none any more."""
        run = run_or_404(self, run_id)
        query = self.query(PredictionsQuery)
        include = query.get("include", ())
        rows = predictions_of(
            workspace=self.workspace, run=run, external_id=query.get("user"), prompts="prompt" in include
        )
        return self.page_at_once(
            rows,
            # A question's number follows its place in the file.
            order=("question_id",),
            render=lambda found: _predictions(found, run=run, include=include),
            query=query,
        )


class ImprovementsView(WorkspaceView):
    """What one run changed for each user."""

    scopes: ClassVar = {"GET": Scope.MANAGE}

    @extend_schema(
        operation_id="list_improvements",
        tags=_TAGS,
        summary="What a run changed for each user, against the non-personalized run",
        parameters=[ImprovementsQuery],
        responses=page_schema(ImprovementOut, name="Improvement"),
    )
    def get(self, request: Request, run_id: int) -> Response:
        """There once an experiment that has the method `none` beside this one has ended; controls have none."""
        run = run_or_404(self, run_id)
        query = self.query(ImprovementsQuery)
        rows = improvements_of(
            workspace=self.workspace,
            run=run,
            external_id=query.get("user"),
            direction=_DIRECTIONS[query["direction"]] if "direction" in query else None,
        )
        sign = 1 if get_task(run.split.task).primary_metric.higher_is_better else -1
        return self.page(
            rows,
            order=("baseline_id", "end_user_id"),
            render=lambda row: _improvement(row, sign=sign),
            query=query,
        )


def _predictions(predictions: list[Prediction], *, run: Run, include: Collection[str]) -> list[dict[str, Any]]:
    documents: dict[int, list[Retrieved]] = {}
    if "documents" in include:
        documents = retrieved_documents(workspace=run.workspace, predictions=predictions)
    chosen = chosen_in(workspace=run.workspace, predictions=predictions, runs=[run])
    rendered = []
    for prediction in predictions:
        question = prediction.question
        values = {
            "question": int(question.external_id) if question.id_is_integer else question.external_id,
            "user": prediction.end_user.external_id,
            "swapped_with": None if prediction.swapped_with is None else prediction.swapped_with.external_id,
            "output": prediction.output,
            "gold": question.gold,
            "scores": prediction.scores,
            "sequence_score": prediction.sequence_score,
            "adapter_id": prediction.adapter_id,
            "selection": chosen.get(prediction.pk),
            "input_tokens": prediction.input_tokens,
            "output_tokens": prediction.output_tokens,
            # Reading one that was not asked for would be a statement more.
            "prompt": prediction.prompt if "prompt" in include else None,
            "documents": documents.get(prediction.pk, []),
        }
        told = PredictionOut(values).data
        rendered.append({name: value for name, value in told.items() if name not in _INCLUDABLE or name in include})
    return rendered


def _improvement(row: UserImprovement, *, sign: int) -> dict[str, Any]:
    row_values = {
        "end_user": row.end_user,
        "metric": row.metric,
        "baseline_score": row.baseline_score,
        "score": row.score,
        "gain": sign * (row.score - row.baseline_score),
        "direction": Direction(row.direction).name.lower(),
        "question_count": row.question_count,
        "profile_size": row.profile_size,
        "baseline_id": row.baseline_id,
    }
    return ImprovementOut(row_values).data
