"""Trainings that are under way, kept in the object store so that another worker can go on with them.

Each object is whole by itself and named by the steps that it has and by the claim that wrote it. So a worker that has
lost its claim, and does not know it yet, overwrites nothing of its successor's; whoever goes on takes the furthest.
"""

import logging
import math
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

from common.objects import ObjectMissing, ObjectStore, ObjectStoreError, ObjectTooLarge, get_store
from training_app.object_keys import checkpoint_prefix
from workers.engine.base_model import BaseModel
from workers.engine.checkpoints import Checkpoint, CheckpointRefused, checkpoint_bytes, read_checkpoint
from workers.engine.training import TrainingRequest, total_steps

logger = logging.getLogger(__name__)

# What a file holds beside the tensors' values: an entry in the header for each, the losses, and slack.
_HEADER_BYTES_PER_TENSOR = 512
_BYTES_PER_STEP = 64
_SLACK_BYTES = 1 << 16


class TrainingCheckpoints:
    """The checkpoints of one pass's trainings. One is written at a time, in a thread, beside the next steps."""

    def __init__(self, store: ObjectStore | None = None) -> None:
        self._store = store or get_store()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="training-checkpoints")
        self._writing: Future[None] | None = None
        # Of each adapter of which something may lie in the store: the last object that was written here.
        self._kept: dict[str, str | None] = {}

    def furthest(self, *, identity: str, request: TrainingRequest, base: BaseModel) -> Checkpoint | None:
        """Where the training of that adapter can go on. Whatever is no checkpoint of it is deleted.

        Raises `ObjectStoreError`.
        """
        found = sorted(self._store.list(checkpoint_prefix(identity=identity)), key=lambda info: info.key, reverse=True)
        for info in found:
            self._kept[identity] = None
            try:
                data = self._store.get_bytes(info.key, max_bytes=_most_bytes(request, base))
                checkpoint = read_checkpoint(
                    data, identity=identity, base=base, hyperparameters=request.hyperparameters
                )
                if checkpoint.done <= total_steps(len(request.pairs), request.hyperparameters):
                    return checkpoint
            except (CheckpointRefused, ObjectMissing, ObjectTooLarge):
                pass
            logger.warning("a checkpoint of adapter %s was of no use and is deleted", identity[:12])
            self._store.delete(info.key)
        return None

    def keep(self, checkpoint: Checkpoint, *, identity: str, claim: UUID) -> None:
        """Store `checkpoint` in place of the last one of this claim. A store that is away costs this one alone."""
        self.wait()
        key = f"{checkpoint_prefix(identity=identity)}{checkpoint.done:09d}-{claim.hex}"
        before, self._kept[identity] = self._kept.get(identity), key
        self._writing = self._thread.submit(self._write, checkpoint, identity=identity, key=key, before=before)

    def forget(self, *, identity: str) -> None:
        """Delete all that is kept of that adapter's training; what a store that is away keeps, the sweep deletes."""
        if identity not in self._kept:
            return
        self.wait()
        del self._kept[identity]
        try:
            self._store.delete_prefix(checkpoint_prefix(identity=identity))
        except ObjectStoreError as error:
            logger.warning("checkpoints of adapter %s were not deleted: %s", identity[:12], type(error).__name__)

    def wait(self) -> None:
        """Until the last one is written."""
        if self._writing is not None:
            self._writing.result()

    def close(self) -> None:
        """Write what is to be written, and end the thread."""
        self._thread.shutdown(wait=True)

    def _write(self, checkpoint: Checkpoint, *, identity: str, key: str, before: str | None) -> None:
        try:
            self._store.put_bytes(key, checkpoint_bytes(checkpoint, identity=identity))
            if before is not None and before != key:
                self._store.delete(before)
        except Exception as error:  # noqa: BLE001 - a training does without its checkpoint
            logger.warning("a checkpoint of adapter %s was not stored: %s", identity[:12], type(error).__name__)


def _most_bytes(request: TrainingRequest, base: BaseModel) -> int:
    """More than a checkpoint of this training can take."""
    shapes = base.projections.shapes(request.hyperparameters.rank).values()
    values = 3 * base.adapter_dtype.itemsize * sum(math.prod(shape) for shape in shapes)
    steps = total_steps(len(request.pairs), request.hyperparameters)
    return values + 3 * len(shapes) * _HEADER_BYTES_PER_TENSOR + steps * _BYTES_PER_STEP + _SLACK_BYTES
