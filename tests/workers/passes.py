"""Passes of the training job that are looked at, and meddled with, between their steps."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from unittest import mock

from torch import Tensor

from common.objects import get_store
from jobs.batches import Batch, ClaimedJob
from jobs.heart import heart
from jobs.runner import claim_batch, run_batch
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter
from training_app.object_keys import CHECKPOINTS
from workers.adapter_cache import fetch_adapter
from workers.engine.training import AdapterTrainer
from workers.loaded import base_model

Happening = Callable[[Batch], object]


def run_pass(happenings: Mapping[int, Happening] | None = None) -> tuple[list[ClaimedJob], int]:
    """Claim a batch of trainings and run it, with something happening after the nth step.

    What was claimed at first, and how many steps were made.
    """
    batch = claim_batch(TRAIN_ADAPTER)
    claimed = list(batch)
    made = 0
    step = AdapterTrainer.step

    def stepping(trainer):
        nonlocal made
        step(trainer)
        made += 1
        if happenings and made in happenings:
            happenings[made](batch)

    with mock.patch.object(AdapterTrainer, "step", stepping):
        run_batch(batch)
    return claimed, made


def job_of(batch: Batch, end_user):
    """The claimed job that trains an adapter of this end user."""
    [job] = [job for job in batch if job.end_user_id == end_user.pk]
    return job


@contextmanager
def a_gentle_stop() -> Iterator[Happening]:
    """Give the happening that stops the worker, its grace over at once; when the block ends it is as new."""
    with ExitStack() as until_then:

        def stop(_: Batch) -> None:
            # What claims and handlers see of a stop; the heart's own thread sees no row of the test's transaction.
            for name in ("stopping", "grace_over"):
                until_then.enter_context(mock.patch.object(type(heart), name, True))

        yield stop


def checkpoints() -> list[str]:
    """The keys of all checkpoints in the store."""
    return [info.key for info in get_store().list(f"{CHECKPOINTS}/")]


def weights_of(adapter: Adapter) -> dict[str, Tensor]:
    """An adapter's stored weights by peft's names."""
    return dict(fetch_adapter(adapter, base=base_model(adapter.base_model, dtype=adapter.dtype)).tensors)


def furthest_apart(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference between two adapters' weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
