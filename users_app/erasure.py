"""Erasing a person, or one of their documents: all that is known of them, and all that was learned from it."""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from typing import Final, TypeVar

from django.db import OperationalError, transaction
from django.db.models.functions import Now
from psycopg.errors import DeadlockDetected

from common.objects import ObjectStoreError, get_store
from users_app import caches, erasers
from users_app.audit import INSTALLATION, Actor, record
from users_app.erasers import Erasing, ErasingDocuments
from users_app.models import AuditEntry, Document, EndUser, ErasureReceipt, ProfileEntry, Workspace

logger = logging.getLogger(__name__)

# A worker that records an answer looks at the end user last, when it holds the rows that are to be deleted here. One
# of the two then begins again, within a second; several in a row are as many workers.
_ATTEMPTS: Final = 10

Done = TypeVar("Done")


def erase_end_user(*, workspace: Workspace, end_user: EndUser, by: Actor = INSTALLATION) -> ErasureReceipt:
    """Remove everything that is known of `end_user` and what was learned from it; return the receipt.

    Safe to repeat, and while jobs of this user run: a job finds its rows gone and records nothing. Files in the object
    store go after the rows; where the store is away they go as soon as a sweep finds it back, and the receipt is not
    finished before. Workers forget within seconds what they hold in memory.

    The receipt keeps no trace of who it was: not the external id, nor a hash of it. A client's ids are mail addresses,
    names or small numbers, so whoever has the receipt and a list of candidates would find the person by hashing the
    list; a secret key would only make that the privilege of whoever holds the key, and we would still be keeping what
    was to be forgotten. For the same reason nobody is kept from coming back: a client that puts the same external id
    again, or an import whose files hold it, makes a new person.

    Raises `EndUser.DoesNotExist` for somebody of another workspace, and for one who was erased before.
    """
    return _finished(_repeating_deadlocks(lambda: _erase_rows(workspace, end_user, by)))


def erase_document(
    *, workspace: Workspace, end_user: EndUser, task: str, client_id: str, by: Actor = INSTALLATION
) -> ErasureReceipt:
    """Take the document that stands under `client_id` out of the live profile, and whatever stood there before it.

    Its content goes with it unless another id stands for the same, and nothing that was learned from it is used again:
    what an app does about that, its eraser says. Return the receipt.

    Raises `ProfileEntry.DoesNotExist` where nothing stands under that id, `EndUser.DoesNotExist` as above.
    """
    return _finished(_repeating_deadlocks(lambda: _erase_entries(workspace, end_user, task, client_id, by)))


def delete_end_users(
    *, workspace: Workspace, end_user_ids: Collection[int], among: Callable[[], Collection[int]]
) -> ErasureReceipt | None:
    """Remove people of whom nobody asked that they be forgotten, but whom nothing needs any more.

    `among` is called while `end_user_ids` are held against every writer, in the transaction, and says which of them go;
    it is called again where the transaction has to begin again. They go as `erase_end_user` lets one go, with one
    receipt for all of them and no entry in the audit log: whatever they go with has its own.
    """
    receipt = _repeating_deadlocks(lambda: _delete_rows(workspace, end_user_ids, among))
    return None if receipt is None else _finished(receipt)


def finish_erasure(receipt: ErasureReceipt) -> None:
    """Delete the objects that the receipt still names, and mark it as finished. Safe to repeat.

    A prefix that is in use again stays: where the store was away, the same may have been learned anew meanwhile.

    Raises `ObjectStoreError` where the store is away; the receipt then stays as it is.
    """
    store = get_store()
    removed = sum(store.delete_prefix(prefix) for prefix in receipt.prefixes if not erasers.in_use(prefix))
    receipt.removed = {**receipt.removed, "objects": receipt.removed.get("objects", 0) + removed}
    receipt.prefixes = []
    receipt.finished_at = Now()
    receipt.save(update_fields=["removed", "prefixes", "finished_at"])
    receipt.refresh_from_db(fields=["finished_at"])


