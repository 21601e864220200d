"""Making, changing and deleting retraining policies."""

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction

from lamp.catalogue import UnknownTask
from lamp.tasks import FieldProblem
from training_app.hyperparameters import HYPERPARAMETERS, InvalidHyperparameters, complete_hyperparameters
from training_app.retraining.models import UNDER_WAY, Retraining, RetrainingPolicy, RetrainingSweep
from training_app.retraining.schedules import (
    Crontab,
    Interval,
    InvalidSchedule,
    crontab_of,
    forget_schedule,
    interval_of,
    keep_schedule,
)
from training_app.retraining.sweeps import cancel_sweep, request_sweep
from users_app.audit import INSTALLATION, Actor, record
from users_app.models import AuditEntry, Workspace
from users_app.tasks import task_of

MOST_POLICIES: Final = 100
"""How many policies a workspace may have: all of them are read for a list."""
SCHEDULE: Final = "schedule"
NAME_LENGTH: Final = 100
CHANGEABLE: Final = (
    "name",
    "hyperparameters",
    "exact",
    "seed",
    "enabled",
    "new_documents",
    "new_share",
    "max_age_days",
    "minimum_documents",
    "budget_users",
    "budget_minutes",
    "order",
    "held_out_share",
    "held_out_most",
    "adapters_kept",
)
"""What may be changed of a policy, beside the schedule. Another task, base model or rank is another policy."""

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "rank": (HYPERPARAMETERS["rank"].least, HYPERPARAMETERS["rank"].most),
    "seed": (0, 2**53),
    "new_documents": (1, 100_000),
    "new_share": (0.001, 1_000),
    "max_age_days": (0.001, 36_500),
    "minimum_documents": (2, 100_000),
    "budget_users": (1, 10_000_000),
    "budget_minutes": (0.001, 1_000_000),
    "held_out_share": (0.001, 0.999),
    "held_out_most": (1, 1_000),
    "adapters_kept": (1, 100),
}
"""The least and the most of each number."""
MAY_BE_LEFT: Final = frozenset({"new_documents", "new_share", "max_age_days", "budget_users", "budget_minutes"})
"""Those that may be None: no such threshold, or no bound."""


class InvalidPolicy(ValueError):
    """Something of a policy cannot be so; `problems` says what, and what would do."""

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__("; ".join(f"{problem.field} {problem.message}" for problem in problems))
        self.problems = problems


class TooManyPolicies(ValueError):
    """The workspace has as many policies as there may be."""


class PolicyUnderWay(Exception):
    """Somebody is being retrained by the policy."""


@transaction.atomic
def create_policy(
    *,
    workspace: Workspace,
    schedule: Crontab | Interval | None = None,
    by: Actor = INSTALLATION,
    **rules: Any,
) -> RetrainingPolicy:
    """Make a policy; `rules` are its fields. Without a schedule it is swept when somebody asks.

    Raises `InvalidPolicy` and `TooManyPolicies`.
    """
    # One policy a workspace at a time, so that names stay unique and the most is the most.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    if RetrainingPolicy.objects.filter(workspace=workspace).count() >= MOST_POLICIES:
        raise TooManyPolicies(f"This workspace has {MOST_POLICIES} retraining policies, which is the most.")
    policy = RetrainingPolicy(workspace=workspace, **rules)
    _set_schedule(policy, schedule)
    save_policy(policy=policy, by=by)
    return policy


@transaction.atomic
def change_policy(*, policy: RetrainingPolicy, by: Actor = INSTALLATION, **changes: Any) -> RetrainingPolicy:
    """Change what `changes` names, of `CHANGEABLE` and "schedule"; a sweep that is running keeps the rules it began by.

    Raises `InvalidPolicy`.
    """
    Workspace.objects.select_for_update(no_key=True).get(pk=policy.workspace_id)
    held = RetrainingPolicy.objects.select_for_update(of=("self",), no_key=True).get(pk=policy.pk)
    for name, value in changes.items():
        if name == SCHEDULE:
            _set_schedule(held, value)
        elif name in CHANGEABLE:
            setattr(held, name, value)
        else:
            raise InvalidPolicy(FieldProblem(name, "cannot be changed", "make another policy"))
    save_policy(policy=held, by=by)
    return held


@transaction.atomic
def save_policy(*, policy: RetrainingPolicy, by: Actor) -> None:
    """Store `policy`, made or changed, with its time in beat's tables. Raises `InvalidPolicy`."""
    problems = problems_of(policy)
    if problems:
        raise InvalidPolicy(*problems)
    policy.task = task_of(workspace=policy.workspace, key=policy.task).key
    is_new = policy.pk is None
    policy.save()
    keep_schedule(policy)
    actions = AuditEntry.Action
    _record(policy, actions.RETRAINING_POLICY_CREATED if is_new else actions.RETRAINING_POLICY_CHANGED, by)


