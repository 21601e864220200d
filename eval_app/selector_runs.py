"""The feedback of a selector's training is ordinary runs: of each member of its pool, on the train and the dev split.

Runs that stand are shared, and whatever stops goes on from what is answered, as with any experiment.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from eval_app.experiments import ExperimentRefused, cancel_experiment, refusal, start_experiment
from eval_app.feedback_hyperparameters import FEEDBACK_HYPERPARAMETERS
from eval_app.kinds import TRAIN_SELECTOR
from eval_app.methods import Family, Method
from eval_app.models import DatasetSplit, Experiment, ModelTraining
from eval_app.selectors import newest_splits
from eval_app.training_kinds import TrainingFailed, TrainingKind, TrainingRefused
from lamp.catalogue import get_task
from retrieval_app.models import Encoder
from retrieval_app.pools import Member, PoolRefused, pool_names, read_pool
from retrieval_app.retrievers import CONTRIEVER, FINE_TUNED, NOTHING, POOL_TITLES
from retrieval_app.trained_models import trained_model_for
from training_app.hyperparameters import Bounds

DEFAULT_POOL: Final = (NOTHING, "bm25", "recency", CONTRIEVER)

HYPERPARAMETERS: Final[Mapping[str, Bounds]] = MappingProxyType(
    {
        **FEEDBACK_HYPERPARAMETERS,
        # Divides the utilities, `temperature` the scores. The source has none.
        "label_temperature": Bounds(1.0, 0.001, 1_000.0),
    }
)


def method_of_member(name: str) -> Method:
    """The method whose runs are the feedback of a member of a pool.

    >>> [method_of_member(name).key for name in ("none", "bm25")]
    ['none', 'rag:bm25']
    """
    return Method(Family.NONE) if name == NOTHING else Method(Family.RAG, retriever=name)


def _settle(training: ModelTraining, pool: Sequence[str]) -> None:
    """Give the training its pool, each dense member with its encoder."""
    unknown = [name for name in pool if name not in POOL_TITLES]
    if unknown:
        raise TrainingRefused(
            f"“{unknown[0][:60]}” is no member of a pool; there are {', '.join(POOL_TITLES)}.", about="pool"
        )
    training.pool = [_member(training, name).as_stored() for name in pool]
    try:
        read_pool(training.pool)
    except PoolRefused as refused:
        raise TrainingRefused(str(refused), about="pool") from None
    for split in (DatasetSplit.Split.TRAIN, DatasetSplit.Split.DEV):
        found = newest_splits(workspace=training.workspace, dataset=training.dataset, split=split)
        for task in training.tasks:
            for name in pool:
                reason = refusal(method=method_of_member(name), split=found[task])
                if reason is not None:
                    raise TrainingRefused(reason, about="pool")


def _member(training: ModelTraining, name: str) -> Member:
    encoder: Encoder | None = None
    if name == CONTRIEVER:
        encoder = training.encoder
        if encoder is None:
            raise TrainingRefused("The pool holds contriever: name its encoder.", about="encoder")
    elif name in FINE_TUNED:
        encoder = _fine_tuned(training, name)
    return Member(name, encoder.name, encoder.revision) if encoder is not None else Member(name)


def _fine_tuned(training: ModelTraining, name: str) -> Encoder:
    base_model = f"{training.base_model.name}@{training.base_model.revision}"
    found: set[Encoder] = set()
    for task in training.tasks:
        trained = trained_model_for(
            workspace=training.workspace,
            kind=name,
            task=task,
            task_version=get_task(task).version,
            base_model=base_model,
        )
        if trained is None or trained.encoder is None:
            raise TrainingRefused(
                f"No {name} encoder is trained for {task} and this base model. Train one first, or leave it out.",
                about="pool",
            )
        found.add(trained.encoder)
    if len(found) > 1:
        raise TrainingRefused(
            f"The tasks have different {name} encoders, and a pool has one: train a selector for each task.",
            about="pool",
        )
    return found.pop()


def _feedback(training: ModelTraining) -> bool:
    """Start the experiments; True when both are done."""
    if training.train_experiment is None:
        training.train_experiment = _start(training, DatasetSplit.Split.TRAIN)
    if training.dev_experiment is None:
        training.dev_experiment = _start(training, DatasetSplit.Split.DEV)
    experiments = (training.train_experiment, training.dev_experiment)
    for experiment in experiments:
        if experiment.state == Experiment.State.FAILED:
            raise TrainingFailed(f"The feedback could not be gathered. {experiment.error}")
        if experiment.state == Experiment.State.CANCELLED:
            raise TrainingFailed(
                f"Experiment “{experiment.name}”, which gathers the feedback, was cancelled. Resume this training."
            )
    return all(experiment.state == Experiment.State.DONE for experiment in experiments)


def _start(training: ModelTraining, split: str) -> Experiment:
    try:
        return start_experiment(
            workspace=training.workspace,
            name=f"feedback {training.pk} {split}",
            dataset=training.dataset,
            split=split,
            tasks=training.tasks,
            methods=[method_of_member(name) for name in pool_names(training.pool)],
            base_model=training.base_model,
            encoder=training.encoder,
            documents_wanted=training.documents_wanted,
            # No member is trained: adapters have them alone.
            hyperparameters={},
            parameters=training.parameters,
            seed=0,
            user_limit=training.user_limit,
            reference=False,
            versions=None,
            hardware=None,
        )
    except ExperimentRefused as refused:
        raise TrainingFailed(f"The feedback could not be gathered. {refused} Or begin a new training.") from None


def _forget(training: ModelTraining) -> None:
    """Let both experiments be asked for again, which go on from what they have."""
    training.train_experiment = training.dev_experiment = None


def _stop(training: ModelTraining) -> None:
    for experiment in (training.train_experiment, training.dev_experiment):
        if experiment is not None:
            cancel_experiment(experiment=experiment)


SELECTORS: Final = TrainingKind(
    hyperparameters=HYPERPARAMETERS,
    settle=_settle,
    feedback=_feedback,
    job_kind=TRAIN_SELECTOR.name,
    forget=_forget,
    stop=_stop,
)
