"""Who: workspaces and their staff, end users, and the documents that make up an end user's profile.

A foreign key that leads another index of its table has none of its own (`db_index=False`), here and in the apps above.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Workspace(models.Model):
    """One tenant. Nothing of a workspace is visible from another."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

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


class EndUser(models.Model):
    """A person whose profile personalizes outputs. The external id is the client's name for them."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="end_users", db_index=False)
    external_id = models.TextField()
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
