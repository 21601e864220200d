"""Reads of who and what: always in one workspace, and a user's data only by saying whose."""

from collections.abc import Sequence

from django.db.models import QuerySet

from users_app.models import Document, EndUser, Membership, Workspace


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


def role_of(*, workspace: Workspace, user_id: int) -> str | None:
    """Return the role that a member of staff has in `workspace`, None for a stranger."""
    return Membership.objects.filter(workspace=workspace, user_id=user_id).values_list("role", flat=True).first()


def end_users(*, workspace: Workspace) -> QuerySet[EndUser]:
    """All end users of one workspace."""
    return EndUser.objects.filter(workspace=workspace)


def documents_of(*, workspace: Workspace, end_user: EndUser, task: str) -> QuerySet[Document]:
    """Every document ever stored of one end user for one task, whether in a live profile or in a snapshot."""
    return Document.objects.filter(end_user=end_user, end_user__workspace=workspace, task=task)


def visible_documents(*, workspace: Workspace, end_user: EndUser, task: str) -> list[Document]:
    """The live profile: its documents in profile order, a repeated one as often as it stands there."""
    entries = (
        end_user.profile_entries.filter(end_user__workspace=workspace, task=task, removed_at__isnull=True)
        .order_by("position")
        .values_list("document_id", flat=True)
    )
    return snapshot_documents(workspace=workspace, end_user=end_user, task=task, document_ids=list(entries))


def snapshot_documents(
    *, workspace: Workspace, end_user: EndUser, task: str, document_ids: Sequence[int]
) -> list[Document]:
    """The documents of a snapshot in its order, repetitions included.

    Raises `UnknownDocuments` where an id is not a document of this end user and task: a snapshot never reaches
    through the wall.
    """
    found = documents_of(workspace=workspace, end_user=end_user, task=task).in_bulk(list(set(document_ids)))
    try:
        return [found[document_id] for document_id in document_ids]
    except KeyError as missing:
        raise UnknownDocuments(f"Document {missing} is not one of end user {end_user.pk} for {task}.") from None
