"""How a job trains a selector or an encoder: its steps, its checkpoints, and what must hold when its model is recorded.

One training holds the worker for long. So it says how far it is, ends when it is cancelled, is kept now and then, gives
way to other jobs, other trainings among them, and learns no further from people who have gone.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from torch import nn

from common.objects import ObjectStoreError, get_store
from eval_app.model_trainings import TrainingFailed
from eval_app.models import ModelTraining
from eval_app.trained_model_records import ModelFacts, ParticipantsGone, TrainingGone, record_trained_model
from jobs import errors
from jobs.batches import Batch, ClaimedJob, ClaimLost, JobCancelled, Permanent, WorkerStopping
from jobs.connections import freshen_connection
from jobs.selectors import is_to_be_cancelled
from retrieval_app.models import TrainedModel
from retrieval_app.object_keys import checkpoints_prefix
from workers.checkpoint_store import CheckpointStore
from workers.engine.feedback_training import FeedbackTrainer
from workers.engine.training import TrainingDiverged

logger = logging.getLogger(__name__)

# Long enough that what it takes to begin again, reading the feedback above all, is little beside it.
TURN_SECONDS: Final = 600.0
# Each time somebody has gone, it begins anew without them.
_BEGINNINGS: Final = 5
_ENDED_FOR_GOOD: Final = ("done", "failed", "cancelled")
_HEADER_BYTES_PER_TENSOR: Final = 512
_BYTES_PER_STEP: Final = 256
_SLACK_BYTES: Final = 1 << 20


class GaveWay(Exception):
    """The job went back, so that others have their turn; it goes on from where it was kept."""


class Course:
    """One job's training: what surrounds the trainer's steps."""

    def __init__(self, batch: Batch, job: ClaimedJob, training: ModelTraining) -> None:
        self.job = job
        self.training = training
        self._batch = batch
        self._store = CheckpointStore()
        self._prefix = checkpoints_prefix(training_id=training.pk)
        self._began_at = self._kept_at = time.monotonic()
        self._stands: Callable[[], bool] | None = None

    def run(
        self, trainer: FeedbackTrainer[Any], *, model: nn.Module, identity: str, stands: Callable[[], bool]
    ) -> float:
        """Train to the end, from the furthest checkpoint; how many seconds it took here.

        Args:
            model: what the trainer trains a copy of.
            identity: names everything that decides the training, so that no other's checkpoint is taken for its own.
            stands: whether everybody and everything that it learns from is still there.

        Raises:
            ParticipantsGone, GaveWay, Permanent where it diverges, and whatever `job.check` raises.
        """
        self._stands = stands
        self._resume(trainer, identity, max_bytes=_most_bytes(model, steps=trainer.total))
        began = time.monotonic()
        try:
            while not trainer.finished:
                self._say(trainer)
                self.job.check()
                trainer.step()
                if time.monotonic() - self._kept_at >= settings.CHECKPOINT_SECONDS:
                    self._kept_at = time.monotonic()
                    self._require_standing()
                    self._keep(trainer, identity)
                    self._give_way()
            self._say(trainer)
        except WorkerStopping:
            self._keep(trainer, identity)
            raise
        except TrainingDiverged as diverged:
            # It would again: everything that decides it is named by its identity.
            raise Permanent(str(diverged)) from None
        return time.monotonic() - began

    def begin_anew(self) -> None:
        """Forget what was learned from somebody who has gone."""
        self._store.wait()
        try:
            get_store().delete_prefix(self._prefix)
        except ObjectStoreError as error:
            # A checkpoint names what it has learned from, so none is taken up; the sweep deletes it in the end.
            logger.warning("checkpoints of %s were not deleted: %s", self.training, type(error).__name__)

    def close(self) -> None:
        """Write what is to be written; delete what is kept of a training whose job has ended for good, or that has
        learned from somebody who has gone.

        What was being written when they were erased came after the erasure had deleted the rest. So it is looked at
        once more, when all is written: who goes after that finds it.
        """
        self._store.close()
        if self.job.ended_as in _ENDED_FOR_GOOD or not self._all_stands():
            self.begin_anew()

    def _resume(self, trainer: FeedbackTrainer[Any], identity: str, *, max_bytes: int) -> None:
        def read(data: bytes) -> None:
            trainer.resume(data, identity=identity)

        self._store.furthest_of(self._prefix, read=read, max_bytes=max_bytes)

    def _say(self, trainer: FeedbackTrainer[Any]) -> None:
        words = [f"step {trainer.done} of {trainer.total}"]
        if trainer.loss_curve:
            words.append(f"loss {trainer.loss_curve[-1]:.3f}")
        if trainer.validations:
            words.append(f"dev {trainer.validations[-1][1]:.3f}")
        self.job.progress(done=trainer.done, total=trainer.total, message=", ".join(words))

    def _require_standing(self) -> None:
        if not self._all_stands():
            raise ParticipantsGone("Somebody who took part in this training is gone, or no longer agrees to it.")

    def _all_stands(self) -> bool:
        freshen_connection()
        try:
            return self._stands is None or self._stands()
        except (DatabaseError, InterfaceError) as problem:
            # It is looked at again before anything is recorded.
            logger.warning("%r: %s", self.job, errors.describe(problem).for_log())
            connection.close()
            return True

    def _keep(self, trainer: FeedbackTrainer[Any], identity: str) -> None:
        if not self.job.lost:
            data = trainer.checkpoint_bytes(identity=identity)
            self._store.put(self._prefix, lambda: data, done=trainer.done, claim=self.job.claim)

    def _give_way(self) -> None:
        if time.monotonic() - self._began_at < TURN_SECONDS:
            return
        try:
            others = self._batch.others_wait(of_its_kind=True)
        except (DatabaseError, InterfaceError):
            connection.close()
            return
        if others:
            self._store.wait()
            self.job.give_back()
            raise GaveWay


def train(batch: Batch, once: Callable[[Course], None]) -> None:
    """Run each job of `batch`: `once` trains from the feedback as it stands, and records the model.

    `once` is called again where somebody went while it was at work. A training that is not to be trained any more ends
    without one.
    """
    for job in batch:
        with job.isolated():
            training = _training_of(job)
            if training is None:
                with job.finishing(result={"trained": False}):
                    pass
                continue
            course = Course(batch, job, training)
            try:
                with job.isolated():
                    _until_recorded(course, once)
            finally:
                course.close()


def _training_of(job: ClaimedJob) -> ModelTraining | None:
    found = ModelTraining.objects.select_related("workspace", "dataset", "base_model", "encoder")
    return found.filter(
        pk=job.payload["training_id"], workspace=job.workspace_id, state=ModelTraining.State.TRAINING
    ).first()


def _until_recorded(course: Course, once: Callable[[Course], None]) -> None:
    for _ in range(_BEGINNINGS):
        try:
            once(course)
        except ParticipantsGone as gone:
            logger.info("%s begins anew: %s", course.training, gone)
            course.begin_anew()
            freshen_connection()
        except TrainingFailed as failed:
            raise Permanent(str(failed)) from None
        else:
            return
    raise Permanent(
        "Again and again somebody was erased, or no longer agreed, while this was trained. Resume it when that is over."
    )


def record(course: Course, *, facts: ModelFacts, end_user_ids: set[int], stands: Callable[[], bool]) -> None:
    """End the job with its model. Files that come to have no row are deleted.

    Raises `ParticipantsGone`, and JobCancelled where the training was ended meanwhile.
    """
    job, training = course.job, course.training
    freshen_connection()
    with _unless_recorded(facts), job.finishing(result={"trained": True}) as result:
        try:
            model = record_trained_model(training=training, facts=facts, participants=end_user_ids)
        except TrainingGone:
            raise JobCancelled(f"training {training.pk} was ended") from None
        # The participants are held: whoever erases one, or a document of theirs, comes first and is seen here, or finds
        # the model.
        if not stands():
            raise ParticipantsGone("Something that this training has learned from is gone.")
        if is_to_be_cancelled(job.id):
            raise JobCancelled(f"job {job.id} was cancelled")
        result["trained_model_id"] = model.pk


@contextmanager
def _unless_recorded(facts: ModelFacts) -> Iterator[None]:
    try:
        yield
    except ClaimLost:
        # Another worker has the job, and may have stored the same files.
        raise
    except Exception:
        _delete_unless_standing(facts.object_prefix)
        raise


def _delete_unless_standing(prefix: str) -> None:
    """Delete files that have no row; a store or a database that is away leaves them to the sweep."""
    try:
        # The same may have been trained before.
        if not TrainedModel.objects.filter(object_prefix=prefix, withdrawn_at__isnull=True).exists():
            get_store().delete_prefix(prefix)
    except (DatabaseError, InterfaceError, ObjectStoreError) as problem:
        logger.warning("files of a model that was not recorded stay for now: %s", type(problem).__name__)


def _most_bytes(model: nn.Module, *, steps: int) -> int:
    """More than a checkpoint of the training of such a model can take."""
    sizes = [parameter.numel() * parameter.element_size() for parameter in model.parameters()]
    # Weights, two moments, and the best step's weights.
    return 4 * (sum(sizes) + len(sizes) * _HEADER_BYTES_PER_TENSOR) + steps * _BYTES_PER_STEP + _SLACK_BYTES
