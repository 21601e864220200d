"""What beat's sweep deletes from the object store: files that no row stands for any more.

A training deletes its checkpoints when its job ends. Those of a job that was cancelled while it waited, of a process
that died, of an end user or documents that were erased, are found here within a minute or two. An adapter's files are
uploaded before the adapter is recorded, so those of a training that was cancelled between the two have no row either;
nor have those of erased end users. A withdrawn adapter's files are of no use.
"""

import logging
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection
from django.utils import timezone

from common.objects import ObjectStoreError, get_store
from jobs import errors
from jobs.models import UNFINISHED, Job
from training_app.adapters import job_key, sources_stand
from training_app.models import Adapter
from training_app.object_keys import (
    ADAPTERS,
    CHECKPOINTS,
    adapter_prefix,
    checkpoint_prefix,
    identity_of,
    is_of_adapter,
)
from users_app.selectors import end_user_by_id, workspace_by_id

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 60
# Adapters are looked through a slice at a time, by the first byte of their identity: all of them in some four hours.
_SLICES: Final = 256
# From upload to record takes seconds.
_UNRECORDED_AT_MOST: Final = timedelta(days=1)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_under_way = threading.Lock()


def sweep_objects() -> None:
    """Begin a sweep of the object store.

    In a thread of its own: a store that does not answer must not keep beat from looking after leases and bells.
    """
    if _under_way.acquire(blocking=False):
        threading.Thread(target=_sweep_in_thread, name="object-sweep", daemon=True).start()


def _sweep_in_thread() -> None:
    try:
        sweep_now()
    finally:
        connection.close()
        _under_way.release()


def sweep_now() -> None:
    """Delete unwanted checkpoints, and a slice of the unrecorded adapters."""
    try:
        sweep_checkpoints()
        sweep_adapters(number=int(time.time() // EVERY_SECONDS) % _SLICES)
    except ObjectStoreError as error:
        logger.warning("checkpoints and adapters were not swept: %s", type(error).__name__)
    except Exception as error:  # noqa: BLE001 - the next sweep tries again
        logger.error("the sweep of checkpoints and adapters failed: %s", errors.describe(error).for_log())


def sweep_checkpoints() -> None:
    """Delete the checkpoints of every training that nobody waits for, or whose end user or documents are gone."""
    store = get_store()
    for identity in sorted(
        {identity_of(info.key) for info in store.list(f"{CHECKPOINTS}/") if is_of_adapter(info.key)}
    ):
        if not _is_wanted(identity):
            store.delete_prefix(checkpoint_prefix(identity=identity))


def sweep_adapters(*, number: int) -> None:
    """Of slice `number`, 0 to 255, delete the files that are older than a day and no usable adapter is recorded for."""
    store = get_store()
    newest: dict[tuple[str, str], datetime] = {}
    for info in store.list(f"{ADAPTERS}/{number:02x}/"):
        if not is_of_adapter(info.key):
            continue
        version = (identity_of(info.key), info.key.split("/")[3])
        newest[version] = max(newest.get(version, _LONG_AGO), info.modified or timezone.now())
    long_ago = timezone.now() - _UNRECORDED_AT_MOST
    left = [version for version, modified in newest.items() if modified < long_ago]
    for identity, digest in set(left) - _recorded(identity for identity, _ in left):
        # Looked up again, and last: it may be in the making, or was recorded since the files were listed.
        if not _is_under_way(identity) and (identity, digest) not in _recorded([identity]):
            store.delete_prefix(adapter_prefix(identity=identity, digest=digest))


def _recorded(identities: Iterable[str]) -> set[tuple[str, str]]:
    """(identity, digest of the content) of those that can be used."""
    standing = Adapter.objects.filter(identity__in=set(identities), withdrawn_at__isnull=True)
    return set(standing.values_list("identity", "content_digest"))


def _is_under_way(identity: str) -> bool:
    return Job.objects.filter(dedupe_key=job_key(identity), state__in=UNFINISHED).exists()


def _is_wanted(identity: str) -> bool:
    job = Job.objects.filter(dedupe_key=job_key(identity), state__in=UNFINISHED).first()
    workspace = workspace_by_id(job.workspace_id) if job is not None else None
    if job is None or workspace is None:
        return False
    end_user = end_user_by_id(workspace=workspace, end_user_id=job.end_user_id)
    return end_user is not None and sources_stand(
        end_user=end_user, task=job.payload["task"], document_ids=job.payload["document_ids"]
    )
