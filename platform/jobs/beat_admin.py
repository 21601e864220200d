"""What beat does and when, in the admin's own looks: the same pages that its package brings."""

from django.contrib import admin
from django_celery_beat import admin as beat
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from common.admin import InstallationAdmin

for _model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(_model)


class _TaskSelect(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    """The choice of a task."""


class PeriodicTaskForm(beat.PeriodicTaskForm):
    """The package's form with the admin's widgets."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = _TaskSelect()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(InstallationAdmin, beat.PeriodicTaskAdmin):
    """What is done, and by which schedule."""

    form = PeriodicTaskForm
    date_hierarchy = None
    list_display = ("name", "enabled", "scheduler", "interval", "start_time", "last_run_at", "one_off")
    list_filter = ("enabled", "one_off", "last_run_at")
    search_fields = ("name__icontains", "task__icontains")
    ordering = ("name",)


class PeriodicTaskInline(TabularInline, beat.PeriodicTaskInline):
    """What is done by a schedule."""

    tab = True


class ScheduleAdmin(InstallationAdmin):
    """A schedule, with what is done by it."""

    inlines = [PeriodicTaskInline]


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ScheduleAdmin):
    """By the clock and the calendar."""

    list_display = ("__str__", "human_readable")
    fields = (
        "human_readable", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone",
    )  # fmt: skip
    readonly_fields = ("human_readable",)


@admin.register(IntervalSchedule, SolarSchedule)
class PlainScheduleAdmin(ScheduleAdmin):
    """Every so often, or by the sun."""


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(ScheduleAdmin):
    """Once, at a time."""

    fields = ("clocked_time",)
    list_display = ("clocked_time",)
