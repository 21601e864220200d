"""Live profiles: many documents put at once, and one taken out as if it had never been there."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from common.api.problems import Problem
from users_app import listeners
from users_app.documents import document_date_key, document_digest
from users_app.models import Document, EndUser, ProfileEntry, Quota, Workspace
from users_app.quotas import Room

MOST_DOCUMENTS: Final = 100_000
"""How many documents of a task a live profile may hold."""


class Outcome(StrEnum):
    """What putting a document did to the live profile."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"


@dataclass(frozen=True)
class NewDocument:
    """What a client wants to stand under its id: `fields` hold the date too, where there is one."""

    task: str
    client_id: str
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Put:
    """What became of one document: the digest of its content (hex), and its entry's id."""

    outcome: Outcome
    digest: str
    entry_id: int


@dataclass(eq=False)
class _Place:
    """A place in the live profile while documents are put: an entry that stands, or one that is to be made."""

    document_id: int
    entry: ProfileEntry
    is_new: bool


class ProfileFull(Problem):
    """A task's profile would come to hold more than `MOST_DOCUMENTS`: 409."""

    def __init__(self) -> None:
        self.message = f"A profile holds {MOST_DOCUMENTS:,} documents of a task at most."
        self.remedy = "Delete some, or replace them."
        super().__init__(409, "profile-full", f"{self.message} {self.remedy}")


@transaction.atomic
def put_documents(*, workspace: Workspace, end_user: EndUser, documents: Sequence[NewDocument]) -> list[Put]:
    """Put each document into the live profile, in this order; what became of each, in the same order.

    The same as putting one after the other: an id that comes twice is replaced by itself. A few statements whatever
    their number, under one lock of the end user; listeners hear of what is new in this transaction.

    Raises `EndUser.DoesNotExist` for somebody of another workspace, or who was erased meanwhile, `ProfileFull`, and
    `QuotaExceeded`.
    """
    # One writer a profile at a time; whoever erases this user comes before or after.
    EndUser.objects.select_for_update(no_key=True).get(pk=end_user.pk, workspace=workspace)
    room = Room(workspace=workspace, quotas=[Quota.DOCUMENTS, Quota.BYTES])
    room.look()
    keys = [(document.task, document_digest(document.fields)) for document in documents]
    document_ids, new = _stored(end_user, documents, keys)
    live = _standing(end_user, documents)
    standing = frozenset(live)
    last = _last_positions(end_user, {document.task for document in documents})
    made: list[ProfileEntry] = []
    replaced: list[int] = []
    places: list[tuple[Outcome, _Place]] = []
    for document, key in zip(documents, keys, strict=True):
        place = live.get((document.task, document.client_id))
        if place is not None and place.document_id == document_ids[key]:
            places.append((Outcome.UNCHANGED, place))
            continue
        outcome = Outcome.CREATED
        if place is not None:
            outcome = Outcome.REPLACED
            if place.is_new:
                place.entry.removed_at = Now()  # by the database's clock, when it is inserted
            else:
                replaced.append(place.entry.pk)
        last[document.task] += 1
        entry = ProfileEntry(
            end_user=end_user,
            task=document.task,
            client_id=document.client_id,
            document_id=document_ids[key],
            position=last[document.task],
        )
        made.append(entry)
        place = live[document.task, document.client_id] = _Place(document_ids[key], entry, is_new=True)
        places.append((outcome, place))
    ProfileEntry.objects.filter(pk__in=replaced).update(removed_at=Now())
    ProfileEntry.objects.bulk_create(made)
    created = {entry.task for entry in made if (entry.task, entry.client_id) not in standing}
    # No profile has more live entries than positions, so only long ones are counted.
    _require_room(end_user, [task for task in created if last[task] >= MOST_DOCUMENTS])
    if new:
        listeners.documents_added(workspace=workspace, end_user=end_user, tasks=new)
        room.require()
    return [
        Put(outcome, digest.hex(), place.entry.pk) for (outcome, place), (_, digest) in zip(places, keys, strict=True)
    ]


def _require_room(end_user: EndUser, tasks: Sequence[str]) -> None:
    for task in tasks:
        live = ProfileEntry.objects.filter(end_user=end_user, task=task, removed_at__isnull=True)
        if live.count() > MOST_DOCUMENTS:
            raise ProfileFull


def _stored(
    end_user: EndUser, documents: Sequence[NewDocument], keys: Sequence[tuple[str, bytes]]
) -> tuple[dict[tuple[str, bytes], int], set[str]]:
    """The id of each content by (task, digest), stored if need be; and the tasks of which one is new."""
    fields = {key: document.fields for key, document in zip(keys, documents, strict=True)}
    known = _document_ids(end_user, fields)
    missing = [key for key in fields if key not in known]
    if missing:
        Document.objects.bulk_create(
            (
                Document(
                    end_user=end_user,
                    task=task,
                    digest=digest,
                    fields=dict(fields[task, digest]),
                    date_key=document_date_key(fields[task, digest]),
                )
                for task, digest in missing
            ),
            # An import may be storing the same content.
            ignore_conflicts=True,
        )
        known = _document_ids(end_user, fields)
    return known, {task for task, _ in missing}


def _document_ids(end_user: EndUser, keys: Iterable[tuple[str, bytes]]) -> dict[tuple[str, bytes], int]:
    by_task: defaultdict[str, list[bytes]] = defaultdict(list)
    for task, digest in keys:
        by_task[task].append(digest)
    return {
        (task, bytes(digest)): pk
        for task, digests in by_task.items()
        for pk, digest in Document.objects.filter(end_user=end_user, task=task, digest__in=digests).values_list(
            "pk", "digest"
        )
    }


def _standing(end_user: EndUser, documents: Sequence[NewDocument]) -> dict[tuple[str, str], _Place]:
    by_task: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        by_task[document.task].add(document.client_id)
    return {
        (entry.task, entry.client_id): _Place(entry.document_id, entry, is_new=False)
        for task, ids in by_task.items()
        for entry in ProfileEntry.objects.filter(
            end_user=end_user, task=task, client_id__in=ids, removed_at__isnull=True
        )
    }


def _last_positions(end_user: EndUser, tasks: Iterable[str]) -> defaultdict[str, int]:
    """The last position of each task's profile, removed entries included; -1 where there is none."""
    entries = ProfileEntry.objects.filter(end_user=end_user, task__in=list(tasks))
    found = entries.order_by().values_list("task").annotate(last=Max("position"))
    return defaultdict(lambda: -1, dict(found))
