"""Trainings of adapters that are under way, kept in the object store so that another worker can go on with them."""

import math
from uuid import UUID

from training_app.object_keys import checkpoint_prefix
from workers.checkpoint_store import CheckpointStore
from workers.engine.base_model import BaseModel
from workers.engine.checkpoints import Checkpoint, CheckpointRefused, checkpoint_bytes, read_checkpoint
from workers.engine.training import TrainingRequest, total_steps

# What a file holds beside the tensors' values: an entry in the header for each, the losses, and slack.
_HEADER_BYTES_PER_TENSOR = 512
_BYTES_PER_STEP = 64
_SLACK_BYTES = 1 << 16


class TrainingCheckpoints(CheckpointStore):
    """The checkpoints of one pass's trainings, by the identity of the adapter."""

    def furthest(self, *, identity: str, request: TrainingRequest, base: BaseModel) -> Checkpoint | None:
        """Where the training of that adapter can go on. Whatever is no checkpoint of it is deleted.

        Raises `ObjectStoreError`.
        """

        def read(data: bytes) -> Checkpoint:
            checkpoint = read_checkpoint(data, identity=identity, base=base, hyperparameters=request.hyperparameters)
            if checkpoint.done > total_steps(len(request.pairs), request.hyperparameters):
                raise CheckpointRefused("the checkpoint has more steps than the training")
            return checkpoint

        prefix = checkpoint_prefix(identity=identity)
        return self.furthest_of(prefix, read=read, max_bytes=_most_bytes(request, base))

    def keep(self, checkpoint: Checkpoint, *, identity: str, claim: UUID) -> None:
        """Store `checkpoint` in place of the last one of this claim. A store that is away costs this one alone."""
        self.put(
            checkpoint_prefix(identity=identity),
            lambda: checkpoint_bytes(checkpoint, identity=identity),
            done=checkpoint.done,
            claim=claim,
        )

    def forget(self, *, identity: str) -> None:
        """Delete all that is kept of that adapter's training; what a store that is away keeps, the sweep deletes."""
        self.drop(checkpoint_prefix(identity=identity))


def _most_bytes(request: TrainingRequest, base: BaseModel) -> int:
    """More than a checkpoint of this training can take."""
    shapes = base.projections.shapes(request.hyperparameters.rank).values()
    values = 3 * base.adapter_dtype.itemsize * sum(math.prod(shape) for shape in shapes)
    steps = total_steps(len(request.pairs), request.hyperparameters)
    return values + 3 * len(shapes) * _HEADER_BYTES_PER_TENSOR + steps * _BYTES_PER_STEP + _SLACK_BYTES
