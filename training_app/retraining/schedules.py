"""When policies are swept: beat's own rows, which the admin shows with all others, one for each policy that has a time.

Beat reads them from the database and rings `TASK` at each time; a change is seen within seconds.
"""

import json
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from training_app.retraining.models import RetrainingPolicy

TASK: Final = "workers.sweep_retraining"
"""What beat sends: `workers.tasks` answers it."""
PERIODS: Final = (IntervalSchedule.MINUTES, IntervalSchedule.HOURS, IntervalSchedule.DAYS)
"""In which an interval may be told; a sweep every few seconds would find nothing but the last one."""
_QUEUE: Final = "cpu"
_PARTS: Final = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


class InvalidSchedule(ValueError):
    """No such time is known; the message says what would do."""


@dataclass(frozen=True)
class Crontab:
    """By the clock and the calendar: "30 3 * * 1" is Mondays at half past three, in that time zone."""

    expression: str
    timezone: str = "UTC"


@dataclass(frozen=True)
class Interval:
    """Every so many of a period, one of `PERIODS`."""

    every: int
    period: str


def crontab_of(crontab: Crontab) -> CrontabSchedule:
    """Beat's row for `crontab`, made if need be. Raises `InvalidSchedule`."""
    parts = crontab.expression.split()
    if len(parts) != len(_PARTS):
        raise InvalidSchedule("A crontab has five parts: minute, hour, day of the month, month and day of the week.")
    try:
        zone = ZoneInfo(crontab.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidSchedule(f"There is no time zone {crontab.timezone!r}; Europe/Berlin is one.") from None
    told: dict[str, Any] = {**dict(zip(_PARTS, parts, strict=True)), "timezone": zone}
    standing = CrontabSchedule.objects.filter(**told).order_by("pk").first()
    if standing is not None:
        return standing
    made = CrontabSchedule(**told)
    try:
        made.full_clean()
    except ValidationError as wrong:
        raise InvalidSchedule(f"This is no crontab: {' '.join(wrong.messages)}") from None
    made.save()
    return made


def interval_of(interval: Interval) -> IntervalSchedule:
    """Beat's row for `interval`, made if need be. Raises `InvalidSchedule`."""
    if interval.period not in PERIODS or not 1 <= interval.every <= 10_000:
        raise InvalidSchedule(f"An interval is 1 to 10,000 {', '.join(PERIODS[:-1])} or {PERIODS[-1]}.")
    told = {"every": interval.every, "period": interval.period}
    return IntervalSchedule.objects.filter(**told).order_by("pk").first() or IntervalSchedule.objects.create(**told)


def keep_schedule(policy: RetrainingPolicy) -> None:
    """Let beat sweep `policy` at its times from now on: while it is enabled, and has any."""
    if policy.crontab_id is None and policy.interval_id is None:
        forget_schedule(policy)
        return
    told = {
        "name": f"Retraining policy {policy.pk}",
        "task": TASK,
        "args": json.dumps([policy.pk]),
        "queue": _QUEUE,
        "crontab": policy.crontab,
        "interval": policy.interval,
        "enabled": policy.enabled,
    }
    task = policy.periodic_task or PeriodicTask()
    for name, value in told.items():
        setattr(task, name, value)
    # Not `update`: beat hears of changes by what saving does.
    task.save()
    if policy.periodic_task_id != task.pk:
        policy.periodic_task = task
        policy.save(update_fields=["periodic_task"])


def forget_schedule(policy: RetrainingPolicy) -> None:
    """Let beat sweep `policy` no more."""
    for task in PeriodicTask.objects.filter(pk=policy.periodic_task_id):
        task.delete()
    policy.periodic_task = None


def policy_deleted(instance: RetrainingPolicy, **_: Any) -> None:
    """Whatever deletes a policy, its workspace's deletion too, takes beat's row away."""
    forget_schedule(instance)
