"""The rows of retraining: policies, their sweeps, each user's retraining, and which adapter serves since when."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

REASON_LENGTH = 500


class RetrainingPolicy(models.Model):
    """Which adapters of a workspace follow their profiles by themselves, when, and within which budget."""

    class Order(models.TextChoices):
        MOST_CHANGED = "most_changed", "most changed first"
        OLDEST = "oldest", "oldest adapter first"

    workspace = models.ForeignKey(
        "users_app.Workspace", on_delete=models.CASCADE, related_name="retraining_policies", db_index=False
    )
    name = models.CharField(max_length=100)
    task = models.CharField(max_length=100)
    base_model = models.ForeignKey("training_app.BaseModel", on_delete=models.PROTECT, related_name="+")
    rank = models.PositiveIntegerField(default=8)
    # Beside the rank; what is left out is the paper's (`training_app.hyperparameters`).
    hyperparameters = models.JSONField(default=dict, blank=True)
    exact = models.BooleanField(default=False)
    seed = models.BigIntegerField(default=0)
    enabled = models.BooleanField(default=True)

    # When: one of the two, in beat's own tables.
    crontab = models.ForeignKey(
        "django_celery_beat.CrontabSchedule", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    interval = models.ForeignKey(
        "django_celery_beat.IntervalSchedule", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    periodic_task = models.OneToOneField(
        "django_celery_beat.PeriodicTask", on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        editable=False,
    )  # fmt: skip

    # Who is due. Documents that were removed, and an adapter of another version of the task, make due always.
    new_documents = models.PositiveIntegerField(null=True, blank=True, help_text="So many new documents make due.")
    new_share = models.FloatField(
        null=True, blank=True, help_text="New documents of this share of those learned from make due (0.2: a fifth)."
    )
    max_age_days = models.FloatField(null=True, blank=True, help_text="An adapter of this age makes due.")
    minimum_documents = models.PositiveIntegerField(
        default=10, help_text="Whoever has fewer documents of the task is not trained."
    )

    # Of one sweep; empty: without bound.
    budget_users = models.PositiveIntegerField(null=True, blank=True)
    budget_minutes = models.FloatField(null=True, blank=True, help_text="Of training, summed over the users.")
    order = models.CharField(max_length=20, choices=Order, default=Order.MOST_CHANGED)

    # Of the trial: the newest documents are held out of it, this share of the profile and so many at most.
    held_out_share = models.FloatField(default=0.2)
    held_out_most = models.PositiveIntegerField(default=10)

    # Beside the one that serves; of those that retrainings made. A profile that grows for years has made many.
    adapters_kept = models.PositiveIntegerField(
        default=3, db_default=3, help_text="So many earlier adapters of a user stay, to roll back to."
    )

    last_swept_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "retraining policies"
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="retraining_policy_name_once"),
            models.CheckConstraint(condition=~Q(name=""), name="retraining_policy_is_named"),
            models.CheckConstraint(condition=Q(rank__gte=1, rank__lte=256), name="retraining_policy_rank_in_range"),
            models.CheckConstraint(
                condition=Q(crontab__isnull=True) | Q(interval__isnull=True), name="retraining_policy_has_one_schedule"
            ),
            models.CheckConstraint(
                condition=Q(new_documents__isnull=False) | Q(new_share__isnull=False) | Q(max_age_days__isnull=False),
                name="retraining_policy_makes_somebody_due",
            ),
            models.CheckConstraint(
                condition=(Q(new_documents__isnull=True) | Q(new_documents__gte=1))
                & (Q(new_share__isnull=True) | Q(new_share__gt=0))
                & (Q(max_age_days__isnull=True) | Q(max_age_days__gt=0)),
                name="retraining_policy_thresholds_are_positive",
            ),
            # One to learn from, one to measure on.
            models.CheckConstraint(condition=Q(minimum_documents__gte=2), name="retraining_policy_minimum_is_two"),
            models.CheckConstraint(
                condition=(Q(budget_users__isnull=True) | Q(budget_users__gte=1))
                & (Q(budget_minutes__isnull=True) | Q(budget_minutes__gt=0)),
                name="retraining_policy_budget_is_positive",
            ),
            models.CheckConstraint(
                condition=Q(held_out_share__gt=0, held_out_share__lt=1, held_out_most__gte=1),
                name="retraining_policy_holds_out_a_part",
            ),
            models.CheckConstraint(condition=Q(adapters_kept__gte=1), name="retraining_policy_keeps_an_adapter"),
        ]

    def __str__(self) -> str:
        return self.name


class RetrainingSweep(models.Model):
    """One look of a policy at who is due, and what came of it. It never changes once it has ended."""

    class State(models.TextChoices):
        RUNNING = "running", "running"
        DONE = "done", "done"
        CANCELLED = "cancelled", "cancelled"

    policy = models.ForeignKey(RetrainingPolicy, on_delete=models.CASCADE, related_name="sweeps", db_index=False)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    # Who asked: empty where the schedule did, else "api key 3" or "staff 5".
    asked_by = models.CharField(max_length=100, blank=True, default="")
    # The policy's numbers as they were.
    rules = models.JSONField()
    due = models.PositiveIntegerField()
    # Of those due, left to the next sweep by the budget.
    beyond_budget = models.PositiveIntegerField(default=0)
    training_seconds = models.FloatField(default=0.0)
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["policy"], condition=Q(state="running"), name="retraining_sweep_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state="running", finished_at__isnull=True)
                | Q(state__in=["done", "cancelled"], finished_at__isnull=False),
                name="retraining_sweep_ended_has_time",
            ),
        ]
        indexes = [models.Index(fields=["policy", "id"], name="retraining_sweep_by_policy")]

    def __str__(self) -> str:
        return f"sweep {self.pk}"


class Retraining(models.Model):
    """One end user's place in a sweep: why they were due, how the trial went, and what came of it."""

    class State(models.TextChoices):
        WAITING = "waiting", "waits for its turn"
        TRIAL = "trial", "the trial is trained"
        MEASURING = "measuring", "the trial is measured"
        TRAINING = "training", "the new adapter is trained"
        PROMOTED = "promoted", "the new adapter serves"
        KEPT = "kept", "the old adapter stays"
        NONE = "none", "no adapter serves"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        BEYOND_BUDGET = "beyond_budget", "left to the next sweep"

    sweep = models.ForeignKey(RetrainingSweep, on_delete=models.CASCADE, related_name="retrainings", db_index=False)
    end_user = models.ForeignKey(
        "users_app.EndUser", on_delete=models.CASCADE, related_name="retrainings", db_index=False
    )
    # As the policy has them: an unfinished one of a user, task, base model and rank is alone.
    task = models.CharField(max_length=100)
    base_model = models.ForeignKey("training_app.BaseModel", on_delete=models.PROTECT, related_name="+")
    rank = models.PositiveIntegerField()
    state = models.CharField(max_length=15, choices=State, default=State.WAITING)
    # Place in the sweep's order, from 0.
    position = models.PositiveIntegerField()
    # Why: {"first": true}, {"new": 12, "removed": 1, "age_days": 40.5, "task_changed": true, "lost": true} as far as
    # they apply.
    due_for = models.JSONField()
    # What the counts of the profile (`ProfileTally`) were when its documents were read.
    added = models.BigIntegerField(null=True)
    removed = models.BigIntegerField(null=True)
    # How it is trained, as the policy and the installation said when it began: task version, precision,
    # hyperparameters, seed.
    settings = models.JSONField(default=dict, blank=True)
    # The profile in the order of training, repetitions included; those held out of the trial are among them.
    document_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    held_out_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    old_adapter = models.ForeignKey(
        "training_app.Adapter", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    trial_adapter = models.ForeignKey(
        "training_app.Adapter", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    new_adapter = models.ForeignKey(
        "training_app.Adapter", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # By candidate ("none", "old", "trial"): the task's metric on each document held out, in their order.
    scores = models.JSONField(default=dict, blank=True)
    # In words that hold no user's text.
    reason = models.CharField(max_length=REASON_LENGTH, blank=True, default="")
    training_seconds = models.FloatField(default=0.0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["end_user", "task", "base_model", "rank"],
                condition=Q(state__in=["waiting", "trial", "measuring", "training"]),
                name="retraining_of_a_user_once",
            ),
            models.UniqueConstraint(fields=["sweep", "end_user"], name="retraining_once_a_sweep"),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "trial", "measuring", "training"], finished_at__isnull=True)
                | Q(
                    state__in=["promoted", "kept", "none", "failed", "cancelled", "beyond_budget"],
                    finished_at__isnull=False,
                )
                & ~Q(reason=""),
                name="retraining_ended_has_time_and_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["sweep", "state", "position"], name="retraining_by_sweep"),
            models.Index(fields=["end_user", "task", "id"], name="retraining_by_end_user"),
            models.Index(
                fields=["id"],
                condition=Q(state__in=["trial", "measuring", "training"]),
                name="retraining_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"retraining {self.pk}"


UNDER_WAY = (Retraining.State.TRIAL, Retraining.State.MEASURING, Retraining.State.TRAINING)
"""What takes up a place among those that a sweep lets run at once."""
UNFINISHED = (Retraining.State.WAITING, *UNDER_WAY)


class LearnedProfile(models.Model):
    """How much of a profile was learned from, or considered, last: in the counts of `ProfileTally`, so that who is due
    is known without reading profiles.
    """

    end_user = models.ForeignKey(
        "users_app.EndUser", on_delete=models.CASCADE, related_name="learned_profiles", db_index=False
    )
    workspace = models.ForeignKey("users_app.Workspace", on_delete=models.CASCADE, related_name="+", db_index=False)
    task = models.CharField(max_length=100)
    task_version = models.CharField(max_length=64)
    base_model = models.ForeignKey("training_app.BaseModel", on_delete=models.CASCADE, related_name="+")
    rank = models.PositiveIntegerField()
    added = models.BigIntegerField()
    removed = models.BigIntegerField()
    # How many documents, repetitions included.
    documents = models.PositiveIntegerField()
    at = models.DateTimeField(db_default=Now())
    # That the newest adapter was withdrawn since: a trigger on adapters says so.
    lost = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["end_user", "task", "base_model", "rank"], name="learned_profile_once"),
            # Documents that never stood in the live profile (an evaluation's) count as removed ones, so that `removed`
            # may be below zero.
            models.CheckConstraint(
                condition=Q(added__gte=F("removed")) & Q(added__gte=0),
                name="learned_profile_counts_are_possible",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "task", "base_model", "rank"], name="learned_profile_by_workspace")
        ]

    def __str__(self) -> str:
        return f"learned profile {self.pk}"


