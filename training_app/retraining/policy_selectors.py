"""Reads of retraining policies, their sweeps, and who was retrained: always in one workspace."""

from collections.abc import Collection
from dataclasses import dataclass, field

from django.db.models import Count, QuerySet, Sum

from training_app.retraining.models import Retraining, RetrainingPolicy, RetrainingSweep
from users_app.models import Workspace

_TRAINED = (Retraining.State.PROMOTED, Retraining.State.KEPT, Retraining.State.NONE)


@dataclass
class SweepCounts:
    """What has come of a sweep so far: how many retrainings are in each state, and how long they trained."""

    by_state: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Retraining.State.values, 0))
    training_seconds: float = 0.0

    @property
    def trained(self) -> int:
        """How many came to a judgement, whichever."""
        return sum(self.by_state[state] for state in _TRAINED)


def policies_of(*, workspace: Workspace) -> QuerySet[RetrainingPolicy]:
    """The workspace's policies, each with its base model and its schedule."""
    return RetrainingPolicy.objects.filter(workspace=workspace).select_related(
        "workspace", "base_model", "crontab", "interval"
    )


def policy_by_id(*, workspace: Workspace, policy_id: int) -> RetrainingPolicy | None:
    """A policy of `workspace`; None where there is none of that number."""
    return policies_of(workspace=workspace).filter(pk=policy_id).first()


def sweeps_of(*, workspace: Workspace) -> QuerySet[RetrainingSweep]:
    """All sweeps of the workspace's policies."""
    return RetrainingSweep.objects.filter(policy__workspace=workspace).select_related("policy")


def sweep_by_id(*, workspace: Workspace, sweep_id: int) -> RetrainingSweep | None:
    """A sweep of `workspace`; None where there is none of that number."""
    return sweeps_of(workspace=workspace).filter(pk=sweep_id).first()


def retrainings_of(*, workspace: Workspace, sweep: RetrainingSweep) -> QuerySet[Retraining]:
    """The retrainings of a sweep of `workspace`, each with its end user and without the documents' numbers."""
    return (
        Retraining.objects.filter(sweep=sweep, sweep__policy__workspace=workspace, end_user__workspace=workspace)
        .select_related("end_user")
        .defer("document_ids", "held_out_ids")
    )


def counts_of(*, workspace: Workspace, sweeps: Collection[RetrainingSweep]) -> dict[int, SweepCounts]:
    """What has come of each of these sweeps so far, by its number."""
    found = {sweep.pk: SweepCounts() for sweep in sweeps}
    rows = (
        Retraining.objects.filter(sweep__in=list(found), sweep__policy__workspace=workspace)
        .order_by()
        .values_list("sweep", "state")
        .annotate(number=Count("pk"), seconds=Sum("training_seconds"))
    )
    for sweep_id, state, number, seconds in rows:
        found[sweep_id].by_state[state] = number
        found[sweep_id].training_seconds += seconds
    return found
