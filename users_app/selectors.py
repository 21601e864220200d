"""Reads of who and what: always in one workspace, and a user's data only by saying whose."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, Count, Max, QuerySet

from common.compiled_queries import CompiledQuery
from users_app.models import AuditEntry, Document, EndUser, ErasureReceipt, Membership, ProfileEntry, Workspace


class UnknownWorkspace(LookupError):
    """No workspace has that name."""


class UnknownDocuments(LookupError):
    """Some of the documents asked for are not this end user's, or are gone."""

    safe_message = True


def workspace_by_slug(slug: str) -> Workspace:
    """Return the workspace named `slug`; raises `UnknownWorkspace`."""
    workspace = Workspace.objects.filter(slug=slug).first()
    if workspace is None:
        raise UnknownWorkspace(f"There is no workspace “{slug}”.")
    return workspace


def named_or_only_workspace(slug: str | None) -> Workspace:
    """Return the workspace named `slug`, or where none is named the only one there is.

    Raises `UnknownWorkspace` where there is no such workspace, or a choice of several.
    """
    if slug is not None:
        return workspace_by_slug(slug)
    found = list(Workspace.objects.order_by("slug")[:20])
    if len(found) != 1:
        raise UnknownWorkspace(
            f"There are several workspaces; name one: {', '.join(workspace.slug for workspace in found)}."
            if found
            else "There is no workspace yet. Import a dataset with `manage.py import_lamp`."
        )
    return found[0]


def workspace_by_id(workspace_id: int | None) -> Workspace | None:
    """Return the workspace with that id, None where it is gone."""
    return None if workspace_id is None else Workspace.objects.filter(pk=workspace_id).first()


def end_user_by_id(*, workspace: Workspace, end_user_id: int | None) -> EndUser | None:
    """Return an end user of `workspace`, None where they are gone."""
    return None if end_user_id is None else end_users(workspace=workspace).filter(pk=end_user_id).first()


def end_user_by_external_id(*, workspace: Workspace, external_id: str) -> EndUser | None:
    """Return the end user of `workspace` whom the client calls so, None where there is none."""
    found: EndUser | None = _END_USER_NAMED.first(workspace.pk, external_id)
    if found is not None:
        found.workspace = workspace
    return found


_END_USER_NAMED: Final = CompiledQuery(
    lambda workspace, external_id: EndUser.objects.filter(workspace=workspace, external_id=external_id),
    EndUser._meta.get_field("workspace"),
    EndUser._meta.get_field("external_id"),
)


def erasures_so_far() -> tuple[int | None, int]:
    """The id of the newest receipt of an erasure, in whichever workspace, and how many there are.

    One whose transaction took longer may have a lower id than one that was seen already: then the number tells.
    """
    seen = ErasureReceipt.objects.aggregate(newest=Max("pk"), number=Count("pk"))
    return seen["newest"], seen["number"]


def erasures(*, workspace: Workspace) -> QuerySet[ErasureReceipt]:
    """The receipts of one workspace's erasures."""
    return ErasureReceipt.objects.filter(workspace=workspace)


