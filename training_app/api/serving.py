"""What serves a user, why, since when; and the choice of something else, as to roll back."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.problems import FieldError, invalid_input, not_found
from common.api.serializers import IntegerField, StrictSerializer, StringField
from lamp.catalogue import UnknownTask
from training_app.adapter_selectors import adapter_by_id
from training_app.api.adapters import BaseModelName
from training_app.base_models import asked_base_model
from training_app.models import ServingChoice
from training_app.serving import ChoiceRefused, choose_adapter
from training_app.serving_selectors import choices_of, serving_of_person
from users_app.api.base import WorkspaceView
from users_app.models import EndUser, Scope
from users_app.tasks import task_of


class RetrainingOutcome(serializers.Serializer):
    """What the choice rests on."""

    id = serializers.IntegerField()
    state = serializers.CharField()
    scores = serializers.DictField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="By candidate (`trial`, `old`, `none`): the task's metric on each document held out.",
    )


class ServingChoiceOut(serializers.Serializer):
    """That from then on this adapter, or none, answers."""

    id = serializers.IntegerField()
    task = serializers.CharField()
    base_model = BaseModelName()
    adapter = serializers.IntegerField(
        source="adapter_id",
        allow_null=True,
        help_text="Null where none serves, or where the adapter was deleted since.",
    )
    serves_none = serializers.BooleanField()
    by = serializers.ChoiceField(choices=ServingChoice.By.choices)
    better_than_none = serializers.BooleanField(
        allow_null=True, help_text="What was measured; null: nothing. `auto` uses it."
    )
    reason = serializers.CharField()
    retraining = RetrainingOutcome(allow_null=True)
    at = serializers.DateTimeField()


class ServingOut(serializers.Serializer):
    """What answers for one task and base model now."""

    task = serializers.CharField()
    base_model = BaseModelName()
    adapter = serializers.IntegerField(source="adapter.pk", default=None, allow_null=True)
    why = serializers.CharField()
    choice = ServingChoiceOut(allow_null=True, help_text="The newest. Adapters trained after it serve in its place.")


class ServingAnswer(serializers.Serializer):
    data = ServingOut(many=True)  # type: ignore[assignment]


class ChoicesQuery(PageQuery):
    task = StringField(max_length=100, required=False)


class ChoiceBody(StrictSerializer):
    task = StringField(max_length=100, help_text="A key that `GET /tasks` lists.")
    base_model = StringField(
        max_length=300,
        required=False,
        help_text="A name that `GET /base-models` lists, with @REVISION for another than the newest.",
    )
    adapter = IntegerField(
        min_value=1, allow_null=True, help_text="The number of one of the user's adapters; null: none is to serve."
    )
    reason = StringField(
        max_length=500, default="It was chosen by a client.", help_text="Kept in the history, as you write it."
    )


class ServingView(WorkspaceView):
    """What serves one user."""

    scopes: ClassVar = {"GET": Scope.TRAIN}

    @extend_schema(
        operation_id="get_serving",
        tags=["Adapters"],
        summary="Which adapter answers for a user, and why",
        responses=ServingAnswer,
    )
    def get(self, request: Request, user_id: str) -> Response:
        """For each task and base model that the user has, or had, an adapter of."""
        end_user = self.end_user_or_404(user_id)
        found = serving_of_person(workspace=self.workspace, end_user=end_user)
        return Response(ServingAnswer({"data": found}).data)


class ServingChoicesView(WorkspaceView):
    """The choices of what serves one user."""

    scopes: ClassVar = {"GET": Scope.TRAIN, "POST": Scope.TRAIN}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_serving_choices",
        tags=["Adapters"],
        summary="What was chosen to serve a user, the newest first",
        parameters=[ChoicesQuery],
        responses=page_schema(ServingChoiceOut, name="ServingChoice"),
    )
    def get(self, request: Request, user_id: str) -> Response:
        """Retrainings choose by what they measured, and you by `POST`."""
        query = self.query(ChoicesQuery)
        rows = choices_of(workspace=self.workspace, end_user=self.end_user_or_404(user_id), task=query.get("task"))
        return self.page(rows, order=("-pk",), render=lambda row: ServingChoiceOut(row).data, query=query)

    @extend_schema(
        operation_id="choose_serving",
        tags=["Adapters"],
        summary="Choose which adapter answers for a user, or none",
        request=ChoiceBody,
        responses={
            201: ServingChoiceOut,
            404: OpenApiResponse(None, "There is no such user."),
            409: OpenApiResponse(
                None, "No worker has loaded the default base model yet (`base-model-not-ready`): try again."
            ),
        },
    )
    def post(self, request: Request, user_id: str) -> Response:
        """To roll back is to choose what served before. It holds until an adapter is trained after it, or a retraining
        has measured a better one; a retraining of the user that is under way ends without a result.
        """
        body = self.body(ChoiceBody)
        end_user = self.end_user_or_404(user_id)
        base_model = asked_base_model(body.get("base_model"))
        try:
            task = task_of(workspace=self.workspace, key=body["task"]).key
        except UnknownTask:
            remedy = "Use a key that GET /api/v1/tasks lists."
            raise invalid_input(FieldError("/task", "There is no such task here.", remedy)) from None
        remedy = "Use the number of an adapter of this user that GET /api/v1/adapters lists as ready, or null."
        adapter = None
        if body["adapter"] is not None:
            adapter = adapter_by_id(workspace=self.workspace, adapter_id=body["adapter"])
            if adapter is None:
                raise invalid_input(FieldError("/adapter", "This names no adapter of the user.", remedy))

        def create() -> dict[str, Any]:
            try:
                choice = choose_adapter(
                    workspace=self.workspace,
                    end_user=end_user,
                    task=task,
                    base_model=base_model,
                    adapter=adapter,
                    reason=body["reason"],
                    by=self.actor,
                    api_key_id=self.api_key.pk,
                )
            except EndUser.DoesNotExist:
                raise not_found() from None
            except ChoiceRefused as refused:
                raise invalid_input(FieldError("/adapter", str(refused), remedy)) from None
            return {"choice_id": choice.pk}

        made, _ = self.once(end_user=end_user, create=create)
        choice = choices_of(workspace=self.workspace, end_user=end_user).filter(pk=made["choice_id"]).first()
        if choice is None:
            raise not_found()
        return Response(ServingChoiceOut(choice).data, status=201)
