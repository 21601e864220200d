"""Changes to who and what: workspaces, members, end users and their live profiles."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from users_app.audit import INSTALLATION, Actor, record
from users_app.documents import document_date_key, document_digest
from users_app.models import AuditEntry, Document, EndUser, Membership, ProfileEntry, Workspace


def ensure_workspace(*, slug: str, name: str = "") -> tuple[Workspace, bool]:
    """Return the workspace named `slug` and whether it was made just now."""
    return Workspace.objects.get_or_create(slug=slug, defaults={"name": name or slug})


@transaction.atomic
def set_role(*, workspace: Workspace, user_id: int, role: str, by: Actor = INSTALLATION) -> Membership:
    """Make a member of staff of `workspace`, or change what they may do there."""
    held = _held_membership(workspace=workspace, user_id=user_id)
    membership, _ = Membership.objects.update_or_create(workspace=workspace, user_id=user_id, defaults={"role": role})
    _record_role(membership, before=None if held is None else held.role, after=role, by=by)
    return membership


@transaction.atomic
def end_membership(*, workspace: Workspace, user_id: int, by: Actor = INSTALLATION) -> None:
    """Let somebody be no member of `workspace` any more, if they are one."""
    held = _held_membership(workspace=workspace, user_id=user_id)
    if held is not None:
        _record_role(held, before=held.role, after=None, by=by)
        held.delete()


def _held_membership(*, workspace: Workspace, user_id: int) -> Membership | None:
    """Locked, so that two changes are recorded one after the other."""
    return Membership.objects.select_for_update().filter(workspace=workspace, user_id=user_id).first()


def _record_role(membership: Membership, *, before: str | None, after: str | None, by: Actor) -> None:
    if before != after:
        record(
            workspace=membership.workspace,
            action=AuditEntry.Action.MEMBERSHIP_CHANGED,
            by=by,
            subject=membership.user.get_username(),
            details={"from": before, "to": after},
        )


def ensure_end_user(*, workspace: Workspace, external_id: str) -> EndUser:
    """Return the end user the client calls `external_id`, made if need be."""
    return put_end_user(workspace=workspace, external_id=external_id)[0]


def put_end_user(*, workspace: Workspace, external_id: str) -> tuple[EndUser, bool]:
    """Return the end user the client calls `external_id`, and whether they were made just now."""
    return EndUser.objects.get_or_create(workspace=workspace, external_id=external_id)


@transaction.atomic
def put_document(
    *, workspace: Workspace, end_user: EndUser, task: str, client_id: str, fields: Mapping[str, Any]
) -> ProfileEntry:
    """Let `client_id` stand for `fields` in the live profile: a new entry, the same one, or a replaced one.

    Content is immutable: changed fields are another document, and the entry of the old one is marked removed. No
    listener hears of it (`users_app.profiles.put_documents` tells them): whoever calls this embeds by themselves.
    """
    # One writer a profile at a time, so that positions and the live entry of a client id stay unique.
    EndUser.objects.select_for_update().get(pk=end_user.pk, workspace=workspace)
    document, _ = Document.objects.get_or_create(
        end_user=end_user,
        task=task,
        digest=document_digest(fields),
        defaults={"fields": dict(fields), "date_key": document_date_key(fields)},
    )
    live = ProfileEntry.objects.filter(end_user=end_user, task=task, client_id=client_id, removed_at__isnull=True)
    standing = live.first()
    if standing is not None and standing.document_id == document.pk:
        return standing
    live.update(removed_at=Now())
    last = ProfileEntry.objects.filter(end_user=end_user, task=task).aggregate(last=Max("position"))["last"]
    return ProfileEntry.objects.create(
        end_user=end_user,
        task=task,
        client_id=client_id,
        document=document,
        position=0 if last is None else last + 1,
    )


@transaction.atomic
def remove_document(*, workspace: Workspace, end_user: EndUser, task: str, client_id: str) -> bool:
    """Take `client_id` out of the live profile; False where it did not stand there. Snapshots keep the document."""
    EndUser.objects.select_for_update().get(pk=end_user.pk, workspace=workspace)
    live = ProfileEntry.objects.filter(end_user=end_user, task=task, client_id=client_id, removed_at__isnull=True)
    return live.update(removed_at=Now()) == 1