def audit_entries(
    *, workspace: Workspace, action: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> QuerySet[AuditEntry]:
    """What was recorded in one workspace, of one action or all, from `since` on and before `until`.

    Each comes with the end user whom it names, where they have not been erased.
    """
    found = AuditEntry.objects.filter(workspace=workspace).select_related("end_user")
    asked = {"action": action, "at__gte": since, "at__lt": until}
    return found.filter(**{lookup: value for lookup, value in asked.items() if value is not None})


def role_of(*, workspace: Workspace, user_id: int) -> str | None:
    """Return the role that a member of staff has in `workspace`, None for a stranger."""
    return Membership.objects.filter(workspace=workspace, user_id=user_id).values_list("role", flat=True).first()


def end_users(*, workspace: Workspace) -> QuerySet[EndUser]:
    """All end users of one workspace, each of which knows it without another query."""
    return workspace.end_users.all()


def documents_of(*, workspace: Workspace, end_user: EndUser, task: str) -> QuerySet[Document]:
    """Every document ever stored of one end user for one task, whether in a live profile or in a snapshot."""
    return Document.objects.filter(end_user=end_user, end_user__workspace=workspace, task=task)


def lock_end_users(*, workspace: Workspace, end_user_ids: Collection[int]) -> None:
    """Let nobody change these end users' profiles or erase them until the transaction ends.

    Whoever locks end users locks them before anything of theirs, by their ids in order, so that none waits for another
    in a circle. Raises `EndUser.DoesNotExist` where one is gone, or of another workspace.
    """
    if len(_LOCKED_END_USERS(workspace.pk, list(set(end_user_ids)))) != len(set(end_user_ids)):
        raise EndUser.DoesNotExist


_LOCKED_END_USERS: Final = CompiledQuery(
    lambda workspace, ids: (
        EndUser.objects.select_for_update(no_key=True)
        .filter(workspace=workspace, pk__any=ids)
        .order_by("pk")
        .values_list("pk", flat=True)
    ),
    EndUser._meta.get_field("workspace"),
    ArrayField(BigIntegerField()),
)


def document_counts(*, workspace: Workspace, end_user: EndUser) -> dict[str, int]:
    """How many documents stand in the live profile, by task; tasks without one are left out."""
    counted = profile_entries(workspace=workspace, end_user=end_user).order_by("task").values_list("task")
    return dict(counted.annotate(count=Count("pk")))


def profile_entries(*, workspace: Workspace, end_user: EndUser) -> QuerySet[ProfileEntry]:
    """The live profile of one end user, of every task."""
    return ProfileEntry.objects.filter(end_user=end_user, end_user__workspace=workspace, removed_at__isnull=True)


def profile_document_ids(*, workspace: Workspace, end_user: EndUser, task: str) -> list[int]:
    """The live profile as ids of documents, in its order, repetitions included."""
    return _PROFILE_DOCUMENT_IDS(workspace.pk, end_user.pk, task)


_PROFILE_DOCUMENT_IDS: Final = CompiledQuery(
    lambda workspace, end_user, task: (
        ProfileEntry.objects.filter(
            end_user=end_user, end_user__workspace=workspace, task=task, removed_at__isnull=True
        )
        .order_by("position")
        .values_list("document_id", flat=True)
    ),
    EndUser._meta.get_field("workspace"),
    ProfileEntry._meta.get_field("end_user"),
    ProfileEntry._meta.get_field("task"),
)


def visible_documents(*, workspace: Workspace, end_user: EndUser, task: str) -> list[Document]:
    """The live profile: its documents in profile order, a repeated one as often as it stands there."""
    document_ids = profile_document_ids(workspace=workspace, end_user=end_user, task=task)
    return snapshot_documents(workspace=workspace, end_user=end_user, task=task, document_ids=document_ids)


def snapshot_documents(
    *, workspace: Workspace, end_user: EndUser, task: str, document_ids: Sequence[int]
) -> list[Document]:
    """The documents of a snapshot in its order, repetitions included.

    Raises `UnknownDocuments` where an id is not a document of this end user and task: a snapshot never reaches
    through the wall.
    """
    found = {one.pk: one for one in _DOCUMENTS(workspace.pk, end_user.pk, task, list(set(document_ids)))}
    try:
        return [found[document_id] for document_id in document_ids]
    except KeyError as missing:
        raise UnknownDocuments(f"Document {missing} is not one of end user {end_user.pk} for {task}.") from None


_DOCUMENTS: Final = CompiledQuery(
    lambda workspace, end_user, task, ids: Document.objects.filter(
        end_user=end_user, end_user__workspace=workspace, task=task, pk__any=ids
    ),
    EndUser._meta.get_field("workspace"),
    Document._meta.get_field("end_user"),
    Document._meta.get_field("task"),
    ArrayField(BigIntegerField()),
)


def workspaces_of_staff(*, user: AbstractBaseUser | AnonymousUser) -> QuerySet[Workspace]:
    """The workspaces that a person may see: those of which they are members; all of them for a superuser."""
    workspaces = Workspace.objects.order_by("slug")
    if getattr(user, "is_superuser", False):
        return workspaces
    return workspaces.filter(memberships__user=user.pk)


def workspaces_granted(user: AbstractBaseUser | AnonymousUser, role: str) -> Collection[int] | None:
    """The ids of the workspaces in which a person has `role` or a higher one; None for a superuser, who has all."""
    if getattr(user, "is_superuser", False):
        return None
    roles = Membership.Role.values
    enough = roles[roles.index(role) :]
    return list(Membership.objects.filter(user=user.pk, role__in=enough).values_list("workspace_id", flat=True))
