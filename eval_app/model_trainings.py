"""Training a selector or an encoder on the base model's feedback: asked for here, and taken from stage to stage.

First the feedback is gathered, by what the kind of model says (`eval_app.training_kinds`); then a job trains, and
records the model in the transaction that ends it (`eval_app.trained_model_records`). Every step is idempotent: what a
lost process owed, the sweep does.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from eval_app.experiments import ExperimentRefused, asked_splits
from eval_app.kinds import STEP_TRAINING
from eval_app.models import Dataset, DatasetSplit, Experiment, ModelTraining
from eval_app.selectors import split_questions
from eval_app.training_kinds import TrainingFailed as TrainingFailed
from eval_app.training_kinds import TrainingRefused as TrainingRefused
from eval_app.training_kinds import complete, how_to_train
from eval_app.webhook_events import record_training_end
from jobs.models import UNFINISHED, Job, State
from jobs.outcomes import failure_of_last, unfinished_origins
from jobs.services import JobSpec, cancel_origin, enqueue
from lamp.catalogue import UnknownTask
from retrieval_app.models import Encoder, TrainedModel
from training_app.models import BaseModel
from users_app.models import SharedTraining, Workspace
from users_app.shared_training import may_learn_from

logger = logging.getLogger(__name__)

# Of the jobs that step a training and that train: "model-training:12".
ORIGIN: Final = "model-training"
OPEN: Final = (ModelTraining.State.FEEDBACK, ModelTraining.State.TRAINING)

_STEPPED_AGAIN_AFTER: Final = timedelta(minutes=1)

_SAME: Final = (
    "workspace",
    "kind",
    "dataset",
    "tasks",
    "base_model",
    "encoder",
    "initial_model",
    "pool",
    "documents_wanted",
    "parameters",
    "hyperparameters",
    "seed",
    "user_limit",
)


def training_origin(training_id: int) -> str:
    """The origin of all jobs of a training."""
    return f"{ORIGIN}:{training_id}"


def trainings(*, workspace: Workspace) -> QuerySet[ModelTraining]:
    """The workspace's trainings, the newest first."""
    return ModelTraining.objects.filter(workspace=workspace).order_by("-pk")


@transaction.atomic
def request_training(
    *,
    workspace: Workspace,
    kind: str,
    dataset: Dataset,
    tasks: Sequence[str] | None,
    base_model: BaseModel,
    encoder: Encoder | None,
    initial_model: str,
    pool: Sequence[str],
    documents_wanted: int,
    parameters: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    seed: int,
    user_limit: int | None,
    replaces: TrainedModel | None = None,
    begun_by: str = "",
) -> ModelTraining:
    """Have a model of `kind` trained on the train split of `dataset`, the best step being picked on the dev split.

    Args:
        tasks: None for all that have both splits.
        encoder: of dense retrieval; needed where the pool holds contriever, and for ROPG.
        initial_model: the encoder that training begins from: "small", a folder, or a hub's "NAME[@REVISION]".
        pool: a selector's candidates by name, in order; empty for an encoder.
        parameters: how the base model searches for its answers, as runs keep it.
        hyperparameters: what is left out takes its default.
        user_limit: only the first so many users of each split.
        replaces: the trained model that is withdrawn when this one stands.

    Raises:
        TrainingRefused: nothing to learn from, no consent, an unknown member of the pool, no golds, recency without
            dates, hyperparameters out of bounds, or the same training is under way.
    """
    how = how_to_train(kind)
    _require_standing(dataset)
    training = ModelTraining(
        workspace=workspace,
        kind=kind,
        dataset=dataset,
        tasks=_asked_tasks(workspace=workspace, dataset=dataset, tasks=tasks),
        base_model=base_model,
        encoder=encoder,
        initial_model=initial_model,
        documents_wanted=documents_wanted,
        parameters=dict(parameters),
        hyperparameters=complete(kind, hyperparameters),
        seed=seed,
        user_limit=user_limit,
        replaces=replaces,
        begun_by=begun_by,
    )
    how.settle(training, pool)
    require_consent(training)
    _require_no_other(training)
    training.save()
    request_step(training_id=training.pk)
    return training


