"""The job that trains a selector (RSPG) on the feedback of its pool, and records it."""

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from eval_app.models import DatasetSplit, ModelTraining
from eval_app.selector_feedback import FeedbackSample, SelectorFeedback, feedback_stands
from eval_app.trained_model_records import ModelFacts
from jobs.batches import Batch, ClaimedJob, Permanent
from retrieval_app.models import TrainedModel
from retrieval_app.pools import pool_names
from retrieval_app.selection import POST, PRE, choose, selector_text
from training_app.engine_version import ENGINE_VERSION
from training_app.identity import digest_of
from workers import provenance
from workers.engine.selector import Selector, initial_selector, score, write_selector
from workers.engine.selector_training import SelectorHyperparameters, SelectorSample, SelectorTrainer
from workers.engine.sources import settle
from workers.engine.threads import limit_threads
from workers.model_names import encoder_source
from workers.model_training import Course, record, train
from workers.quietness import quieten_transformers
from workers.trained_model_files import store_trained_model

SELECTOR_FILE: Final = "selector.json"

_TRAIN: Final = DatasetSplit.Split.TRAIN
_DEV: Final = DatasetSplit.Split.DEV
_READS: Final = {TrainedModel.Kind.RSPG_PRE: PRE, TrainedModel.Kind.RSPG_POST: POST}
# Between two looks at whether the job is to go on.
_SAMPLES_AT_ONCE: Final = 500
_SCORED_AT_ONCE: Final = 64


def handle(batch: Batch) -> None:
    """Train the selector of each job."""
    limit_threads(settings.MODEL_THREADS)
    quieten_transformers()
    train(batch, _train)


def _train(course: Course) -> None:
    job, training = course.job, course.training
    reads = _READS[TrainedModel.Kind(training.kind)]
    feedback = SelectorFeedback(training)
    job.progress(message="reading the feedback")
    samples = {split: list(_checked(job, feedback.samples(split))) for split in (_TRAIN, _DEV)}
    _require_samples(feedback, samples)

    source = encoder_source(training.initial_model)
    settled = settle(source.location, revision=source.revision)
    initial = initial_selector(
        source.location,
        revision=settled.revision,
        seed=training.seed,
        device=settings.MODEL_DEVICE,
        name=source.name,
    )
    initial_model = f"{source.name}@{settled.revision}"
    identity = _identity(training, initial_model=initial_model, feedback_digest=feedback.digest)
    trainer = SelectorTrainer(
        initial,
        [_for_engine(sample, reads=reads) for sample in samples[_TRAIN]],
        [_for_engine(sample, reads=reads) for sample in samples[_DEV]],
        hyperparameters=SelectorHyperparameters.from_mapping(training.hyperparameters),
        seed=training.seed,
    )

    def stands() -> bool:
        return feedback_stands(
            workspace=training.workspace,
            end_user_ids=feedback.end_user_ids,
            prediction_ids=feedback.prediction_ids,
        )

    seconds = course.run(trainer, model=initial.model, identity=identity, stands=stands)
    selector = trainer.best()
    metrics = {
        "dev": _dev_metrics(job, selector, samples[_DEV], reads=reads, pool=pool_names(training.pool)),
        "best_step": trainer.best_step,
        "validations": [[step, round(value, 6)] for step, value in trainer.validations],
        "questions": {split: len(found) for split, found in samples.items()},
        "left_out": {split: dict(counted) for split, counted in feedback.left_out.items()},
    }
    job.progress(message="storing the selector")
    notes = {
        "reads": reads,
        "tasks": training.tasks,
        "pool": training.pool,
        "base_model": training.base_model.name,
        "base_model_revision": training.base_model.revision,
        "documents": training.documents_wanted,
        "hyperparameters": training.hyperparameters,
        "seed": training.seed,
        "feedback_digest": feedback.digest,
        "metrics": metrics,
    }
    with tempfile.TemporaryDirectory(prefix="lamppost-selector-") as name:
        folder = Path(name) / "selector"
        write_selector(folder, selector)
        (folder / SELECTOR_FILE).write_text(json.dumps(notes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        stored = store_trained_model(folder, identity=identity)
    facts = ModelFacts(
        identity=identity,
        initial_model=initial_model,
        feedback_digest=feedback.digest,
        object_prefix=stored.prefix,
        content_digest=stored.digest,
        size_bytes=stored.size_bytes,
        metrics=metrics,
        loss_curve=[round(loss, 6) for loss in trainer.loss_curve],
        steps=trainer.done,
        training_seconds=seconds,
        versions=provenance.versions(),
        hardware=provenance.hardware(),
        pool=training.pool,
    )
    record(course, facts=facts, end_user_ids=feedback.end_user_ids, stands=stands)


def _checked(job: ClaimedJob, samples: Iterator[FeedbackSample]) -> Iterator[FeedbackSample]:
    for count, sample in enumerate(samples):
        if count % _SAMPLES_AT_ONCE == 0:
            job.check()
        yield sample


def _require_samples(feedback: SelectorFeedback, samples: dict[DatasetSplit.Split, list[FeedbackSample]]) -> None:
    for split, found in samples.items():
        if not found:
            left_out = feedback.left_out[split]
            raise Permanent(
                f"There is nothing to learn from in the {split} split: {left_out['no_consent']} questions are of users "
                f"whose data may not be learned from, and {left_out['incomplete']} lack an answer or its prompt."
            )


def _for_engine(sample: FeedbackSample, *, reads: str) -> SelectorSample:
    return SelectorSample(
        texts=tuple(
            selector_text(reads=reads, prompt=candidate.prompt, output=candidate.output)
            for candidate in sample.candidates
        ),
        utilities=tuple(candidate.utility for candidate in sample.candidates),
    )


def _identity(training: ModelTraining, *, initial_model: str, feedback_digest: str) -> str:
    """The digest of everything that decides the selector."""
    return digest_of(
        {
            "workspace": training.workspace_id,
            "kind": training.kind,
            "tasks": training.tasks,
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


def _dev_metrics(
    job: ClaimedJob, selector: Selector, samples: Sequence[FeedbackSample], *, reads: str, pool: Sequence[str]
) -> dict[str, Any]:
    """By task: the mean utility of what the selector chooses, of each member alone, and of the best of each sample."""
    chosen: dict[str, list[float]] = defaultdict(list)
    by_task: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for first in range(0, len(samples), _SCORED_AT_ONCE):
        job.check()
        job.progress(message="measuring the selector")
        some = [(sample.task, _for_engine(sample, reads=reads)) for sample in samples[first : first + _SCORED_AT_ONCE]]
        scores = score(selector, [text for _, sample in some for text in sample.texts])
        for at, (task, sample) in enumerate(some):
            place = choose(scores[at * len(pool) : (at + 1) * len(pool)].tolist())
            chosen[task].append(sample.utilities[place])
            by_task[task].append(sample.utilities)
    return {
        task: {
            "questions": len(utilities),
            "selector": _mean(chosen[task]),
            "oracle": _mean([max(one) for one in utilities]),
            "members": {name: _mean([one[at] for one in utilities]) for at, name in enumerate(pool)},
        }
        for task, utilities in by_task.items()
    }


def _mean(values: Sequence[float]) -> float:
    return round(math.fsum(values) / len(values), 6)