def _finished(receipt: ErasureReceipt) -> ErasureReceipt:
    """What comes after the rows are gone: this process's memory and the object store."""
    caches.forget_gone()
    try:
        finish_erasure(receipt)
    except ObjectStoreError as error:
        logger.warning("objects of erasure %d stay for now: %s", receipt.pk, type(error).__name__)
    return receipt


@transaction.atomic(durable=True)
def _erase_rows(workspace: Workspace, end_user: EndUser, by: Actor) -> ErasureReceipt:
    # Against every writer: whoever refers to this row from now on waits, and then finds it gone.
    held = EndUser.objects.select_for_update().get(pk=end_user.pk, workspace=workspace)
    erasing = Erasing(workspace=workspace, end_user=held)
    for eraser in erasers.in_order():
        eraser.end_user(erasing)
    erasing.delete_own(EndUser, column="id")
    return _receipt(erasing, ErasureReceipt.Scope.END_USER, AuditEntry.Action.END_USER_ERASED, by)


@transaction.atomic(durable=True)
def _delete_rows(
    workspace: Workspace, end_user_ids: Collection[int], among: Callable[[], Collection[int]]
) -> ErasureReceipt | None:
    locked = EndUser.objects.select_for_update().filter(pk__in=end_user_ids, workspace=workspace)
    held = {one.pk: one for one in locked.order_by("pk")}
    going = sorted(set(among()) & held.keys())
    if not going:
        return None
    removed: Counter[str] = Counter()
    prefixes: list[str] = []
    for pk in going:
        erasing = Erasing(workspace=workspace, end_user=held[pk], removed=removed, prefixes=prefixes)
        for eraser in erasers.in_order():
            eraser.end_user(erasing)
        erasing.delete_own(EndUser, column="id")
    return ErasureReceipt.objects.create(
        workspace=workspace,
        scope=ErasureReceipt.Scope.END_USER,
        removed=dict(sorted(removed.items())),
        prefixes=sorted(set(prefixes)),
    )


@transaction.atomic(durable=True)
def _erase_entries(workspace: Workspace, end_user: EndUser, task: str, client_id: str, by: Actor) -> ErasureReceipt:
    # Whoever changes this profile, or records what was learned from it, comes before or after.
    held = EndUser.objects.select_for_update(no_key=True).get(pk=end_user.pk, workspace=workspace)
    under_the_id = ProfileEntry.objects.filter(end_user=held, task=task, client_id=client_id)
    under_the_id.get(removed_at__isnull=True)
    touched = frozenset(under_the_id.values_list("document_id", flat=True))
    entries, _ = under_the_id.delete()
    elsewhere = ProfileEntry.objects.filter(end_user=held, document__in=touched, removed_at__isnull=True)
    gone = touched - set(elsewhere.values_list("document_id", flat=True))
    erasing = ErasingDocuments(workspace=workspace, end_user=held, task=task, touched=touched, gone=gone)
    for eraser in erasers.in_order():
        eraser.documents(erasing)
    # Former entries of other ids may have stood for the same content.
    former, _ = ProfileEntry.objects.filter(end_user=held, document__in=gone).delete()
    erasing.count(ProfileEntry, entries + former)
    documents, _ = Document.objects.filter(end_user=held, pk__in=gone).delete()
    erasing.count(Document, documents)
    return _receipt(erasing, ErasureReceipt.Scope.DOCUMENT, AuditEntry.Action.DOCUMENT_ERASED, by)


def _receipt(erasing: Erasing, scope: str, action: AuditEntry.Action, by: Actor) -> ErasureReceipt:
    receipt = ErasureReceipt.objects.create(
        workspace=erasing.workspace,
        scope=scope,
        removed=dict(sorted(erasing.removed.items())),
        prefixes=sorted(set(erasing.prefixes)),
    )
    # Like the receipt, it does not say whom.
    record(workspace=erasing.workspace, action=action, by=by, subject=str(receipt.pk))
    return receipt


def _repeating_deadlocks(erase: Callable[[], Done]) -> Done:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return erase()
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or attempt == _ATTEMPTS:
                raise
            logger.info("an erasure met a worker that was recording, and begins again")
    raise AssertionError("unreachable")