def retrain(*, trained_model: TrainedModel, begun_by: str = "") -> ModelTraining:
    """Train anew with the inputs that made `trained_model`, and without whoever was erased or no longer agrees.

    When the new one stands, `trained_model` is withdrawn. Raises `TrainingRefused`, also where what it was trained with
    is no longer on record.
    """
    before = ModelTraining.objects.filter(trained_model=trained_model).order_by("-pk").first()
    if before is None:
        raise TrainingRefused(
            "What this model was trained with is not on record here, as its dataset was deleted or it came with "
            "Lamppost. Train one on another dataset.",
            about="trained_model",
        )
    return request_training(
        workspace=before.workspace,
        kind=before.kind,
        dataset=before.dataset,
        tasks=before.tasks,
        base_model=before.base_model,
        encoder=before.encoder,
        initial_model=before.initial_model,
        pool=[member["retriever"] for member in before.pool],
        documents_wanted=before.documents_wanted,
        parameters=before.parameters,
        hyperparameters=before.hyperparameters,
        seed=before.seed,
        user_limit=before.user_limit,
        replaces=trained_model,
        begun_by=begun_by,
    )


@transaction.atomic
def cancel_training(*, training: ModelTraining) -> None:
    """Stop the training: what was answered as its feedback stays, nothing is recorded. One that has ended stays so."""
    held = _held(training.pk)
    if held is None or held.state not in OPEN:
        return
    _end(held, ModelTraining.State.CANCELLED)
    cancel_origin(training_origin(held.pk))
    how_to_train(held.kind).stop(held)


@transaction.atomic
def resume_training(*, training: ModelTraining) -> ModelTraining:
    """Go on with a training that failed or was cancelled, from what stands. One that is open or done stays as it is.

    Raises `TrainingRefused`, as `request_training` does; or while a cancelled job of it is still ending.
    """
    _require_standing(training.dataset)
    held = _held(training.pk)
    if held is None:
        raise TrainingRefused("This training is gone. Begin a new one.", about="")
    if held.state in (ModelTraining.State.FAILED, ModelTraining.State.CANCELLED):
        _require_ended(held)
        require_consent(held)
        _require_no_other(held)
        how_to_train(held.kind).forget(held)
        held.state, held.error, held.finished_at = ModelTraining.State.FEEDBACK, "", None
        held.save()
        request_step(training_id=held.pk)
    return held


def request_step(*, training_id: int) -> None:
    """Ask for the training's next step; asking twice is asking once."""
    enqueue(
        JobSpec(
            kind=STEP_TRAINING.name,
            payload={"training_id": training_id},
            origin=training_origin(training_id),
            priority=10,
            dedupe_key=f"step-training:{training_id}",
        )
    )


@transaction.atomic
def step_training(*, training_id: int) -> ModelTraining | None:
    """Take the training as far as it goes without waiting. Safe to call at any time, by anyone.

    None where it is gone.
    """
    training = _held(training_id)
    if training is None or training.state not in OPEN:
        return training
    how = how_to_train(training.kind)
    if training.state == ModelTraining.State.FEEDBACK:
        try:
            with transaction.atomic():
                complete_now = how.feedback(training)
        except TrainingFailed as failed:
            _fail(training, str(failed))
            return training
        training.save()
        if complete_now:
            training.state = ModelTraining.State.TRAINING
            training.save(update_fields=["state"])
            _request_job(training)
    else:
        _look_after_job(training)
    return training


