"""Retraining policies: make and change them, look who is due, and follow their sweeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, list_name, page_of_list, page_schema
from common.api.problems import FieldError, Problem, found_or_404, invalid_input, pointer
from lamp.catalogue import UnknownTask
from training_app.api.retraining_answers import (
    DueOut,
    PolicyOut,
    RetrainingOut,
    SweepOut,
    policy_json,
    sweeps_json,
)
from training_app.api.retraining_bodies import PolicyBody, PolicyChanges, RetrainingsQuery
from training_app.base_models import asked_base_model
from training_app.models import RetrainingPolicy, RetrainingSweep
from training_app.retraining.due import who_is_due
from training_app.retraining.policies import (
    InvalidPolicy,
    PolicyUnderWay,
    TooManyPolicies,
    change_policy,
    create_policy,
    delete_policy,
    sweep_now,
)
from training_app.retraining.policy_selectors import (
    policies_of,
    policy_by_id,
    retrainings_of,
    sweep_by_id,
    sweeps_of,
)
from training_app.retraining.sweeps import cancel_sweep
from users_app.api.base import WorkspaceView
from users_app.api.jobs import JobSerializer, job_json
from users_app.job_selectors import jobs_of_workspace
from users_app.models import Scope

_TAGS: Final = ["Retraining"]


class _RetrainingView(WorkspaceView):
    def policy_or_404(self, retraining_policy_id: int) -> RetrainingPolicy:
        """The workspace's policy of that number; raises `Problem` 404."""
        return found_or_404(policy_by_id(workspace=self.workspace, policy_id=retraining_policy_id))

    def sweep_or_404(self, retraining_sweep_id: int) -> RetrainingSweep:
        """The workspace's sweep of that number; raises `Problem` 404."""
        return found_or_404(sweep_by_id(workspace=self.workspace, sweep_id=retraining_sweep_id))

    def sweep_json(self, retraining_sweep_id: int) -> dict[str, Any]:
        """That sweep, counted; raises `Problem` 404."""
        [shown] = sweeps_json([self.sweep_or_404(retraining_sweep_id)], workspace=self.workspace)
        return shown


