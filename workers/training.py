"""The job that trains end users' adapters, many in one pass, and puts each into the object store.

A batch's jobs share the base model and slots of one rank. As soon as one ends, another that waits takes its slot; whose
turn that is, and when this ends, `jobs.batches.Batch.more` says. Whatever befalls one user's training (it diverges, it
is cancelled, its documents go, another worker has it) ends that one alone and changes nothing for the others.
"""

import logging
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from common.objects import ObjectStore, ObjectStoreError, get_store
from jobs import errors
from jobs.batches import Batch, ClaimedJob, ClaimLost, JobCancelled, Permanent, WorkerStopping
from jobs.connections import freshen_connection
from jobs.heart import heart
from jobs.selectors import is_to_be_cancelled
from training_app.adapters import SourcesGone, TrainedFacts, record_adapter, slot_rank, sources_stand
from training_app.models import BaseModel
from training_app.object_keys import adapter_prefix
from workers import loaded, provenance
from workers.adapter_orders import Order, order_of
from workers.engine.adapter_files import folder_digest, write_peft_folder
from workers.engine.base_model import BaseModel as LoadedModel
from workers.engine.memory import TrainingRoom, training_room
from workers.engine.training import AdapterTrainer, Learner, TrainedAdapter, TrainingDiverged
from workers.training_checkpoints import TrainingCheckpoints

logger = logging.getLogger(__name__)

# How often empty slots are offered to jobs that have come meanwhile; idle workers, who are rung for, come first.
_LOOK_SECONDS = 1.0
_ENDED_FOR_GOOD = ("done", "failed", "cancelled")


def handle(batch: Batch) -> None:
    """Train the adapters of a batch, and of those jobs that take the slots which become free."""
    base_model = BaseModel.objects.get(pk=batch[0].payload["base_model_id"])
    orders = list(_orders(batch, base_model))
    if not orders:
        return
    try:
        trainer = _trainer(orders, base_model, alone=batch.alone)
    except Exception as problem:  # noqa: BLE001 - recorded as each job's error
        # It is nobody's fault among them, so each may have company again.
        for order in orders:
            order.job.fail(problem)
        return
    training = _SharedTraining(batch, trainer, base_model)
    try:
        training.run(orders)
    finally:
        training.close()


def _orders(jobs: Iterable[ClaimedJob], base_model: BaseModel) -> Iterator[Order]:
    """What the jobs ask for; those that cannot be, or need not be, trained are ended."""
    for job in jobs:
        order = None
        with _concerning(job, looked_after=False):
            job.check()
            order = order_of(job, base_model=base_model)
            if order is None:
                with job.finishing(result={"trained": False}):
                    pass
        if order is not None:
            yield order


def _trainer(orders: list[Order], base_model: BaseModel, *, alone: bool) -> AdapterTrainer:
    plan = orders[0].plan
    base = loaded.base_model(base_model, dtype=plan.dtype)
    rank = plan.hyperparameters["rank"]
    if plan.exact:
        # With nothing that depends on the memory which happens to be free.
        return AdapterTrainer(base, slots=1, rank=rank, exact=True)
    limits = [order.request.hyperparameters for order in orders]

    def fitting(slots: int | None) -> TrainingRoom:
        return training_room(
            base,
            rank=slot_rank(rank),
            slots=slots,
            longest_input=max(limit.max_input_tokens for limit in limits),
            longest_output=max(limit.max_output_tokens for limit in limits),
        )

    slots = settings.TRAINING_SLOTS
    if base.input_device.type != "cpu":
        slots = min(slots, fitting(None).slots)
    room = fitting(1 if alone else slots)
    return AdapterTrainer(
        base,
        slots=room.slots,
        rank=slot_rank(rank),
        pass_tokens=room.pass_tokens,
        gradient_checkpointing=room.gradient_checkpointing,
    )


@dataclass
class _Trainee:
    """One user's training in the pass."""

    order: Order
    learner: Learner
    kept_at: float = field(default_factory=time.monotonic)

    @property
    def job(self) -> ClaimedJob:
        return self.order.job

    @property
    def identity(self) -> str:
        return self.order.plan.identity


