"""Who: workspaces and their staff, end users, and the documents that make up an end user's profile.

A foreign key that leads another index of its table has none of its own (`db_index=False`), here and in the apps above.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

_LIMIT = "Empty: as the installation has it."


class Quota(models.TextChoices):
    """What a workspace may have so much of, and how much of it is counted (`Usage`)."""

    DOCUMENTS = "documents", "documents"
    ADAPTERS = "adapters", "adapters"
    BYTES = "bytes", "bytes of documents and adapters"
    GENERATIONS_A_DAY = "generations_a_day", "generations a day (UTC)"


class SharedTraining(models.TextChoices):
    """Whose data may go into models that are trained over many end users of a workspace."""

    NOBODY = "nobody", "nobody's"
    AGREED = "agreed", "that of users who have agreed"
    EVERYONE = "everyone", "everyone's"


class Workspace(models.Model):
    """One tenant. Nothing of a workspace is visible from another."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # Here and not in a table of their own: whoever has the workspace knows its limits without another query.
    quota_documents = models.PositiveBigIntegerField(null=True, blank=True, help_text=_LIMIT)
    quota_adapters = models.PositiveBigIntegerField(null=True, blank=True, help_text=_LIMIT)
    quota_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text=_LIMIT)
    quota_generations_a_day = models.PositiveBigIntegerField(null=True, blank=True, help_text=_LIMIT)
    # Selectors and encoders are trained over many end users at once; adapters, of one user's own data, never are.
    shared_training = models.CharField(
        max_length=10,
        choices=SharedTraining,
        default=SharedTraining.AGREED,
        help_text="Whose data selectors and fine-tuned encoders may be trained on.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(shared_training__in=["nobody", "agreed", "everyone"]),
                name="workspace_shared_training_is_known",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """What a member of staff may do in a workspace."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "may look"
        RESEARCHER = "researcher", "may import and compare"
        ADMIN = "admin", "may also manage members, keys and users"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="membership_once_a_workspace"),
            models.CheckConstraint(
                condition=Q(role__in=["viewer", "researcher", "admin"]), name="membership_role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.workspace}: {self.role}"


class Scope(models.TextChoices):
    """What an API key may be used for."""

    PROFILES = "profiles", "profiles: end users and their documents"
    GENERATE = "generate", "generate: generations, previews and feedback"
    TRAIN = "train", "train: adapters"
    READ = "read", "read: look at tasks, jobs, datasets, experiments, runs and usage"
    MANAGE = (
        "manage",
        "manage: define tasks, erase and export users, start imports and experiments, see their predictions, cancel "
        "jobs, have webhooks, read the audit log",
    )


class ApiKey(models.Model):
    """A program's way into one workspace. The key itself is shown once; a hash and its public beginning are kept."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, help_text="What uses it, for people to tell keys apart.")
    prefix = models.CharField(max_length=20, unique=True, editable=False)
    secret_digest = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope))
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Its own rate limit; empty for the installation's."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Not accepted from then on; empty: no end.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Written at most once a minute.
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="api_key_is_named"),
            models.CheckConstraint(
                condition=Q(scopes__len__gt=0, scopes__contained_by=list(Scope.values)), name="api_key_scopes_are_known"
            ),
            models.CheckConstraint(
                condition=Q(requests_per_minute__isnull=True) | Q(requests_per_minute__gt=0),
                name="api_key_rate_is_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class EndUser(models.Model):
    """A person whose profile personalizes outputs. The external id is the client's name for them."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="end_users", db_index=False)
    external_id = models.TextField()
    # When they agreed that models of the whole workspace learn from their data too; null: they have not.
    agreed_to_shared_training_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "external_id"], name="end_user_once_a_workspace"),
            models.CheckConstraint(condition=~Q(external_id=""), name="end_user_has_an_external_id"),
        ]

    def __str__(self) -> str:
        return f"end user {self.pk}"


class Document(models.Model):
    """Immutable content of one end user, unique by end user, task and digest (date included)."""

    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="documents", db_index=False)
    task = models.CharField(max_length=100)
    # sha256 of the canonical JSON of `fields`.
    digest = models.BinaryField(max_length=32)
    # The profile entry as it came, without its id; `date` among the fields where there is one.
    fields = models.JSONField()
    # The date as a tuple of ints, which is how dates are ordered; null where the entry has none.
    date_key = ArrayField(models.BigIntegerField(), null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["end_user", "task", "digest"], name="document_once_a_user_and_task"),
        ]

    def __str__(self) -> str:
        return f"document {self.pk}"


class ProfileEntry(models.Model):
    """One place in an end user's live profile for a task: the client's id, and the content that stands there."""

    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="profile_entries", db_index=False)
    task = models.CharField(max_length=100)
    client_id = models.TextField()
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="profile_entries")
    position = models.BigIntegerField()
    added_at = models.DateTimeField(db_default=Now(), editable=False)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "profile entries"
        constraints = [
            models.UniqueConstraint(
                fields=["end_user", "task", "client_id"],
                condition=Q(removed_at__isnull=True),
                name="profile_entry_live_once_a_client_id",
            ),
            models.UniqueConstraint(fields=["end_user", "task", "position"], name="profile_entry_position_once"),
            models.CheckConstraint(
                condition=Q(removed_at__isnull=True) | Q(removed_at__gte=F("added_at")),
                name="profile_entry_removed_after_added",
            ),
        ]

    def __str__(self) -> str:
        return f"profile entry {self.pk}"


class ProfileTally(models.Model):
    """How many entries a live profile holds, and how many were ever added to it and removed from it.

    Triggers on profile entries keep it, so that which profiles have changed is known from one row of each.
    """

    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="profile_tallies", db_index=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+", db_index=False)
    task = models.CharField(max_length=100)
    added = models.BigIntegerField()
    removed = models.BigIntegerField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "profile tallies"
        constraints = [
            models.UniqueConstraint(fields=["end_user", "task"], name="profile_tally_once"),
            models.CheckConstraint(
                condition=Q(removed__gte=0, added__gte=F("removed")), name="profile_tally_is_possible"
            ),
        ]
        indexes = [models.Index(fields=["workspace", "task"], name="profile_tally_by_workspace")]

    def __str__(self) -> str:
        return f"profile tally {self.pk}"


class ErasureReceipt(models.Model):
    """That something was erased, when, and how much; never whose it was (see `users_app.erasure`)."""

    class Scope(models.TextChoices):
        END_USER = "end_user", "an end user"
        DOCUMENT = "document", "a document"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="erasures", db_index=False)
    scope = models.CharField(max_length=20, choices=Scope)
    # Kind of row to how many are gone; "objects" are files of the object store.
    removed = models.JSONField()
    # What is still to be deleted from the object store: prefixes, which name no person.
    prefixes = ArrayField(models.TextField(), default=list, blank=True)
    requested_at = models.DateTimeField(db_default=Now(), editable=False)
    # Null while files are left.
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(scope__in=["end_user", "document"]), name="erasure_scope_is_known"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | Q(prefixes=[]), name="erasure_finished_leaves_no_objects"
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "id"], name="erasure_by_workspace"),
            models.Index(fields=["id"], condition=Q(finished_at__isnull=True), name="erasure_unfinished"),
        ]

    def __str__(self) -> str:
        return f"erasure {self.pk}"


class WorkspaceTask(models.Model):
    """One version of a task of a workspace's own. It never changes; the one in force has the highest number."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    key = models.CharField(max_length=100)
    number = models.PositiveIntegerField()
    # `lamp.tasks.Task.version`: what the definition says names it, so an earlier one may be in force again.
    version = models.CharField(max_length=64)
    # As `lamp.task_definitions` writes it.
    definition = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "key", "number"], name="workspace_task_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="workspace_task_number_counts_from_one"),
            models.CheckConstraint(condition=~Q(key=""), name="workspace_task_has_a_key"),
        ]

    def __str__(self) -> str:
        return f"{self.key}, version {self.number}"