class RetrainingPoliciesView(_RetrainingView):
    """The workspace's policies."""

    scopes: ClassVar = {"GET": Scope.READ, "POST": Scope.MANAGE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_retraining_policies",
        tags=_TAGS,
        summary="The workspace's retraining policies, the newest first",
        parameters=[PageQuery],
        responses=page_schema(PolicyOut, name="RetrainingPolicy"),
    )
    def get(self, request: Request) -> Response:
        return self.page(policies_of(workspace=self.workspace), order=("-pk",), render=policy_json)

    @extend_schema(
        operation_id="create_retraining_policy",
        tags=_TAGS,
        summary="Have adapters follow their profiles by themselves",
        request=PolicyBody,
        responses={
            201: OpenApiResponse(PolicyOut, "It counts from now on; see `Location`."),
            409: OpenApiResponse(
                None,
                "There are too many (`too-many-retraining-policies`), or the default base model is not loaded yet "
                "(`base-model-not-ready`).",
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """At its times, or when somebody asks, everybody is retrained who is due: who has no adapter yet and enough
        documents, whose profile has grown or is old as the policy says, who had documents removed, or whose adapter is
        of another version of the task. See who that is with `GET /retraining-policies/{id}/due`.
        """
        body = self.body(PolicyBody)
        base_model = asked_base_model(body.pop("base_model", None))

        def create() -> dict[str, Any]:
            with _as_problems():
                made = create_policy(workspace=self.workspace, base_model=base_model, by=self.actor, **body)
            return {"policy_id": made.pk}

        made, _ = self.once(end_user=None, create=create)
        policy = self.policy_or_404(made["policy_id"])
        return Response(policy_json(policy), status=201, headers={"Location": f"{request.path}/{policy.pk}"})


class RetrainingPolicyView(_RetrainingView):
    """One policy."""

    scopes: ClassVar = {"GET": Scope.READ, "PATCH": Scope.MANAGE, "DELETE": Scope.MANAGE}

    @extend_schema(
        operation_id="get_retraining_policy", tags=_TAGS, summary="One retraining policy", responses=PolicyOut
    )
    def get(self, request: Request, retraining_policy_id: int) -> Response:
        return Response(policy_json(self.policy_or_404(retraining_policy_id)))

    @extend_schema(
        operation_id="change_retraining_policy",
        tags=_TAGS,
        summary="Change a retraining policy, or disable it",
        request=PolicyChanges,
        responses=PolicyOut,
    )
    def patch(self, request: Request, retraining_policy_id: int) -> Response:
        """A sweep that is running keeps the rules by which it began. For another task, base model or rank, make
        another policy.
        """
        policy = self.policy_or_404(retraining_policy_id)
        changes = self.body(PolicyChanges)
        with _as_problems():
            change_policy(policy=policy, by=self.actor, **changes)
        return Response(policy_json(self.policy_or_404(retraining_policy_id)))

    @extend_schema(
        operation_id="delete_retraining_policy",
        tags=_TAGS,
        summary="Delete a retraining policy with the record of its sweeps",
        responses={
            204: None,
            409: OpenApiResponse(None, "Somebody is being retrained by it (`retraining-under-way`)."),
        },
    )
    def delete(self, request: Request, retraining_policy_id: int) -> Response:
        """Adapters stay, and serve as they did. Cancel its sweep and wait for those who are being retrained."""
        try:
            delete_policy(policy=self.policy_or_404(retraining_policy_id), by=self.actor)
        except PolicyUnderWay as under_way:
            raise Problem(
                409, "retraining-under-way", f"{under_way} Cancel its sweep, and try again when they are done."
            ) from None
        return Response(status=204)


class RetrainingDueView(_RetrainingView):
    """A dry run."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_due_for_retraining",
        tags=_TAGS,
        summary="Who would be retrained now, and why, in the policy's order",
        parameters=[PageQuery],
        responses={
            200: page_schema(DueOut, name="DueForRetraining"),
            409: OpenApiResponse(None, "The policy's task is no more (`task-gone`)."),
        },
    )
    def get(self, request: Request, retraining_policy_id: int) -> Response:
        """A dry run: nothing is begun, and the budget is left aside. Whoever is being trained is not due. Each page is
        as of its own moment.
        """
        policy = self.policy_or_404(retraining_policy_id)
        query = self.query(PageQuery)
        try:
            due = who_is_due(policy=policy)
        except UnknownTask:
            raise Problem(409, "task-gone", "The policy's task is no more. Delete the policy.") from None
        found, cursor = page_of_list(
            due,
            limit=query["limit"],
            cursor=query.get("cursor"),
            bound_to=list_name(self.workspace.pk, request.path),
        )
        return Response({"data": DueOut(found, many=True).data, "next_cursor": cursor})


class RetrainingPolicySweepsView(_RetrainingView):
    """The sweeps of a policy."""

    scopes: ClassVar = {"GET": Scope.READ, "POST": Scope.MANAGE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_retraining_sweeps",
        tags=_TAGS,
        summary="The sweeps of a policy, the newest first",
        parameters=[PageQuery],
        responses=page_schema(SweepOut, name="RetrainingSweep"),
    )
    def get(self, request: Request, retraining_policy_id: int) -> Response:
        policy = self.policy_or_404(retraining_policy_id)
        rows = sweeps_of(workspace=self.workspace).filter(policy=policy)
        return self.page_at_once(
            rows, order=("-pk",), render=lambda found: sweeps_json(found, workspace=self.workspace)
        )

    @extend_schema(
        operation_id="start_retraining_sweep",
        tags=_TAGS,
        summary="Retrain everybody who is due, now",
        request=None,
        responses={202: OpenApiResponse(JobSerializer, "A job starts it; see `Location`.")},
    )
    def post(self, request: Request, retraining_policy_id: int) -> Response:
        """Whether the policy is enabled or not. The job's `result` says the number of the sweep as `sweep_id`, null
        where one of this policy was running already.
        """
        policy = self.policy_or_404(retraining_policy_id)

        def create() -> dict[str, Any]:
            return {"job_id": sweep_now(policy=policy, asked_by=f"api key {self.api_key.pk}", by=self.actor)}

        made, _ = self.once(end_user=None, create=create)
        job = found_or_404(jobs_of_workspace(workspace=self.workspace).filter(pk=made["job_id"]).first())
        return Response(job_json(job), status=202, headers={"Location": f"/api/v1/jobs/{job.pk}"})


class RetrainingSweepView(_RetrainingView):
    """One sweep."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="get_retraining_sweep",
        tags=_TAGS,
        summary="One sweep, and what has come of it",
        responses=SweepOut,
    )
    def get(self, request: Request, retraining_sweep_id: int) -> Response:
        return Response(self.sweep_json(retraining_sweep_id))


class RetrainingsView(_RetrainingView):
    """Who was due in a sweep."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_retrainings",
        tags=_TAGS,
        summary="Who was due in a sweep, why, and what came of it",
        parameters=[RetrainingsQuery],
        responses=page_schema(RetrainingOut, name="Retraining"),
    )
    def get(self, request: Request, retraining_sweep_id: int) -> Response:
        query = self.query(RetrainingsQuery)
        asked = {"state": query["state"]} if "state" in query else {}
        rows = retrainings_of(workspace=self.workspace, sweep=self.sweep_or_404(retraining_sweep_id)).filter(**asked)
        return self.page(rows, order=("position", "pk"), render=lambda row: RetrainingOut(row).data, query=query)


class RetrainingCancellationView(_RetrainingView):
    """The end of a sweep before its end."""

    scopes: ClassVar = {"POST": Scope.MANAGE}

    @extend_schema(
        operation_id="cancel_retraining_sweep",
        tags=_TAGS,
        summary="Let nobody else of a sweep begin",
        request=None,
        responses={
            200: OpenApiResponse(SweepOut, "It is cancelled."),
            409: OpenApiResponse(None, "It is done (`sweep-not-cancellable`)."),
        },
    )
    def post(self, request: Request, retraining_sweep_id: int) -> Response:
        """Whoever is being retrained comes to their end. Doing so again changes nothing."""
        cancel_sweep(sweep=self.sweep_or_404(retraining_sweep_id), by=self.actor)
        if self.sweep_or_404(retraining_sweep_id).state != RetrainingSweep.State.CANCELLED:
            raise Problem(409, "sweep-not-cancellable", "The sweep is done and cannot be cancelled any more.")
        return Response(self.sweep_json(retraining_sweep_id))


@contextmanager
def _as_problems() -> Iterator[None]:
    """What the services refuse, as the API says it: with the body's names."""
    try:
        yield
    except InvalidPolicy as invalid:
        raise invalid_input(
            *(
                FieldError(pointer(*one.field.split("/")), f"This {one.message}.", _sentence(one.remedy))
                for one in invalid.problems
            )
        ) from None
    except TooManyPolicies as too_many:
        raise Problem(409, "too-many-retraining-policies", str(too_many)) from None


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."
