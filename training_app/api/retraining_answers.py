"""What clients are told of policies, of sweeps, and of who is due and was retrained."""

from collections.abc import Collection
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from training_app.api.adapters import BaseModelName
from training_app.models import Retraining, RetrainingPolicy, RetrainingSweep
from training_app.retraining.policy_selectors import SweepCounts, counts_of
from users_app.models import Workspace


class ScheduleOut(serializers.Serializer):
    """By the clock (`crontab`, `timezone`) or every so often (`every`, `period`); the other two are null."""

    crontab = serializers.CharField(allow_null=True)
    timezone = serializers.CharField(allow_null=True)
    every = serializers.IntegerField(allow_null=True)
    period = serializers.CharField(allow_null=True)


class PolicyOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    task = serializers.CharField()
    base_model = BaseModelName()
    rank = serializers.IntegerField()
    enabled = serializers.BooleanField()
    schedule = serializers.SerializerMethodField(help_text="Null where it is swept when somebody asks.")
    new_documents = serializers.IntegerField(allow_null=True)
    new_share = serializers.FloatField(allow_null=True)
    max_age_days = serializers.FloatField(allow_null=True)
    minimum_documents = serializers.IntegerField()
    budget_users = serializers.IntegerField(allow_null=True)
    budget_minutes = serializers.FloatField(allow_null=True)
    order = serializers.ChoiceField(choices=RetrainingPolicy.Order.values)
    held_out_share = serializers.FloatField()
    held_out_most = serializers.IntegerField()
    adapters_kept = serializers.IntegerField()
    hyperparameters = serializers.DictField(help_text="Those that were chosen, as numbers by name.")
    seed = serializers.IntegerField()
    exact = serializers.BooleanField()
    last_swept_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    @extend_schema_field(ScheduleOut(allow_null=True))
    def get_schedule(self, policy: RetrainingPolicy) -> dict[str, Any] | None:
        told: dict[str, Any] = dict.fromkeys(("crontab", "timezone", "every", "period"))
        if policy.crontab is not None:
            row = policy.crontab
            parts = (row.minute, row.hour, row.day_of_month, row.month_of_year, row.day_of_week)
            return told | {"crontab": " ".join(parts), "timezone": str(row.timezone)}
        if policy.interval is not None:
            return told | {"every": policy.interval.every, "period": policy.interval.period}
        return None


class ReasonsOut(serializers.Serializer):
    """Why somebody is due, as far as it applies."""

    first = serializers.BooleanField(required=False, help_text="There is no adapter yet.")
    new = serializers.IntegerField(required=False, help_text="So many documents came since the last training.")
    removed = serializers.IntegerField(required=False, help_text="So many that it learned from were removed.")
    age_days = serializers.FloatField(required=False, help_text="So old is the last training.")
    task_changed = serializers.BooleanField(required=False, help_text="It was for another version of the task.")
    lost = serializers.BooleanField(required=False, help_text="The adapter was withdrawn.")


class DueOut(serializers.Serializer):
    user = serializers.CharField(source="external_id")
    due_for = ReasonsOut(source="reasons")
    new = serializers.IntegerField(help_text="Documents since the last training; all of them where there was none.")
    removed = serializers.IntegerField(help_text="Documents that were removed since.")
    age_days = serializers.FloatField(source="age", allow_null=True, help_text="Since the last training.")


class CountsOut(serializers.Serializer):
    """How many retrainings are in each state."""

    waiting = serializers.IntegerField()
    trial = serializers.IntegerField()
    measuring = serializers.IntegerField()
    training = serializers.IntegerField()
    promoted = serializers.IntegerField()
    kept = serializers.IntegerField()
    none = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    beyond_budget = serializers.IntegerField()


class SweepOut(serializers.Serializer):
    id = serializers.IntegerField()
    policy_id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=RetrainingSweep.State.values)
    asked_by = serializers.SerializerMethodField(help_text="Who asked for it; null where the schedule did.")
    rules = serializers.DictField(help_text="The policy as it was.")
    due = serializers.IntegerField(help_text="How many were due, those beyond the budget among them.")
    trained = serializers.SerializerMethodField(help_text="How many were promoted, kept or left without one.")
    counts = serializers.SerializerMethodField()
    training_seconds = serializers.SerializerMethodField(help_text="Summed over the users.")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_asked_by(self, sweep: RetrainingSweep) -> str | None:
        return sweep.asked_by or None

    def get_trained(self, sweep: RetrainingSweep) -> int:
        return self._counts(sweep).trained

    @extend_schema_field(CountsOut)
    def get_counts(self, sweep: RetrainingSweep) -> dict[str, int]:
        return self._counts(sweep).by_state

    def get_training_seconds(self, sweep: RetrainingSweep) -> float:
        return self._counts(sweep).training_seconds

    def _counts(self, sweep: RetrainingSweep) -> SweepCounts:
        counts: SweepCounts = self.context["counts"][sweep.pk]
        return counts


class RetrainingOut(serializers.Serializer):
    id = serializers.IntegerField()
    user = serializers.CharField(source="end_user.external_id")
    state = serializers.ChoiceField(choices=Retraining.State.values)
    due_for = ReasonsOut()
    position = serializers.IntegerField(help_text="In the sweep's order, from 0.")
    reason = serializers.SerializerMethodField(help_text="Why it has ended so; null while it has not.")
    scores = serializers.DictField(
        help_text="By `none`, `old` and `trial`: the task's metric on each document that was held out."
    )
    old_adapter_id = serializers.IntegerField(allow_null=True, help_text="What served before.")
    new_adapter_id = serializers.IntegerField(allow_null=True, help_text="What was trained and promoted.")
    training_seconds = serializers.FloatField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_reason(self, retraining: Retraining) -> str | None:
        return retraining.reason or None


def policy_json(policy: RetrainingPolicy) -> dict[str, Any]:
    """A policy with its relations, as `PolicyOut` describes it."""
    return PolicyOut(policy).data


def sweeps_json(sweeps: Collection[RetrainingSweep], *, workspace: Workspace) -> list[dict[str, Any]]:
    """Sweeps of `workspace` as `SweepOut` describes them, counted together."""
    counts = counts_of(workspace=workspace, sweeps=sweeps)
    return [SweepOut(sweep, context={"counts": counts}).data for sweep in sweeps]
