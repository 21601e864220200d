"""Retraining in the admin: policies are made and changed here, and tried; what came of their sweeps is looked at."""

from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from common.admin import GrantedAdmin, ReadOnlyAdmin
from common.admin_filters import choice_filter
from lamp.catalogue import UnknownTask
from training_app.models import LearnedProfile, Retraining, RetrainingPolicy, RetrainingSweep, ServingChoice
from training_app.retraining.due import who_is_due
from training_app.retraining.explaining import in_words
from training_app.retraining.models import UNDER_WAY
from training_app.retraining.policies import (
    CHANGEABLE,
    MOST_POLICIES,
    SCHEDULE,
    change_policy,
    create_policy,
    delete_policy,
    problems_of,
    sweep_now,
)
from training_app.retraining.policy_selectors import counts_of
from training_app.retraining.schedules import PERIODS, Crontab, Interval, InvalidSchedule, crontab_of, interval_of
from training_app.retraining.sweeps import cancel_sweep
from users_app.admin_choices import task_choices
from users_app.audit import actor_of_staff

_MOST_SHOWN: Final = 200
_SCHEDULE_FIELDS: Final = ("crontab_text", "timezone", "every", "period")
_SWEEP_COLORS: Final = {"running": "info", "done": "success", "cancelled": "default"}
_RETRAINING_COLORS: Final = {
    **dict.fromkeys(("waiting", "trial", "measuring", "training"), "info"),
    "promoted": "success",
    **dict.fromkeys(("kept", "none", "beyond_budget"), "warning"),
    "failed": "danger",
    "cancelled": "default",
}


