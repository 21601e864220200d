"""The job that trains an encoder on the base model's feedback (ROPG), and records it as an encoder like any other."""

from collections.abc import Sequence
from typing import Final

from django.conf import settings

from eval_app.encoder_feedback import EncoderFeedback, JudgedQuestion, feedback_stands
from eval_app.encoder_trainings import JUDGED_DOCUMENTS, SPLITS
from eval_app.models import DatasetSplit, ModelTraining
from jobs.batches import Batch, ClaimedJob
from retrieval_app.models import Encoder as EncoderRecord
from retrieval_app.models import TrainedModel
from retrieval_app.ranking import order_by_score
from workers.engine.encoder import Encoder, encode, load_encoder
from workers.engine.retriever_training import (
    DISTILLATION,
    REINFORCEMENT,
    RetrieverHyperparameters,
    RetrieverSample,
    RetrieverTrainer,
    write_encoder,
)
from workers.engine.sources import settle
from workers.engine.text_lengths import MOST_CHARACTERS
from workers.engine.threads import limit_threads
from workers.model_names import TRAINED, encoder_source
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

NOTES_FILE: Final = "training.json"

_TRAIN: Final = DatasetSplit.Split.TRAIN
_DEV: Final = DatasetSplit.Split.DEV
_MODES: Final = {TrainedModel.Kind.ROPG_KD: DISTILLATION, TrainedModel.Kind.ROPG_RL: REINFORCEMENT}
_SCORED_AT_ONCE: Final = 32


def handle(batch: Batch) -> None:
    """Train the encoder of each job."""
    limit_threads(settings.MODEL_THREADS)
    quieten_transformers()
    train(batch, _train)


def _train(course: Course) -> None:
    job, training = course.job, course.training
    feedback = EncoderFeedback(training)
    job.progress(message="reading the feedback")
    shared: dict[str, str] = {}
    samples = {
        split: [_for_engine(sample, shared=shared) for sample in checked(job, feedback.samples(split))]
        for split in SPLITS
    }
    del shared
    require_samples(samples, left_out=feedback.left_out, incomplete="of {} fewer than two documents were judged")

    initial = _initial_encoder(training)
    initial_model = f"{initial.name}@{initial.revision}"
    identity = training_identity(training, initial_model=initial_model, feedback_digest=feedback.digest)
    trainer = RetrieverTrainer(
        initial,
        samples[_TRAIN],
        samples[_DEV],
        mode=_MODES[TrainedModel.Kind(training.kind)],
        hyperparameters=_for_trainer(training),
        seed=training.seed,
        check=job.check,
    )

    def stands() -> bool:
        return feedback_stands(
            workspace=training.workspace,
            end_user_ids=feedback.end_user_ids,
            feedback_ids=feedback.feedback_ids,
        )

    seconds = course.run(trainer, model=initial.model, identity=identity, stands=stands)
    encoder = trainer.best()
    metrics = {
        "dev": {
            task: {
                "questions": len(samples[_DEV]),
                "initial": _retrieved_utility(job, initial, samples[_DEV], count=training.documents_wanted),
                "encoder": _retrieved_utility(job, encoder, samples[_DEV], count=training.documents_wanted),
                "oracle": mean(
                    [_best_possible(sample.utilities, count=training.documents_wanted) for sample in samples[_DEV]]
                ),
            }
            for task in training.tasks
        },
        **course_metrics(trainer, samples=samples, left_out=feedback.left_out),
    }
    job.progress(message="storing the encoder")
    stored = store_with_notes(
        training,
        identity=identity,
        write=lambda folder: write_encoder(folder, encoder),
        notes_file=NOTES_FILE,
        kind=training.kind,
        initial_model=initial_model,
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
        encoder=EncoderRecord(name=f"{TRAINED}{identity}", revision=stored.digest, dimension=encoder.dimension),
    )
    record(course, facts=facts, end_user_ids=feedback.end_user_ids, stands=stands)


def _initial_encoder(training: ModelTraining) -> Encoder:
    source = encoder_source(training.initial_model)
    settled = settle(source.location, revision=source.revision)
    return load_encoder(source.location, revision=settled.revision, device=settings.MODEL_DEVICE, name=source.name)


def _for_trainer(training: ModelTraining) -> RetrieverHyperparameters:
    chosen = {name: value for name, value in training.hyperparameters.items() if name != JUDGED_DOCUMENTS}
    return RetrieverHyperparameters.from_mapping(chosen)


def _for_engine(sample: JudgedQuestion, *, shared: dict[str, str]) -> RetrieverSample:
    """What is kept of it while it is trained: what an encoder can read, and a document of many questions once."""
    documents = [text[:MOST_CHARACTERS] for text in sample.documents]
    return RetrieverSample(
        sample.query[:MOST_CHARACTERS], tuple(shared.setdefault(text, text) for text in documents), sample.utilities
    )


def _retrieved_utility(job: ClaimedJob, encoder: Encoder, samples: Sequence[RetrieverSample], *, count: int) -> float:
    """What the first `count` documents that `encoder` ranks among those judged are worth, each alone: the mean over
    them, and over the questions.
    """
    worth: list[float] = []
    for first in range(0, len(samples), _SCORED_AT_ONCE):
        job.check()
        job.progress(message="measuring the encoder")
        some = samples[first : first + _SCORED_AT_ONCE]
        vectors = iter(encode(encoder, [text for sample in some for text in (sample.query, *sample.documents)]))
        for sample in some:
            query = next(vectors)
            scores = [float(next(vectors) @ query) for _ in sample.documents]
            worth.append(mean([sample.utilities[at] for at in order_by_score(scores)[:count]]))
    return mean(worth)


def _best_possible(utilities: Sequence[float], *, count: int) -> float:
    return mean(sorted(utilities, reverse=True)[:count])