class WebhookEndpoint(models.Model):
    """Where a workspace wants to be told of which events. Its secret is derived (`users_app.webhook_signing`)."""

    class Disabled(models.TextChoices):
        """Why nothing is sent there."""

        ASKED = "asked", "a client asked for it"
        GONE = "gone", "it answered 410: nobody listens there any more"
        FAILING = "failing", "it has answered nothing but failures for days"
        BACKLOG = "backlog", "too many deliveries waited for it"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="webhooks", db_index=False)
    url = models.TextField(max_length=2_000)
    event_types = ArrayField(models.CharField(max_length=50))
    # What the signing secrets are derived from, with the installation's key; the earlier one signs until its time.
    secret_salt = models.BinaryField(max_length=32)
    secret_number = models.PositiveIntegerField(default=1)
    previous_salt = models.BinaryField(max_length=32, null=True)
    previous_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=20, choices=Disabled, blank=True, default="")
    # Its client has deleted it: a sweep deletes its deliveries, of which there may be millions, and then the row.
    removed_at = models.DateTimeField(null=True, blank=True)
    # Since when there was no success; how many attempts in a row had no answer at all, and until when it is spared.
    failing_since = models.DateTimeField(null=True, blank=True)
    unanswered = models.PositiveIntegerField(default=0)
    resting_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(url=""), name="webhook_has_a_url"),
            models.CheckConstraint(
                condition=Q(event_types__len__gt=0, event_types__len__lte=20), name="webhook_hears_of_something"
            ),
            models.CheckConstraint(
                condition=Q(disabled_at__isnull=True, disabled_reason="")
                | Q(disabled_at__isnull=False, disabled_reason__in=["asked", "gone", "failing", "backlog"]),
                name="webhook_disabled_has_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(removed_at__isnull=True) | Q(disabled_at__isnull=False), name="webhook_removed_is_disabled"
            ),
            models.CheckConstraint(
                condition=Q(previous_salt__isnull=True, previous_until__isnull=True)
                | Q(previous_salt__isnull=False, previous_until__isnull=False),
                name="webhook_previous_secret_has_an_end",
            ),
        ]
        indexes = [
            # Its leading part is what every event looks into.
            models.Index(fields=["workspace", "id"], name="webhook_by_workspace"),
            models.Index(fields=["id"], condition=Q(removed_at__isnull=False), name="webhook_removed"),
        ]

    def __str__(self) -> str:
        return f"webhook {self.pk}"


