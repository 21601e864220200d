"""The job that trains a selector (RSPG) on the feedback of its pool, and records it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings

from eval_app.models import DatasetSplit
from eval_app.selector_feedback import FeedbackSample, SelectorFeedback, feedback_stands
from jobs.batches import Batch, ClaimedJob
from retrieval_app.pools import pool_names
from retrieval_app.selection import READS, choose, selector_text
from workers.engine.selector import Selector, initial_selector, score, write_selector
from workers.engine.selector_training import SelectorHyperparameters, SelectorSample, SelectorTrainer
from workers.engine.sources import settle
from workers.engine.text_lengths import MOST_CHARACTERS
from workers.engine.threads import limit_threads
from workers.model_names import encoder_source
from workers.model_training import Course, record, train
from workers.quietness import quieten_transformers
from workers.training_outcomes import (
    checked,
    course_metrics,
    facts_of,
    mean,
    require_samples,
    store_with_notes,
    training_identity,
)

SELECTOR_FILE: Final = "selector.json"

_TRAIN: Final = DatasetSplit.Split.TRAIN
_DEV: Final = DatasetSplit.Split.DEV
_SCORED_AT_ONCE: Final = 64

# Its task beside.
_Sample = tuple[str, SelectorSample]


def handle(batch: Batch) -> None:
    """Train the selector of each job."""
    limit_threads(settings.MODEL_THREADS)
    quieten_transformers()
    train(batch, _train)


def _train(course: Course) -> None:
    job, training = course.job, course.training
    reads = READS[training.kind]
    feedback = SelectorFeedback(training)
    job.progress(message="reading the feedback")
    samples = {
        split: [_for_engine(sample, reads=reads) for sample in checked(job, feedback.samples(split))]
        for split in (_TRAIN, _DEV)
    }
    require_samples(samples, left_out=feedback.left_out, incomplete="{} lack an answer or its prompt")

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
    identity = training_identity(training, initial_model=initial_model, feedback_digest=feedback.digest)
    trainer = SelectorTrainer(
        initial,
        [sample for _, sample in samples[_TRAIN]],
        [sample for _, sample in samples[_DEV]],
        hyperparameters=SelectorHyperparameters.from_mapping(training.hyperparameters),
        seed=training.seed,
        check=job.check,
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
        "dev": _dev_metrics(job, selector, samples[_DEV], pool=pool_names(training.pool)),
        **course_metrics(trainer, samples=samples, left_out=feedback.left_out),
    }
    job.progress(message="storing the selector")
    stored = store_with_notes(
        training,
        identity=identity,
        write=lambda folder: write_selector(folder, selector),
        notes_file=SELECTOR_FILE,
        reads=reads,
        pool=training.pool,
        feedback_digest=feedback.digest,
        metrics=metrics,
    )
    facts = facts_of(
        trainer,
        stored,
        identity=identity,
        initial_model=initial_model,
        feedback_digest=feedback.digest,
        metrics=metrics,
        training_seconds=seconds,
        pool=training.pool,
    )
    record(course, facts=facts, end_user_ids=feedback.end_user_ids, stands=stands)


def _for_engine(sample: FeedbackSample, *, reads: str) -> _Sample:
    """What is kept of it while it is trained: not what no selector can read of a long prompt or output."""
    texts = tuple(
        selector_text(reads=reads, prompt=candidate.prompt[:MOST_CHARACTERS], output=candidate.output[:MOST_CHARACTERS])
        for candidate in sample.candidates
    )
    return sample.task, SelectorSample(texts, tuple(candidate.utility for candidate in sample.candidates))


def _dev_metrics(
    job: ClaimedJob, selector: Selector, samples: Sequence[_Sample], *, pool: Sequence[str]
) -> dict[str, Any]:
    """By task: the mean utility of what the selector chooses, of each member alone, and of the best of each sample."""
    chosen: dict[str, list[float]] = defaultdict(list)
    by_task: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for first in range(0, len(samples), _SCORED_AT_ONCE):
        job.check()
        job.progress(message="measuring the selector")
        some = samples[first : first + _SCORED_AT_ONCE]
        scores = score(selector, [text for _, sample in some for text in sample.texts])
        for at, (task, sample) in enumerate(some):
            place = choose(scores[at * len(pool) : (at + 1) * len(pool)].tolist())
            chosen[task].append(sample.utilities[place])
            by_task[task].append(sample.utilities)
    return {
        task: {
            "questions": len(utilities),
            "selector": mean(chosen[task]),
            "oracle": mean([max(one) for one in utilities]),
            "members": {name: mean([one[at] for one in utilities]) for at, name in enumerate(pool)},
        }
        for task, utilities in by_task.items()
    }