class RetrainingPolicyForm(forms.ModelForm):
    """What a policy is asked for. Its time is written here, and kept in beat's tables."""

    crontab_text = forms.CharField(
        label="At",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Minute, hour, day of the month, month and day of the week: “30 3 * * 1” is Mondays at half past "
        "three. Leave this and the interval empty to sweep by hand alone.",
    )
    timezone = forms.CharField(label="Time zone", required=False, initial="UTC", widget=UnfoldAdminTextInputWidget)
    every = forms.IntegerField(
        label="Or every", required=False, min_value=1, max_value=10_000, widget=UnfoldAdminIntegerFieldWidget
    )
    period = forms.ChoiceField(
        label="Period", required=False, choices=[("", ""), *((one, one) for one in PERIODS)],
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip

    class Meta:
        model = RetrainingPolicy
        fields = ["workspace", "task", "base_model", "rank", *CHANGEABLE]
        help_texts: ClassVar = {
            "held_out_share": "Of the profile: its newest documents, on which a trial is measured that has not learned "
            "from them (0.2: a fifth).",
            "held_out_most": "So many of them at most.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "hyperparameters" in self.fields:
            self.fields["hyperparameters"].required = False
        policy: RetrainingPolicy = self.instance
        if policy.crontab is not None:
            row = policy.crontab
            parts = (row.minute, row.hour, row.day_of_month, row.month_of_year, row.day_of_week)
            self.initial.update(crontab_text=" ".join(parts), timezone=str(row.timezone))
        if policy.interval is not None:
            self.initial.update(every=policy.interval.every, period=policy.interval.period)

    @property
    def schedule(self) -> Crontab | Interval | None:
        """The time that was written."""
        given = self.cleaned_data
        if given.get("crontab_text"):
            return Crontab(given["crontab_text"], given.get("timezone") or "UTC")
        return Interval(given["every"], given["period"]) if given.get("every") and given.get("period") else None

    def clean_hyperparameters(self) -> dict[str, Any]:
        """An empty field chooses nothing."""
        return self.cleaned_data["hyperparameters"] or {}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("crontab_text") and (given.get("every") or given.get("period")):
            self.add_error("every", "Write a crontab or an interval, not both.")
        elif bool(given.get("every")) != bool(given.get("period")):
            self.add_error("period", "Write how many, and of which period.")
        return given

    def _post_clean(self) -> None:
        """In place of the model's own checks, which name a constraint and not what to do."""
        self.instance = forms.models.construct_instance(self, self.instance, self._meta.fields, self._meta.exclude)
        if self.errors:
            return
        self._check_schedule()
        for problem in problems_of(self.instance):
            field = problem.field.partition("/")[0]
            where = f"{problem.field}: " if "/" in problem.field else ""
            self.add_error(
                field if field in self.fields else None,
                f"{where}This {problem.message}. {problem.remedy[:1].upper()}{problem.remedy[1:]}.",
            )
        if self.instance.pk is None:
            others = RetrainingPolicy.objects.filter(workspace=self.instance.workspace)
            if others.count() >= MOST_POLICIES:
                self.add_error(None, f"The workspace has {MOST_POLICIES} policies, which is the most.")

    def _check_schedule(self) -> None:
        schedule = self.schedule
        try:
            self.instance.crontab = crontab_of(schedule) if isinstance(schedule, Crontab) else None
            self.instance.interval = interval_of(schedule) if isinstance(schedule, Interval) else None
        except InvalidSchedule as invalid:
            self.add_error("crontab_text" if isinstance(schedule, Crontab) else "every", str(invalid))


@admin.register(RetrainingPolicy)
class RetrainingPolicyAdmin(GrantedAdmin):
    """Made, changed and deleted by the services, like those of the API."""

    form = RetrainingPolicyForm
    list_display = ["name", "workspace", "task", "base_model", "rank", "enabled", "time", "last_swept_at"]
    list_filter = ["workspace", choice_filter("task", title="task", choices=task_choices), "enabled"]
    search_fields = ["pk", "name__icontains"]
    list_select_related = ["workspace", "base_model", "crontab", "interval"]
    autocomplete_fields = ["workspace"]
    actions = ["sweep_selected"]
    actions_detail = ["dry_run"]

    def get_fieldsets(self, request: HttpRequest, obj: RetrainingPolicy | None = None) -> Any:
        shown = [] if obj is None else ["last_swept_at", "created_at"]
        due = ["new_documents", "new_share", "max_age_days", "minimum_documents"]
        training = ["hyperparameters", "seed", "exact", "held_out_share", "held_out_most", "adapters_kept"]
        return [
            (None, {"fields": ["workspace", "name", "task", "base_model", "rank", "enabled", *shown]}),
            ("When", {"fields": list(_SCHEDULE_FIELDS) if self._may_change(request, obj) else ["time"]}),
            ("Who is due", {"fields": due}),
            ("Budget of a sweep", {"fields": ["budget_users", "budget_minutes", "order"]}),
            ("Training", {"fields": training}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: RetrainingPolicy | None = None) -> list[str]:
        fixed = [] if obj is None else ["workspace", "task", "base_model", "rank"]
        return [*fixed, "time", "last_swept_at", "created_at"]

    def get_urls(self) -> list[URLPattern]:
        due = path("<int:retraining_policy_id>/due/", self.admin_site.admin_view(self.due), name="retraining-due")
        return [due, *super().get_urls()]

    @admin.display(description="when")
    def time(self, policy: RetrainingPolicy) -> str:
        """Its time, in beat's words."""
        return str(policy.crontab or policy.interval or "by hand")

    def save_model(self, request: HttpRequest, obj: RetrainingPolicy, form: RetrainingPolicyForm, change: bool) -> None:
        """By the services, which keep beat's tables and the audit log."""
        given = {name: value for name, value in form.cleaned_data.items() if name not in _SCHEDULE_FIELDS}
        by = actor_of_staff(request)
        if change:
            changes = {name: value for name, value in given.items() if name in CHANGEABLE}
            change_policy(policy=obj, by=by, **changes, **{SCHEDULE: form.schedule})
        else:
            obj.pk = create_policy(**given, schedule=form.schedule, by=by).pk

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not while somebody is being retrained by it."""
        if obj is not None and Retraining.objects.filter(sweep__policy=obj, state__in=UNDER_WAY).exists():
            return False
        return super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its sweeps go with it, which nobody deletes alone."""
        return [str(one) for one in objs], {"retraining policies": len(objs)}, set(), []

    def delete_model(self, request: HttpRequest, obj: RetrainingPolicy) -> None:
        delete_policy(policy=obj, by=actor_of_staff(request))

    def get_actions(self, request: HttpRequest) -> Any:
        """One by one: each may be kept by whoever is being retrained."""
        found = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    @admin.action(description="Sweep now", permissions=["change"])
    def sweep_selected(self, request: HttpRequest, queryset: QuerySet[RetrainingPolicy]) -> None:
        """Have a worker start a sweep of each."""
        policies = self.changeable(request, queryset)
        for policy in policies:
            sweep_now(policy=policy, asked_by=f"staff {request.user.pk}", by=actor_of_staff(request))
        self.message_user(request, f"{len(policies)} will be swept by a worker.", messages.SUCCESS)

    @action(description="Dry run")
    def dry_run(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that lists who is due."""
        return redirect(reverse("admin:retraining-due", args=[object_id]))

    def due(self, request: HttpRequest, retraining_policy_id: int) -> HttpResponse:
        """Who would be retrained now, and why; sent, the sweep that retrains them."""
        policy = self.get_object(request, str(retraining_policy_id))
        if policy is None:
            return redirect(reverse("admin:training_app_retrainingpolicy_changelist"))
        may_sweep = self.has_change_permission(request, policy)
        if request.method == "POST" and may_sweep:
            sweep_now(policy=policy, asked_by=f"staff {request.user.pk}", by=actor_of_staff(request))
            self.message_user(request, "A worker starts the sweep.", messages.SUCCESS)
            return redirect(reverse("admin:training_app_retrainingsweep_changelist"))
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET"])
        try:
            due, gone = who_is_due(policy=policy), False
        except UnknownTask:
            due, gone = [], True
        rows = [
            {
                "end_user_id": one.end_user_id,
                "external_id": one.external_id,
                "why": in_words(one.reasons),
                "new": one.new,
                "removed": one.removed,
                "age": one.age,
            }
            for one in due[:_MOST_SHOWN]
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Dry run of {policy.name}",
            "opts": self.opts,
            "policy": policy,
            "due": rows,
            "count": len(due),
            "gone": gone,
            "may_sweep": may_sweep,
        }
        return TemplateResponse(request, "admin/training_app/retrainingpolicy/due.html", context)

    def _may_change(self, request: HttpRequest, obj: RetrainingPolicy | None) -> bool:
        return self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)


@admin.register(RetrainingSweep)
class RetrainingSweepAdmin(ReadOnlyAdmin):
    """What a policy's look at its people has led to."""

    list_display = ["id", "policy", "standing", "asked_by", "due", "beyond_budget", "started_at", "finished_at"]
    list_filter = ["policy", "state", "started_at"]
    search_fields = ["pk", "policy__name__icontains"]
    list_select_related = ["policy"]
    actions = ["cancel_sweeps"]
    fields = [
        "policy",
        "standing",
        "asked_by",
        "due",
        "counts",
        "seconds",
        "rules",
        "started_at",
        "finished_at",
    ]
    readonly_fields = ["standing", "counts", "seconds"]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Whether the action is for whoever asks."""
        return self.granted(request, role=self.least_role_to_change)

    @display(description="State", label=_SWEEP_COLORS)
    def standing(self, sweep: RetrainingSweep) -> str:
        """Where it stands, as a word in a colour."""
        return sweep.state

    @admin.display(description="What has come of them")
    def counts(self, sweep: RetrainingSweep) -> str:
        """How many retrainings are in each state."""
        counted = counts_of(workspace=sweep.policy.workspace, sweeps=[sweep])[sweep.pk].by_state
        labels = dict(Retraining.State.choices)
        return "; ".join(f"{number:,}: {labels[state]}" for state, number in counted.items() if number) or "nobody"

    @admin.display(description="Seconds of training")
    def seconds(self, sweep: RetrainingSweep) -> float:
        """Summed over the users."""
        return counts_of(workspace=sweep.policy.workspace, sweeps=[sweep])[sweep.pk].training_seconds

    @admin.action(description="Cancel the selected sweeps", permissions=["cancel"])
    def cancel_sweeps(self, request: HttpRequest, queryset: QuerySet[RetrainingSweep]) -> None:
        """Let nobody else of them begin."""
        by = actor_of_staff(request)
        count = sum(cancel_sweep(sweep=sweep, by=by) for sweep in self.changeable(request, queryset))
        self.message_user(request, f"{count} cancelled; who is being retrained comes to their end.", messages.SUCCESS)


@admin.register(Retraining)
class RetrainingAdmin(ReadOnlyAdmin):
    list_display = ["id", "sweep", "position", "end_user", "task", "standing", "why", "training_seconds", "finished_at"]
    list_filter = [choice_filter("task", title="task", choices=task_choices), "state"]
    search_fields = ["pk", "sweep__id", "end_user__external_id"]
    list_select_related = ["end_user", "sweep"]
    deferred = ["document_ids", "held_out_ids"]
    fields = [
        "sweep",
        "position",
        "end_user",
        "task",
        "base_model",
        "rank",
        "standing",
        "why",
        "reason",
        "scores",
        "old_adapter",
        "trial_adapter",
        "new_adapter",
        "training_seconds",
        "started_at",
        "finished_at",
    ]
    readonly_fields = ["standing", "why"]

    @display(description="State", label=_RETRAINING_COLORS)
    def standing(self, retraining: Retraining) -> str:
        """Where it stands, as a word in a colour."""
        return retraining.state

    @admin.display(description="why due")
    def why(self, retraining: Retraining) -> str:
        """In words."""
        return in_words(retraining.due_for) or "-"


@admin.register(LearnedProfile)
class LearnedProfileAdmin(ReadOnlyAdmin):
    list_display = ["id", "end_user", "task", "base_model", "rank", "documents", "added", "removed", "at", "lost"]
    list_filter = [choice_filter("task", title="task", choices=task_choices), "base_model", "lost"]
    search_fields = ["pk", "end_user__external_id"]
    list_select_related = ["end_user", "base_model"]
    fields = [
        "end_user", "task", "task_version", "base_model", "rank", "documents", "added", "removed", "at", "lost",
    ]  # fmt: skip


@admin.register(ServingChoice)
class ServingChoiceAdmin(ReadOnlyAdmin):
    list_display = ["id", "end_user", "task", "base_model", "adapter", "serves_none", "by", "reason", "at"]
    list_filter = [choice_filter("task", title="task", choices=task_choices), "base_model", "by", "serves_none"]
    search_fields = ["pk", "end_user__external_id"]
    list_select_related = ["end_user", "base_model", "adapter"]
    fields = [
        "end_user", "task", "base_model", "adapter", "serves_none", "by", "retraining", "better_than_none", "reason",
        "at",
    ]  # fmt: skip
