"""What trainings of selectors and of encoders say alike of themselves: their identity, and what is to be recorded."""

import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from eval_app.models import ModelTraining
from eval_app.standing_feedback import INCOMPLETE, NO_CONSENT
from eval_app.trained_model_records import ModelFacts
from jobs.batches import ClaimedJob, Permanent
from lamp.catalogue import task_versions
from training_app.engine_version import ENGINE_VERSION
from training_app.identity import digest_of
from workers import provenance
from workers.engine.feedback_training import FeedbackTrainer
from workers.trained_model_files import StoredFiles, store_trained_model

# Between two looks at whether the job is to go on.
_SAMPLES_AT_ONCE: Final = 500

Sample = TypeVar("Sample")


def checked(job: ClaimedJob, samples: Iterator[Sample]) -> Iterator[Sample]:
    """The samples, with a look now and then at whether the job is to go on."""
    for count, sample in enumerate(samples):
        if count % _SAMPLES_AT_ONCE == 0:
            job.check()
        yield sample


def require_samples(
    samples: Mapping[Any, Sequence[Any]], *, left_out: Mapping[str, Counter[str]], incomplete: str
) -> None:
    """Raise `Permanent` where a split has no sample; `incomplete` says what so many ("{}") questions lack."""
    for split, found in samples.items():
        if not found:
            counted = left_out[split]
            raise Permanent(
                f"There is nothing to learn from in the {split} split: {counted[NO_CONSENT]} questions are of users "
                f"whose data may not be learned from, and {incomplete.format(counted[INCOMPLETE])}."
            )


def training_identity(training: ModelTraining, *, initial_model: str, feedback_digest: str) -> str:
    """The digest of everything that decides what comes of a training."""
    return digest_of(
        {
            "workspace": training.workspace_id,
            "kind": training.kind,
            "tasks": task_versions(training.tasks),
            "base_model": f"{training.base_model.name}@{training.base_model.revision}",
            "documents": training.documents_wanted,
            "pool": training.pool,
            "initial_model": initial_model,
            "hyperparameters": training.hyperparameters,
            "seed": training.seed,
            "feedback": feedback_digest,
            "engine": ENGINE_VERSION,
        }
    )


def course_metrics(
    trainer: FeedbackTrainer[Any], *, samples: Mapping[Any, Sequence[Any]], left_out: Mapping[str, Counter[str]]
) -> dict[str, Any]:
    """How a training went, and on how many questions of each split."""
    return {
        "best_step": trainer.best_step,
        "validations": [[step, round(value, 6)] for step, value in trainer.validations],
        "questions": {split: len(found) for split, found in samples.items()},
        "left_out": {split: dict(counted) for split, counted in left_out.items()},
    }


def store_with_notes(
    training: ModelTraining,
    *,
    identity: str,
    write: Callable[[Path], None],
    notes_file: str,
    **told: Any,
) -> StoredFiles:
    """Store the folder that `write` fills; beside the model, `notes_file` says what made it and what else is `told`."""
    notes = {
        "tasks": training.tasks,
        "task_versions": task_versions(training.tasks),
        "base_model": training.base_model.name,
        "base_model_revision": training.base_model.revision,
        "documents": training.documents_wanted,
        "hyperparameters": training.hyperparameters,
        "seed": training.seed,
        **told,
    }
    with tempfile.TemporaryDirectory(prefix="lamppost-model-") as name:
        folder = Path(name) / "model"
        write(folder)
        (folder / notes_file).write_text(json.dumps(notes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return store_trained_model(folder, identity=identity)


def facts_of(
    trainer: FeedbackTrainer[Any],
    stored: StoredFiles,
    **told: Any,
) -> ModelFacts:
    """What is to be recorded of a model that is stored; what the trainer does not know is `told`."""
    return ModelFacts(
        object_prefix=stored.prefix,
        content_digest=stored.digest,
        size_bytes=stored.size_bytes,
        loss_curve=[round(loss, 6) for loss in trainer.loss_curve],
        steps=trainer.done,
        versions=provenance.versions(),
        hardware=provenance.hardware(),
        **told,
    )


def mean(values: Sequence[float]) -> float:
    """To six places."""
    return round(math.fsum(values) / len(values), 6)
