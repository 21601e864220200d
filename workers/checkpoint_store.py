"""Checkpoints of trainings that are under way, kept in the object store so that another worker can go on with them.

Each object is whole by itself and named by the steps that it has and by the claim that wrote it. So a worker that has
lost its claim, and does not know it yet, overwrites nothing of its successor's; whoever goes on takes the furthest.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from common.objects import ObjectMissing, ObjectStore, ObjectStoreError, ObjectTooLarge, get_store
from workers.engine.checkpoints import CheckpointRefused

logger = logging.getLogger(__name__)

Found = TypeVar("Found")


class CheckpointStore:
    """Checkpoints, those of a training below a prefix. One is written at a time, in a thread, beside the next steps."""

    def __init__(self, store: ObjectStore | None = None) -> None:
        self._store = store or get_store()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="training-checkpoints")
        self._writing: Future[None] | None = None
        # Of each prefix under which something may lie in the store: the last object that was written here.
        self._kept: dict[str, str | None] = {}

    def furthest_of(self, prefix: str, *, read: Callable[[bytes], Found], max_bytes: int) -> Found | None:
        """What `read` makes of the furthest checkpoint that it does not refuse; what is of no use is deleted.

        `read` raises `CheckpointRefused`. Raises `ObjectStoreError`.
        """
        for info in sorted(self._store.list(prefix), key=lambda info: info.key, reverse=True):
            self._kept[prefix] = None
            try:
                return read(self._store.get_bytes(info.key, max_bytes=max_bytes))
            except (CheckpointRefused, ObjectMissing, ObjectTooLarge):
                logger.warning("checkpoint %s was of no use and is deleted", info.key)
            self._store.delete(info.key)
        return None

    def put(self, prefix: str, make: Callable[[], bytes], *, done: int, claim: UUID) -> None:
        """Store what `make` gives in place of the last one of this claim. A store that is away costs this one alone.

        `make` is called in the thread, so it must not read what the next step changes.
        """
        self.wait()
        key = f"{prefix}{done:09d}-{claim.hex}"
        before, self._kept[prefix] = self._kept.get(prefix), key
        self._writing = self._thread.submit(self._write, make, key=key, before=before)

    def drop(self, prefix: str) -> None:
        """Delete all that is kept under `prefix`; what a store that is away keeps, a sweep deletes."""
        if prefix not in self._kept:
            return
        self.wait()
        del self._kept[prefix]
        try:
            self._store.delete_prefix(prefix)
        except ObjectStoreError as error:
            logger.warning("checkpoints under %s were not deleted: %s", prefix, type(error).__name__)

    def wait(self) -> None:
        """Until the last one is written."""
        if self._writing is not None:
            self._writing.result()

    def close(self) -> None:
        """Write what is to be written, and end the thread."""
        self._thread.shutdown(wait=True)

    def _write(self, make: Callable[[], bytes], *, key: str, before: str | None) -> None:
        try:
            self._store.put_bytes(key, make())
            if before is not None and before != key:
                self._store.delete(before)
        except Exception as error:  # noqa: BLE001 - a training does without its checkpoint
            logger.warning("checkpoint %s was not stored: %s", key, type(error).__name__)
