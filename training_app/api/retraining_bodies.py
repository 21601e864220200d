"""What clients send to have adapters retrained by themselves."""

from typing import Any, Final

from rest_framework import serializers

from common.api.pagination import PageQuery
from common.api.serializers import (
    BooleanField,
    ChoiceField,
    IntegerField,
    Invalid,
    NumberField,
    StrictSerializer,
    StringField,
)
from training_app.api.adapters import HyperparametersBody
from training_app.models import Retraining, RetrainingPolicy
from training_app.retraining.policies import BOUNDS, MAY_BE_LEFT, NAME_LENGTH
from training_app.retraining.schedules import PERIODS, Crontab, Interval

_HELP: Final = {
    "new_documents": "So many new documents make due.",
    "new_share": "New documents of this share of those learned from make due: 0.2 is a fifth.",
    "max_age_days": "An adapter of this age makes due, even where nothing has changed.",
    "minimum_documents": "Whoever has fewer documents is not trained, unless some were removed.",
    "budget_users": "So many are retrained by a sweep at most; null: all who are due.",
    "budget_minutes": "Of training, summed over the users: once they are used up, nobody else begins. Null: no bound.",
    "held_out_share": "Of the profile, the newest documents are held out of the trial and measured on.",
    "held_out_most": "So many of them at most.",
    "adapters_kept": "So many earlier adapters of a user stay, to roll back to; those that retrainings made before are "
    "deleted.",
    "seed": "Of every training.",
    "rank": "Of the adapters.",
}
_SCHEDULE_HELP: Final = (
    "Either `crontab` (minute, hour, day of the month, month, day of the week), with `timezone`, or `every` so many of "
    "a `period`. Null: it is swept when somebody asks."
)
_WHOLE: Final = {"rank", "seed", "new_documents", "minimum_documents", "budget_users", "held_out_most", "adapters_kept"}


class ScheduleBody(StrictSerializer):
    crontab = StringField(max_length=200, required=False, help_text="“30 3 * * 1” is Mondays at half past three.")
    timezone = StringField(
        max_length=63, required=False, help_text="Of the crontab, such as Europe/Berlin; UTC unless said."
    )
    every = IntegerField(min_value=1, max_value=10_000, required=False)
    period = ChoiceField(choices=list(PERIODS), required=False)

    def to_internal_value(self, data: Any) -> Any:
        """As the service takes it."""
        told = super().to_internal_value(data)
        if set(told) in ({"crontab"}, {"crontab", "timezone"}):
            return Crontab(told["crontab"], told.get("timezone", "UTC"))
        if set(told) == {"every", "period"}:
            return Interval(told["every"], told["period"])
        raise Invalid("This is no schedule.", remedy="Send a crontab, or every and period.")


def _number(name: str) -> serializers.Field:
    least, most = BOUNDS[name]
    options: dict[str, Any] = {"required": False, "help_text": _HELP[name]}
    if name in MAY_BE_LEFT:
        options["allow_null"] = True
    if name in _WHOLE:
        return IntegerField(min_value=int(least), max_value=int(most), **options)
    return NumberField(min_value=least, max_value=most, **options)


class PolicyChanges(StrictSerializer):
    """What shall be otherwise; the rest stays as it is."""

    name = StringField(max_length=NAME_LENGTH, required=False)
    enabled = BooleanField(required=False, help_text="Whether its schedule counts.")
    schedule = ScheduleBody(required=False, allow_null=True, help_text=_SCHEDULE_HELP)
    new_documents = _number("new_documents")
    new_share = _number("new_share")
    max_age_days = _number("max_age_days")
    minimum_documents = _number("minimum_documents")
    budget_users = _number("budget_users")
    budget_minutes = _number("budget_minutes")
    order = ChoiceField(
        choices=RetrainingPolicy.Order.values,
        required=False,
        help_text="Who comes first, and within the budget: whoever has changed most, or has the oldest adapter.",
    )
    held_out_share = _number("held_out_share")
    held_out_most = _number("held_out_most")
    adapters_kept = _number("adapters_kept")
    hyperparameters = HyperparametersBody(required=False, help_text="What is left out takes the paper's value.")
    seed = _number("seed")
    exact = BooleanField(required=False, help_text="Trained alone, so that the same bytes can be made again; slower.")


class PolicyBody(PolicyChanges):
    """Of `new_documents`, `new_share` and `max_age_days`, at least one."""

    name = StringField(max_length=NAME_LENGTH)
    task = StringField(max_length=100, help_text="A key that `GET /tasks` lists.")
    base_model = StringField(
        max_length=300,
        required=False,
        help_text="A name that `GET /base-models` lists, with @REVISION for another than the newest.",
    )
    rank = _number("rank")


class RetrainingsQuery(PageQuery):
    state = ChoiceField(choices=Retraining.State.values, required=False, help_text="Those that stand so.")