def _look_after_job(training: ModelTraining) -> None:
    """A job that trains records the model, or leaves the training open: then it failed, was cancelled, or is gone."""
    job = training_job(training)
    if job is None or job.state == State.DONE:
        _request_job(training)
    elif job.state == State.CANCELLED:
        _end(training, ModelTraining.State.CANCELLED)
    elif job.state == State.FAILED:
        _fail(training, f"job {job.pk}: {job.error_message or job.error_type}")


def training_job(training: ModelTraining) -> Job | None:
    """The newest job that trains, or has trained, for `training`; its progress says how far it is."""
    jobs = Job.objects.filter(origin=training_origin(training.pk), kind=how_to_train(training.kind).job_kind)
    return jobs.order_by("-pk").first()


def _request_job(training: ModelTraining) -> None:
    enqueue(
        JobSpec(
            kind=how_to_train(training.kind).job_kind,
            payload={"training_id": training.pk},
            workspace_id=training.workspace_id,
            origin=training_origin(training.pk),
            dedupe_key=training_origin(training.pk),
        )
    )


def jobs_ended(origin: str) -> None:
    """The listener of trainings: jobs of one have ended. Safe to repeat."""
    if origin in unfinished_origins([origin]):
        return
    # Jobs that failed and run again are older than the step that was asked for in between.
    last = Job.objects.filter(origin=origin).order_by("-finished_at", "-pk").first()
    training_id = int(origin.partition(":")[2])
    if last is not None and last.kind == STEP_TRAINING.name:
        # Nothing was asked for by the step, so it waits for experiments, or could not be taken at all.
        failure = failure_of_last(origin)
        if failure is not None:
            _fail_stepping(training_id, failure)
        return
    request_step(training_id=training_id)


def experiment_ended(experiment_id: int) -> None:
    """Whoever waits for the feedback of this experiment, if it is no longer under way, goes on. Safe to repeat."""
    waiting = ModelTraining.objects.filter(
        Q(train_experiment=experiment_id) | Q(dev_experiment=experiment_id), state=ModelTraining.State.FEEDBACK
    )
    if Experiment.objects.filter(pk=experiment_id, state=Experiment.State.ACTIVE).exists():
        return
    for training_id in waiting.values_list("pk", flat=True):
        request_step(training_id=training_id)


def advance_stalled() -> None:
    """Beat's sweep: step every open training that nothing is under way for, whatever was lost.

    One whose last step asked for nothing waits for what another's jobs make, as of document feedback that two trainings
    share. To look for what is missing takes long, so that it is done once a minute.
    """
    active = Experiment.objects.filter(
        Q(pk=OuterRef("train_experiment")) | Q(pk=OuterRef("dev_experiment")), state=Experiment.State.ACTIVE
    )
    waiting = ModelTraining.objects.filter(state__in=OPEN).exclude(Exists(active)).order_by("pk")
    origins = {training_origin(pk): pk for pk in waiting.values_list("pk", flat=True)}
    for origin in origins.keys() - unfinished_origins(origins.keys()) - _stepped_lately(origins.keys()):
        request_step(training_id=origins[origin])


def _stepped_lately(origins: Collection[str]) -> set[str]:
    stepped = Job.objects.filter(
        origin__in=origins, kind=STEP_TRAINING.name, state=State.DONE, finished_at__gt=Now() - _STEPPED_AGAIN_AFTER
    )
    return set(stepped.order_by().values_list("origin", flat=True).distinct())


def consenting_questions(training: ModelTraining, *, split: str) -> dict[str, int]:
    """By task, how many questions of the training's users in `split` may be learned from now."""
    splits = asked_splits(workspace=training.workspace, dataset=training.dataset, split=split, tasks=training.tasks)
    allowed = may_learn_from(workspace=training.workspace)
    return {
        task: split_questions(split=found, user_limit=training.user_limit).filter(end_user__in=allowed).count()
        for task, found in splits.items()
    }