class WebhookDelivery(models.Model):
    """One event that one endpoint is to be told of, by number alone: what is sent is read when it is sent."""

    class State(models.TextChoices):
        PENDING = "pending", "it is sent, or tried again"
        DELIVERED = "delivered", "it was answered with success"
        FAILED = "failed", "it was tried to the end"
        DROPPED = "dropped", "it was given up: what it was about is gone, or the endpoint is disabled"

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    # By which the receiver knows the event again, however often it comes.
    message_id = models.UUIDField(db_default=RandomUUID(), editable=False)
    event_type = models.CharField(max_length=50)
    # Which one, and how it ended: a generation's or job's number and state. Null and empty for a ping.
    subject_id = models.BigIntegerField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True, default="")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    # Of the last attempt: the status, or a word for why there was none (`common.outgoing.Answer`); why it was dropped.
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "event_type", "subject_id", "outcome"],
                condition=Q(subject_id__isnull=False),
                name="webhook_delivery_once_an_event",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", finished_at__isnull=True, next_attempt_at__isnull=False)
                | Q(
                    state__in=["delivered", "failed", "dropped"],
                    finished_at__isnull=False,
                    next_attempt_at__isnull=True,
                ),
                name="webhook_delivery_state_has_its_times",
            ),
        ]
        indexes = [
            models.Index(fields=["endpoint", "id"], name="webhook_delivery_by_endpoint"),
            # Of what waits: what is overdue, and for whom.
            models.Index(
                fields=["next_attempt_at", "endpoint"], condition=Q(state="pending"), name="webhook_delivery_waiting"
            ),
            models.Index(
                fields=["finished_at"], condition=Q(finished_at__isnull=False), name="webhook_delivery_by_end"
            ),
        ]

    def __str__(self) -> str:
        return f"webhook delivery {self.pk}"