class ServingChoice(models.Model):
    """That from now on this adapter, or none, answers for an end user; the newest choice counts, the earlier are kept.

    It says nothing of adapters that are trained after it, which serve until the next choice.
    """

    class By(models.TextChoices):
        RETRAINING = "retraining", "a retraining"
        PERSON = "person", "somebody who chose it"

    end_user = models.ForeignKey(
        "users_app.EndUser", on_delete=models.CASCADE, related_name="serving_choices", db_index=False
    )
    task = models.CharField(max_length=100)
    base_model = models.ForeignKey("training_app.BaseModel", on_delete=models.CASCADE, related_name="+")
    # None where `serves_none`, or where the adapter was deleted since.
    adapter = models.ForeignKey(
        "training_app.Adapter", on_delete=models.SET_NULL, null=True, blank=True, related_name="serving_choices"
    )
    serves_none = models.BooleanField(default=False)
    by = models.CharField(max_length=10, choices=By)
    chosen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    api_key_id = models.BigIntegerField(null=True, blank=True)
    retraining = models.ForeignKey(
        Retraining, on_delete=models.SET_NULL, null=True, blank=True, related_name="serving_choices"
    )
    # Whether the evidence says that an adapter is better than none; null: nothing was measured.
    better_than_none = models.BooleanField(null=True)
    reason = models.CharField(max_length=REASON_LENGTH)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(serves_none=False) | Q(adapter__isnull=True), name="serving_choice_of_none_has_no_adapter"
            ),
            models.CheckConstraint(condition=Q(by__in=["retraining", "person"]), name="serving_choice_by_is_known"),
            models.CheckConstraint(condition=~Q(reason=""), name="serving_choice_has_a_reason"),
        ]
        indexes = [models.Index(fields=["end_user", "task", "base_model", "-id"], name="serving_choice_newest")]

    def __str__(self) -> str:
        return f"serving choice {self.pk}"