def require_consent(training: ModelTraining) -> None:
    """Raise `TrainingRefused` unless in both splits of every task there is somebody whose data may be learned from."""
    policy = Workspace.objects.values_list("shared_training", flat=True).get(pk=training.workspace_id)
    if policy == SharedTraining.NOBODY:
        raise TrainingRefused(
            "This workspace lets no shared model learn from its users' data. Set its shared training to “agreed” or "
            "“everyone” first, in the admin or by `manage.py shared_training`.",
            about="shared_training",
        )
    for split in (DatasetSplit.Split.TRAIN, DatasetSplit.Split.DEV):
        for task, count in consenting_questions(training, split=split).items():
            if count == 0 and policy == SharedTraining.AGREED:
                raise TrainingRefused(
                    f"None of the users who ask the {split} questions of {task} has agreed to shared training. Record "
                    "their agreement, or set the workspace's shared training to “everyone”.",
                    about="shared_training",
                )
            if count == 0:
                raise TrainingRefused(f"The {split} split of {task} has no questions to learn from.", about="tasks")


def _asked_tasks(*, workspace: Workspace, dataset: Dataset, tasks: Sequence[str] | None) -> list[str]:
    try:
        train = asked_splits(workspace=workspace, dataset=dataset, split=DatasetSplit.Split.TRAIN, tasks=tasks)
        dev = asked_splits(workspace=workspace, dataset=dataset, split=DatasetSplit.Split.DEV, tasks=tasks)
    except (ExperimentRefused, UnknownTask) as refused:
        raise TrainingRefused(str(refused), about=getattr(refused, "about", "tasks")) from None
    both = [task for task in train if task in dev]
    if not both:
        raise TrainingRefused(f"No task of dataset “{dataset.name}” has both a train and a dev split.", about="dataset")
    without = [task for task in both if not (train[task].has_golds and dev[task].has_golds)]
    if without:
        raise TrainingRefused(
            f"The answers to learn from are missing in {', '.join(without)}: import its outputs with the questions.",
            about="tasks",
        )
    return both


def _require_standing(dataset: Dataset) -> None:
    """Whoever asks for its deletion holds the dataset likewise: one of the two sees the other."""
    held = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).first()
    if held is None or held.deletion_requested_at is not None:
        raise TrainingRefused(f"Dataset “{dataset.name}” is being deleted. Choose another.", about="dataset")


def _require_no_other(training: ModelTraining) -> None:
    # The dataset is held, so nobody else asks for the same meanwhile.
    same = {name: getattr(training, name) for name in _SAME}
    absent = {f"{name}__isnull": True for name in ("encoder", "user_limit") if same[name] is None}
    present = {name: value for name, value in same.items() if value is not None}
    other = ModelTraining.objects.filter(state__in=OPEN, **present, **absent).exclude(pk=training.pk).first()
    if other is not None:
        raise TrainingRefused(f"The same training is under way already: it is number {other.pk}.", about="")


def _require_ended(training: ModelTraining) -> None:
    """A job that is still to end would be taken for the one that goes on, and its end for another cancellation."""
    jobs = Job.objects.filter(origin=training_origin(training.pk), state__in=UNFINISHED, cancel_requested=True)
    if jobs.exists():
        raise TrainingRefused("It is still ending; try again in a moment.", about="")


def _held(training_id: int) -> ModelTraining | None:
    held = ModelTraining.objects.select_for_update(of=("self",), no_key=True)
    return held.select_related("workspace", "dataset", "base_model", "encoder").filter(pk=training_id).first()


def _fail_stepping(training_id: int, failure: str) -> None:
    with transaction.atomic():
        training = _held(training_id)
        if training is not None and training.state in OPEN:
            _fail(training, f"It could not be taken further. {failure}")


def _fail(training: ModelTraining, error: str) -> None:
    training.error = error
    _end(training, ModelTraining.State.FAILED)


def _end(training: ModelTraining, state: str) -> None:
    training.state = state
    training.finished_at = Now()
    training.save(update_fields=["state", "error", "finished_at"])
    record_training_end(training)