class Usage(models.Model):
    """A change of how much a workspace has of something: what it has is the sum.

    Triggers on documents, adapters and generations add rows here, so that whatever stores and deletes them is counted
    and nobody waits for anybody; a sweep puts rows together (`users_app.usage`). No foreign key: each request would
    touch the workspace's row. When a workspace is deleted, a trigger takes its rows away.
    """

    workspace_id = models.BigIntegerField()
    what = models.CharField(max_length=20, choices=Quota)
    # The day in UTC, where it is counted by the day.
    day = models.DateField(null=True)
    amount = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "usage"
        constraints = [
            models.CheckConstraint(
                condition=Q(what__in=["documents", "adapters", "bytes"], day__isnull=True)
                | Q(what="generations_a_day", day__isnull=False),
                name="usage_is_known_and_dated",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace_id", "what", "day"], include=["amount"], name="usage_by_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.amount:+} {self.what}"


class AuditEntry(models.Model):
    """That something was done that somebody may be asked about: what, when and by whom (`users_app.audit`).

    It names no person but by the foreign key, which erasing the person clears. Triggers refuse every other change, and
    deletion while the workspace stands, but for the retention's. The workspace's own deletion takes its entries away,
    by a trigger too: Django would delete them first, while it still stands.
    """

    class Action(models.TextChoices):
        """What is recorded. Another one stands here, and in the constraint below, with a migration; whatever service
        does it calls `users_app.audit.record` in the transaction in which it is done.
        """

        END_USER_EXPORTED = "end_user.exported", "an end user was exported"
        END_USER_ERASED = "end_user.erased", "an end user was erased"
        DOCUMENT_ERASED = "document.erased", "a document was erased"
        API_KEY_CREATED = "api_key.created", "an API key was made"
        API_KEY_REVOKED = "api_key.revoked", "an API key was revoked"
        IMPORT_STARTED = "import.started", "an import was asked for"
        DATASET_DELETED = "dataset.deleted", "a dataset's deletion was asked for"
        MEMBERSHIP_CHANGED = "membership.changed", "somebody became a member, got another role, or is none any more"
        QUOTA_CHANGED = "quota.changed", "a quota was changed"
        SHARED_TRAINING_CHANGED = "shared_training.changed", "whose data shared models learn from was changed"
        AGREEMENT_CHANGED = "agreement.changed", "an end user agreed to shared training, or no longer does"
        TRAINED_MODEL_WITHDRAWN = "trained_model.withdrawn", "a selector or fine-tuned encoder was withdrawn"
        RETRAINING_POLICY_CREATED = "retraining_policy.created", "a retraining policy was made"
        RETRAINING_POLICY_CHANGED = "retraining_policy.changed", "a retraining policy was changed"
        RETRAINING_POLICY_DELETED = "retraining_policy.deleted", "a retraining policy was deleted"
        RETRAINING_ASKED = "retraining.asked", "somebody asked for a retraining sweep"
        RETRAINING_CANCELLED = "retraining.cancelled", "a retraining sweep was cancelled"
        SERVING_CHOSEN = "serving.chosen", "somebody chose which adapter serves an end user"
        WEBHOOK_CREATED = "webhook.created", "a webhook was made"
        WEBHOOK_CHANGED = "webhook.changed", "a webhook was changed or given a new secret"
        WEBHOOK_DELETED = "webhook.deleted", "a webhook was deleted"

    class ActorKind(models.TextChoices):
        """Who did it."""

        API_KEY = "api_key", "a program, by its API key"
        STAFF = "staff", "a member of staff, in the admin"
        COMMAND = "command", "whoever ran a command"
        INSTALLATION = "installation", "the installation by itself"

    workspace = models.ForeignKey(Workspace, on_delete=models.DO_NOTHING, related_name="audit_entries", db_index=False)
    at = models.DateTimeField(db_default=Now(), editable=False)
    action = models.CharField(max_length=40, choices=Action)
    actor = models.CharField(max_length=20, choices=ActorKind)
    # The key's name, the member's, or the operating system's name of whoever ran the command.
    actor_name = models.CharField(max_length=150, blank=True)
    # No foreign keys: an entry says who it was when they have gone, too.
    key_prefix = models.CharField(max_length=20, blank=True)
    staff_id = models.BigIntegerField(null=True, blank=True)
    # A UUID: a client may word its own so that it says who somebody is.
    request_id = models.CharField(max_length=64, blank=True)
    end_user = models.ForeignKey(
        EndUser, on_delete=models.SET_NULL, null=True, blank=True, related_name="audit_entries", db_index=False
    )
    # What it was done to: the number of a receipt, a webhook, a trained model, a retraining policy or a sweep of one; a
    # key's prefix, a member's name, "dataset/split", a quota.
    subject = models.CharField(max_length=300, blank=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    action__in=[
                        "end_user.exported",
                        "end_user.erased",
                        "document.erased",
                        "api_key.created",
                        "api_key.revoked",
                        "import.started",
                        "dataset.deleted",
                        "membership.changed",
                        "quota.changed",
                        "shared_training.changed",
                        "agreement.changed",
                        "trained_model.withdrawn",
                        "retraining_policy.created",
                        "retraining_policy.changed",
                        "retraining_policy.deleted",
                        "retraining.asked",
                        "retraining.cancelled",
                        "serving.chosen",
                        "webhook.created",
                        "webhook.changed",
                        "webhook.deleted",
                    ]
                ),
                name="audit_action_is_known",
            ),
            models.CheckConstraint(
                condition=Q(actor="api_key", staff_id__isnull=True) & ~Q(key_prefix="")
                | Q(actor="staff", key_prefix="", staff_id__isnull=False)
                | Q(actor__in=["command", "installation"], key_prefix="", staff_id__isnull=True),
                name="audit_actor_is_known",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "-at", "-id"], name="audit_by_workspace"),
            models.Index(fields=["at"], name="audit_by_age"),
            models.Index(fields=["end_user"], condition=Q(end_user__isnull=False), name="audit_by_end_user"),
        ]

    def __str__(self) -> str:
        return f"audit entry {self.pk}"