class _SharedTraining:
    """One pass over many users, from the first to the last of a batch."""

    def __init__(self, batch: Batch, trainer: AdapterTrainer, base_model: BaseModel) -> None:
        self._batch = batch
        self._trainer = trainer
        self._base_model = base_model
        self._checkpoints = TrainingCheckpoints()
        self._running: list[_Trainee] = []
        self._looked_at = time.monotonic()

    def run(self, orders: Iterable[Order]) -> None:
        """Train until nobody is left. A worker that stops keeps where everyone is; their jobs go back."""
        try:
            self._start(orders)
            while self._running:
                self._trainer.step()
                for trainee in tuple(self._running):
                    self._look_after(trainee)
                ended = [trainee for trainee in self._running if not trainee.learner.running]
                for trainee in ended:
                    self._end(trainee)
                self._keep_overdue()
                self._fill_slots(at_once=bool(ended))
        except WorkerStopping:
            for trainee in self._running:
                self._keep(trainee)
            raise

    def close(self) -> None:
        """End what runs beside the pass."""
        self._checkpoints.close()

    def _fill_slots(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not self._trainer.free or not (at_once or now - self._looked_at >= _LOOK_SECONDS):
            return
        self._looked_at = now
        try:
            jobs = self._batch.more(self._trainer.free)
        except (DatabaseError, InterfaceError) as problem:
            # Those who are in the pass need no database to go on.
            logger.warning("no further trainings were claimed: %s", errors.describe(problem).for_log())
            connection.close()
            return
        self._start(_orders(jobs, self._base_model))

    def _start(self, orders: Iterable[Order]) -> None:
        for order in orders:
            job = order.job
            with _concerning(job, looked_after=False):
                if not self._trainer.free:
                    job.give_back(delay_seconds=0)
                    continue
                checkpoint = self._checkpoints.furthest(
                    identity=order.plan.identity, request=order.request, base=self._trainer.base
                )
                learner = self._trainer.start(order.request, checkpoint=checkpoint)
                self._running.append(_Trainee(order, learner))
                job.progress(done=learner.done, total=learner.total, message="training")

    def _look_after(self, trainee: _Trainee) -> None:
        """Say how far one is, and notice that it was cancelled or taken over."""
        job, learner = trainee.job, trainee.learner
        if learner.loss_curve:
            message = f"training, loss {learner.loss_curve[-1]:.3f}"
            job.progress(done=learner.done, total=learner.total, message=message)
        with _concerning(job):
            job.check()
        self._let_go_if_ended(trainee)

    def _end(self, trainee: _Trainee) -> None:
        """Store and record what one has learned."""
        self._running.remove(trainee)
        order = trainee.order
        with _concerning(trainee.job, looked_after=False):
            try:
                trained = self._trainer.finish(trainee.learner)
            except TrainingDiverged as diverged:
                # It would again: everything that decides it is named by the adapter's identity.
                raise Permanent(str(diverged)) from None
            facts = _store(trained, order, self._trainer.base)
            with (
                _unless_erased(order, facts),
                order.job.finishing(result={"trained": True, "seconds": round(trained.seconds, 3)}) as result,
            ):
                try:
                    adapter = record_adapter(end_user=order.end_user, plan=order.plan, facts=facts)
                    # Looked at while the end user is held: whoever erases what it saw has cancelled it by now, or
                    # finds the adapter.
                    if is_to_be_cancelled(order.job.id):
                        _delete(facts.object_prefix)
                        raise JobCancelled(f"job {order.job.id} was cancelled")
                    result["adapter_id"] = adapter.pk
                except SourcesGone as gone:
                    _delete(facts.object_prefix)
                    raise Permanent(str(gone)) from None
        self._forget_if_ended(trainee)

    def _keep_overdue(self) -> None:
        """Keep whoever was last kept too long ago, one after another, so that one checkpoint at a time is in memory."""
        for trainee in tuple(self._running):
            if time.monotonic() - trainee.kept_at >= settings.CHECKPOINT_SECONDS:
                trainee.kept_at = time.monotonic()
                self._keep_while_sources_stand(trainee)

    def _keep_while_sources_stand(self, trainee: _Trainee) -> None:
        order, stand = trainee.order, False
        with _concerning(trainee.job):
            # What was learned from documents that are gone is kept no longer, and goes on no further.
            if not sources_stand(end_user=order.end_user, task=order.plan.task, document_ids=order.plan.document_ids):
                raise Permanent("What this adapter learns from is gone.")
            stand = True
        self._let_go_if_ended(trainee)
        if stand and trainee.job.ended_as is None:
            self._keep(trainee)

    def _keep(self, trainee: _Trainee) -> None:
        if not trainee.job.lost:
            checkpoint = self._trainer.checkpoint(trainee.learner)
            self._checkpoints.keep(checkpoint, identity=trainee.identity, claim=trainee.job.claim)

    def _let_go_if_ended(self, trainee: _Trainee) -> None:
        if trainee.job.ended_as is not None:
            self._running.remove(trainee)
            self._trainer.drop(trainee.learner)
            self._forget_if_ended(trainee)

    def _forget_if_ended(self, trainee: _Trainee) -> None:
        # One that is to be tried again goes on from there, and one that was lost is another worker's.
        if trainee.job.ended_as in _ENDED_FOR_GOOD:
            self._checkpoints.forget(identity=trainee.identity)


@contextmanager
def _concerning(job: ClaimedJob, *, looked_after: bool = True) -> Iterator[None]:
    """What goes wrong in the block is this job's alone.

    So is a database that is away just then: the job is left open. Where nobody looks after it any more (`looked_after`)
    its lease is no longer extended, so that it is claimed again without waiting for the end of the pass.
    """
    freshen_connection()
    try:
        with job.isolated():
            yield
    except (DatabaseError, InterfaceError) as problem:
        logger.warning("%r: %s", job, errors.describe(problem).for_log())
        connection.close()
        if not looked_after:
            heart.release([job])


@contextmanager
def _unless_erased(order: Order, facts: TrainedFacts) -> Iterator[None]:
    """Delete the files where the claim is lost because the end user was erased, and the job's row with them."""
    try:
        yield
    except ClaimLost:
        # Any other loss means that another worker has the job, which may have stored the same files.
        if not sources_stand(end_user=order.end_user, task=order.plan.task, document_ids=order.plan.document_ids):
            _delete(facts.object_prefix)
        raise


def _delete(prefix: str) -> None:
    """Delete files that will never have a row; what a store that is away keeps, the sweep deletes."""
    try:
        get_store().delete_prefix(prefix)
    except ObjectStoreError as problem:
        logger.warning("files of an adapter that was not recorded stay for now: %s", type(problem).__name__)


def _store(trained: TrainedAdapter, order: Order, base: LoadedModel) -> TrainedFacts:
    """Upload the adapter as a plain PEFT folder; what is to be recorded of it."""
    with tempfile.TemporaryDirectory(prefix="lamppost-adapter-") as name:
        folder = Path(name)
        write_peft_folder(folder, trained, base, dtype=order.plan.stored_dtype)
        digest = folder_digest(folder)
        prefix = adapter_prefix(identity=order.plan.identity, digest=digest)
        size = upload_folder(get_store(), folder=folder, prefix=prefix)
    return TrainedFacts(
        object_prefix=prefix,
        content_digest=digest,
        size_bytes=size,
        loss_curve=[round(loss, 6) for loss in trained.loss_curve],
        steps=trained.steps,
        training_seconds=trained.seconds,
        versions=provenance.versions(),
        hardware=provenance.hardware(),
    )


def upload_folder(store: ObjectStore, *, folder: Path, prefix: str) -> int:
    """Put the folder's files under `prefix`; returns their bytes together."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        store.put_file(prefix + path.name, path)
    return sum(path.stat().st_size for path in files)