@transaction.atomic
def delete_policy(*, policy: RetrainingPolicy, by: Actor = INSTALLATION) -> None:
    """Delete `policy` with its sweeps; adapters stay, and so does what was chosen to serve.

    Raises `PolicyUnderWay` while somebody is being retrained by it: cancel its sweep, and wait for those.
    """
    # Nobody starts a sweep meanwhile.
    held = RetrainingPolicy.objects.select_for_update(of=("self",)).filter(pk=policy.pk).first()
    if held is None:
        return
    for sweep in RetrainingSweep.objects.select_for_update().filter(policy=held, state=RetrainingSweep.State.RUNNING):
        cancel_sweep(sweep=sweep, by=by)
    number = Retraining.objects.filter(sweep__policy=held, state__in=UNDER_WAY).count()
    if number:
        raise PolicyUnderWay(f"By this policy {number} users are being retrained.")
    _record(held, AuditEntry.Action.RETRAINING_POLICY_DELETED, by)
    forget_schedule(held)
    held.delete()


@transaction.atomic
def sweep_now(*, policy: RetrainingPolicy, asked_by: str, by: Actor = INSTALLATION) -> int:
    """Have a worker start a sweep of `policy`, enabled or not; the number of the job that does."""
    job = request_sweep(policy=policy, asked_by=asked_by)
    _record(policy, AuditEntry.Action.RETRAINING_ASKED, by)
    return job.pk


def problems_of(policy: RetrainingPolicy) -> list[FieldProblem]:
    """What cannot be so of a policy that is to be stored, field by field."""
    problems = [*_problem_of_name(policy), *_problem_of_task(policy)]
    for name, (least, most) in BOUNDS.items():
        value = getattr(policy, name)
        if value is None and name in MAY_BE_LEFT:
            continue
        if value is None or not least <= value <= most:
            problems.append(FieldProblem(name, "is out of bounds", f"write a number from {least:,g} to {most:,g}"))
    if policy.new_documents is None and policy.new_share is None and policy.max_age_days is None:
        remedy = "set new_documents, new_share or max_age_days"
        problems.append(FieldProblem("new_documents", "is empty, and so is whatever else makes somebody due", remedy))
    if policy.order not in RetrainingPolicy.Order.values:
        problems.append(FieldProblem("order", "is unknown", f"choose {' or '.join(RetrainingPolicy.Order.values)}"))
    if policy.crontab_id is not None and policy.interval_id is not None:
        problems.append(FieldProblem("interval", "is set beside a crontab", "choose one of the two"))
    return problems + _problems_of_hyperparameters(policy)


def _problem_of_name(policy: RetrainingPolicy) -> list[FieldProblem]:
    if not 0 < len(policy.name) <= NAME_LENGTH:
        return [FieldProblem("name", "is empty or too long", f"write 1 to {NAME_LENGTH} characters")]
    others = RetrainingPolicy.objects.filter(workspace=policy.workspace_id, name=policy.name).exclude(pk=policy.pk)
    if others.exists():
        return [FieldProblem("name", "is another policy's", "write a name that no policy of the workspace has")]
    return []


def _problem_of_task(policy: RetrainingPolicy) -> list[FieldProblem]:
    try:
        task_of(workspace=policy.workspace, key=policy.task)
    except UnknownTask:
        return [FieldProblem("task", "is unknown here", "name one that GET /api/v1/tasks lists")]
    return []


def _problems_of_hyperparameters(policy: RetrainingPolicy) -> list[FieldProblem]:
    chosen = policy.hyperparameters
    if not isinstance(chosen, Mapping):
        return [FieldProblem("hyperparameters", "are no object", "write them by name")]
    if "rank" in chosen:
        return [FieldProblem("hyperparameters/rank", "stands beside the others", "write it as the policy's rank")]
    try:
        complete_hyperparameters(chosen)
    except InvalidHyperparameters as invalid:
        return [FieldProblem(f"hyperparameters/{one.field}", one.message, one.remedy) for one in invalid.problems]
    return []


def _set_schedule(policy: RetrainingPolicy, schedule: Crontab | Interval | None) -> None:
    try:
        policy.crontab = crontab_of(schedule) if isinstance(schedule, Crontab) else None
        policy.interval = interval_of(schedule) if isinstance(schedule, Interval) else None
    except InvalidSchedule as invalid:
        raise InvalidPolicy(FieldProblem(SCHEDULE, "cannot be kept", str(invalid))) from None


def _record(policy: RetrainingPolicy, action: AuditEntry.Action, by: Actor) -> None:
    details = {"task": policy.task, "rank": policy.rank, "enabled": policy.enabled}
    record(workspace=policy.workspace, action=action, by=by, subject=str(policy.pk), details=details)
