"""Experiments: made of runs, driven from stage to stage until the table stands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from eval_app import selectors
from eval_app.best_retriever import best_means, own_column
from eval_app.kinds import ADVANCE_EXPERIMENT, RECORD_PROVENANCE
from eval_app.methods import BEST, Method, parse_method
from eval_app.models import Dataset, DatasetSplit, Experiment, ExperimentRun, Run
from eval_app.reports import build_report, truth_has_come
from eval_app.retrieving_means import (
    TRAINED,
    MeansMissing,
    RetrievingMeans,
    means_of_run,
    retrieving_means,
    with_usable_means,
)
from eval_app.runs import TERMINAL, cancel_run, ensure_run, restart_run, step_run
from eval_app.selectors import run_origin
from eval_app.swapping import LEAST_USERS, TOO_FEW_USERS
from eval_app.webhook_events import record_end
from jobs.outcomes import failure_of_last, unfinished_origins
from jobs.services import JobSpec, enqueue
from lamp.catalogue import get_task
from retrieval_app.models import Encoder
from retrieval_app.retrievers import RECENCY
from training_app.adapters import stored_dtype_of
from training_app.models import BaseModel
from users_app.models import Workspace

# Of the jobs that step an experiment: "experiment:12".
ORIGIN = "experiment"
_ENDED_EARLY = (Run.State.FAILED, Run.State.CANCELLED)


class ExperimentRefused(ValueError):
    """What was asked for cannot be run; the message says why and what to do. `about` names what it is wrong with."""

    def __init__(self, message: str, *, about: str) -> None:
        super().__init__(message)
        self.about = about


class TooManyExperiments(Exception):
    """The workspace has as many experiments under way as clients may start."""


class OtherSettings(ExperimentRefused):
    """The name stands for an experiment with other settings; `differing` says which."""

    def __init__(self, message: str, *, differing: Sequence[str]) -> None:
        super().__init__(message, about="name")
        self.differing = list(differing)


def start_experiment(
    *,
    workspace: Workspace,
    name: str,
    dataset: Dataset,
    split: str,
    tasks: Sequence[str] | None,
    methods: Sequence[Method],
    controls: Sequence[str] = (),
    base_model: BaseModel,
    encoder: Encoder | None,
    documents_wanted: int,
    hyperparameters: Mapping[str, Any],
    parameters: Mapping[str, Any],
    seed: int,
    user_limit: int | None,
    reference: bool,
    versions: Mapping[str, str] | None,
    hardware: Mapping[str, Any] | None,
) -> Experiment:
    """Make the experiment, or go on with the one of this name if it asked for the same.

    Each of `controls` stands as a column of its own beside every personalized method. `versions` and `hardware` are
    what its runs will say of where they are made; who does not know that, as a process without torch, gives None, and a
    model worker says it before the first step.

    Raises `ExperimentRefused`: nothing to run on, a method that no task allows, or a name that stands for other
    settings.
    """
    splits = asked_splits(workspace=workspace, dataset=dataset, split=split, tasks=tasks)
    refuse_impossible(methods=methods, splits=splits)
    configuration = {
        "methods": [method.key for method in methods],
        "controls": list(controls),
        "splits": {task: found.pk for task, found in splits.items()},
        "base_model_id": base_model.pk,
        "encoder_id": encoder.pk if encoder else None,
        "documents_wanted": documents_wanted,
        "hyperparameters": dict(hyperparameters),
        "parameters": dict(parameters),
        "adapter_dtype": stored_dtype_of(exact=parameters["exact"]),
        "seed": seed,
        "user_limit": user_limit,
        "reference": reference,
    }
    with transaction.atomic():
        _require_standing(dataset)
        experiment, created = Experiment.objects.select_for_update().get_or_create(
            workspace=workspace,
            name=name,
            defaults={
                "dataset": dataset,
                "split": split,
                "configuration": configuration,
                "versions": dict(versions or {}),
                "hardware": dict(hardware or {}),
            },
        )
        if not created:
            _require_same(experiment, dataset=dataset, split=split, configuration=configuration)
        ExperimentRun.objects.bulk_create(
            [
                ExperimentRun(
                    experiment=experiment,
                    task=task,
                    method=method.key,
                    refusal=refusal(method=method, split=found, user_limit=user_limit) or "",
                )
                for task, found in splits.items()
                for method in with_controls(methods, controls)
            ],
            ignore_conflicts=True,
        )
        _let_go_of_withdrawn(experiment)
        ended = Run.objects.filter(columns__experiment=experiment, state__in=_ENDED_EARLY)
        for run in _in_the_order_of_steps(ended):
            restart_run(run=run)
        if _may_go_further(experiment):
            if experiment.state == Experiment.State.CANCELLED:
                # Its table was of what had been done by then.
                experiment.report = None
            experiment.state = Experiment.State.ACTIVE
            experiment.finished_at = None
            experiment.error = ""
            experiment.versions = dict(versions or {})
            experiment.hardware = dict(hardware or {})
            _settle_again(experiment)
        experiment.save()
        if experiment.state == Experiment.State.ACTIVE:
            _request_next_step(experiment)
    return experiment


def resume_experiment(*, experiment: Experiment) -> Experiment:
    """Go on with an experiment that failed or was cancelled, from what it has: the same asked for again.

    Where its runs are made is recorded anew. Raises `ExperimentRefused`, where its dataset has come to hold a newer
    version of a split, and `TooManyExperiments`.
    """
    stored = experiment.configuration
    require_turn(workspace=experiment.workspace, name=experiment.name)
    return start_experiment(
        workspace=experiment.workspace,
        name=experiment.name,
        dataset=experiment.dataset,
        split=experiment.split,
        tasks=list(stored["splits"]),
        methods=[parse_method(key) for key in stored["methods"]],
        controls=stored.get("controls", []),
        base_model=BaseModel.objects.get(pk=stored["base_model_id"]),
        encoder=Encoder.objects.get(pk=stored["encoder_id"]) if stored["encoder_id"] else None,
        documents_wanted=stored["documents_wanted"],
        hyperparameters=stored["hyperparameters"],
        parameters=stored["parameters"],
        seed=stored["seed"],
        user_limit=stored["user_limit"],
        reference=stored["reference"],
        versions=None,
        hardware=None,
    )


def _require_standing(dataset: Dataset) -> None:
    """Raise `ExperimentRefused` where `dataset` is gone or being deleted. Its deletion is not asked for meanwhile."""
    held = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).first()
    if held is None or held.deletion_requested_at is not None:
        raise ExperimentRefused(f"Dataset “{dataset.name}” is being deleted. Choose another.", about="dataset")


def require_turn(*, workspace: Workspace, name: str) -> None:
    """Raise `TooManyExperiments` where another experiment of a client would be one too many under way.

    It keeps them few, without a lock: those who come in the same moment may be more.
    """
    others = Experiment.objects.filter(workspace=workspace, state=Experiment.State.ACTIVE).exclude(name=name)
    if others.count() >= settings.EXPERIMENTS_AT_ONCE:
        raise TooManyExperiments(f"The workspace has {settings.EXPERIMENTS_AT_ONCE} experiments under way already.")


def _in_the_order_of_steps(runs: QuerySet[Run]) -> QuerySet[Run]:
    """`runs`, each once and as `_step` takes them: two who change several never wait for each other."""
    return runs.order_by("pk").distinct()


def with_controls(methods: Sequence[Method], controls: Sequence[str]) -> list[Method]:
    """The methods, each with its controls after it."""
    columns = []
    for method in methods:
        columns.append(method)
        if method.family.personalizes:
            columns += [method.controlled(control) for control in controls]
    return columns


def _may_go_further(experiment: Experiment) -> bool:
    """Whether asking again may give more than stands: runs to finish, or what was not known before.

    That is a best retriever, a selector or fine-tuned encoder, or a truth.
    """
    if experiment.state in (Experiment.State.FAILED, Experiment.State.CANCELLED):
        return True
    if experiment.state != Experiment.State.DONE:
        return False
    refused = experiment.columns.exclude(refusal="")
    return any(_awaits_its_means(column) for column in refused) or truth_has_come(experiment=experiment)


def _awaits_its_means(column: ExperimentRun) -> bool:
    """Whether what the column retrieves with is settled by what there is by then, and nothing else is in its way."""
    return parse_method(column.method).retriever in {BEST, *TRAINED} and column.refusal != TOO_FEW_USERS


def _settle_again(experiment: Experiment) -> None:
    """Let the columns of the best retriever be assigned anew, which was chosen without the runs that go on now.

    Those whose selector or encoder had not been trained are looked at again too.
    """
    for column in experiment.columns.all():
        if not _awaits_its_means(column):
            continue
        if column.refusal or parse_method(column.method).retriever == BEST:
            column.run, column.refusal = None, ""
            column.save(update_fields=["run", "refusal"])


def _let_go_of_withdrawn(experiment: Experiment) -> None:
    """Let columns be assigned anew whose runs ended early and cannot go on, as what they retrieve with was withdrawn.

    With them those that have to have the same: a method and its controls; and where it was the best retriever's, all
    of the task that have such runs, since the best is chosen among them.
    """
    usable = Run.objects.filter(with_usable_means(workspace=experiment.workspace))
    assigned = experiment.columns.exclude(run=None).exclude(run__in=usable).select_related("run")
    unusable = [(column, parse_method(column.method)) for column in assigned]
    stuck = [
        (column.task, method)
        for column, method in unusable
        if column.run is not None and column.run.state in _ENDED_EARLY
    ]
    methods = {(task, method.own.key) for task, method in stuck}
    whole_tasks = {task for task, method in stuck if method.retriever == BEST}
    for column, method in unusable:
        if column.task in whole_tasks or (column.task, method.own.key) in methods:
            column.run = None
            column.save(update_fields=["run"])


def asked_splits(
    *, workspace: Workspace, dataset: Dataset, split: str, tasks: Sequence[str] | None
) -> dict[str, DatasetSplit]:
    """The splits that an experiment is run on, by task. Raises `ExperimentRefused` and `UnknownTask`."""
    splits = selectors.newest_splits(workspace=workspace, dataset=dataset, split=split)
    if not splits:
        raise ExperimentRefused(
            f"Dataset “{dataset.name}” has no {split} split. Import one, or name another.", about="split"
        )
    if tasks is None:
        return splits
    keys = [get_task(task).key for task in tasks]
    absent = [key for key in keys if key not in splits]
    if absent:
        raise ExperimentRefused(
            f"Dataset “{dataset.name}” has no {split} split of {', '.join(absent)}; it has {', '.join(splits)}.",
            about="tasks",
        )
    return {key: splits[key] for key in splits if key in keys}


def refusal(*, method: Method, split: DatasetSplit, user_limit: int | None = None) -> str | None:
    """Why `method` cannot run on the questions of the first `user_limit` users of `split`, None where it can."""
    if method.control is not None and min(split.end_user_count, user_limit or split.end_user_count) < LEAST_USERS:
        return TOO_FEW_USERS
    if method.retriever == RECENCY and not split.has_dates:
        return (
            f"{method.key} needs dates, and the profiles of {split.task} have none "
            f"({split.separation}-based separation): use another retriever or the time-based files."
        )
    return None


def refuse_impossible(*, methods: Sequence[Method], splits: Mapping[str, DatasetSplit]) -> None:
    """Refuse at once what no task allows; where some tasks do, the table says which cells were refused."""
    for method in methods:
        reasons = [refusal(method=method, split=split) for split in splits.values()]
        if all(reasons):
            raise ExperimentRefused(str(reasons[0]), about="methods")


def _require_same(experiment: Experiment, *, dataset: Dataset, split: str, configuration: Mapping[str, Any]) -> None:
    # Experiments of before there were controls have none.
    before = {"dataset": experiment.dataset_id, "split": experiment.split, "controls": [], **experiment.configuration}
    now = {"dataset": dataset.pk, "split": split, **configuration}
    # The reference is only shown or not; it changes no run.
    differing = [key for key in now if key != "reference" and before.get(key) != now[key]]
    if differing:
        raise OtherSettings(
            f"Experiment “{experiment.name}” stands with other settings ({', '.join(sorted(differing))} differ). "
            "Give this one another name; runs that are equal are shared.",
            differing=sorted(differing),
        )
    experiment.configuration = dict(configuration)


def request_advance(*, experiment_id: int) -> None:
    """Ask for the experiment's next step; asking twice is asking once."""
    enqueue(
        JobSpec(
            kind=ADVANCE_EXPERIMENT.name,
            payload={"experiment_id": experiment_id},
            origin=f"{ORIGIN}:{experiment_id}",
            # Steps are short, and everything else waits for them.
            priority=10,
            dedupe_key=f"advance:{experiment_id}",
        )
    )


def _request_next_step(experiment: Experiment) -> None:
    if experiment.versions:
        request_advance(experiment_id=experiment.pk)
        return
    enqueue(
        JobSpec(
            kind=RECORD_PROVENANCE.name,
            payload={"experiment_id": experiment.pk},
            workspace_id=experiment.workspace_id,
            origin=f"{ORIGIN}:{experiment.pk}",
            priority=10,
            dedupe_key=f"provenance:{experiment.pk}",
        )
    )


def record_provenance(*, experiment_id: int, versions: Mapping[str, str], hardware: Mapping[str, Any]) -> None:
    """Keep where the experiment's runs are made, which `start_experiment` was not told, and let it take its first step.

    Of an experiment for which it is known, or that is gone, nothing is changed. Call it in a transaction.
    """
    waiting = Experiment.objects.filter(pk=experiment_id, state=Experiment.State.ACTIVE, versions={})
    if waiting.update(versions=dict(versions), hardware=dict(hardware)):
        request_advance(experiment_id=experiment_id)


@transaction.atomic
def advance_experiment(*, experiment_id: int) -> Experiment:
    """Take the experiment as far as it goes without waiting. Safe to call at any time, by anyone."""
    experiment = (
        Experiment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("workspace", "dataset")
        .get(pk=experiment_id)
    )
    if experiment.state == Experiment.State.CANCELLED:
        _report_what_ended(experiment)
    if experiment.state != Experiment.State.ACTIVE or not experiment.versions:
        return experiment
    columns = list(experiment.columns.order_by("id"))
    shared = _Settings(experiment)
    _step(columns)
    for column in columns:
        if column.run is None and not column.refusal:
            _assign_run(experiment, column, columns, shared)
    _step([column for column in columns if column.run is not None and column.run.state == Run.State.PENDING])
    if all(column.refusal or (column.run is not None and column.run.state in TERMINAL) for column in columns):
        _conclude(experiment, [column.run for column in columns if column.run is not None])
    return experiment


def _step(columns: Sequence[ExperimentRun]) -> None:
    """Step the columns' runs, each once and in one order everywhere, so that experiments cannot lock each other out."""
    runs = {
        run_id: step_run(run_id=run_id) for run_id in sorted({column.run_id for column in columns if column.run_id})
    }
    for column in columns:
        if column.run_id is not None:
            column.run = runs[column.run_id]


class _Settings:
    """What all runs of an experiment share, read once."""

    def __init__(self, experiment: Experiment) -> None:
        stored = experiment.configuration
        self.splits = DatasetSplit.objects.select_related("dataset__workspace").in_bulk(list(stored["splits"].values()))
        self.split_of = {task: self.splits[split_id] for task, split_id in stored["splits"].items()}
        self.base_model = BaseModel.objects.get(pk=stored["base_model_id"])
        self.encoder = Encoder.objects.get(pk=stored["encoder_id"]) if stored["encoder_id"] else None
        self.documents_wanted: int = stored["documents_wanted"]
        self.hyperparameters: Mapping[str, Any] = stored["hyperparameters"]
        self.parameters: Mapping[str, Any] = stored["parameters"]
        self.adapter_dtype: str = stored["adapter_dtype"]
        self.seed: int = stored["seed"]
        self.user_limit: int | None = stored["user_limit"]


def _assign_run(
    experiment: Experiment, column: ExperimentRun, columns: Sequence[ExperimentRun], shared: _Settings
) -> None:
    """Give `column` its run, unless it is to use the best retriever and that is not known yet."""
    method = parse_method(column.method)
    split = shared.split_of[column.task]
    means, reason = _means_of(experiment, column.task, method, columns, shared)
    if means is None:
        if reason:
            column.refusal = reason
            column.save(update_fields=["refusal"])
        return
    column.run = ensure_run(
        split=split,
        method=replace(method, retriever=means.retriever),
        base_model=shared.base_model,
        encoder=means.encoder,
        selector=means.selector,
        documents_wanted=shared.documents_wanted,
        hyperparameters=shared.hyperparameters,
        parameters=shared.parameters,
        adapter_dtype=shared.adapter_dtype,
        seed=shared.seed,
        user_limit=shared.user_limit,
        versions=experiment.versions,
        hardware=experiment.hardware,
    )
    if column.run.state in _ENDED_EARLY:
        # It ended so for somebody else: who asks for it anew has it go on.
        restart_run(run=column.run)
        column.run.refresh_from_db()
    column.save(update_fields=["run"])


def _means_of(
    experiment: Experiment, task: str, method: Method, columns: Sequence[ExperimentRun], shared: _Settings
) -> tuple[RetrievingMeans | None, str]:
    """(what `method` retrieves with, "") or (None, why it cannot, "" while that may come to be known)."""
    split = shared.split_of[task]
    if method.retriever == BEST:
        return best_means(experiment, task, method, columns, split)
    own = own_column(task, method, columns)
    if own is not None and own.run is not None:
        # The very same, whatever has been trained since.
        return means_of_run(own.run), ""
    try:
        means = retrieving_means(method=method, split=split, base_model=shared.base_model, encoder=shared.encoder)
    except MeansMissing as missing:
        return None, str(missing)
    return means, ""


def _conclude(experiment: Experiment, runs: Sequence[Run]) -> None:
    experiment.report = build_report(experiment=experiment)
    failed = [run for run in runs if run.state == Run.State.FAILED]
    if failed:
        experiment.state = Experiment.State.FAILED
        experiment.error = f"{len(failed)} of {len(runs)} runs failed. The first: {failed[0].error}"
    elif any(run.state == Run.State.CANCELLED for run in runs):
        experiment.state = Experiment.State.CANCELLED
    else:
        experiment.state = Experiment.State.DONE
    experiment.finished_at = Now()
    experiment.save()
    record_end(workspace_id=experiment.workspace_id, experiment_id=experiment.pk, state=experiment.state)


def _report_what_ended(experiment: Experiment) -> None:
    """Give an experiment that was cancelled its table, if a run of it was done by then."""
    if experiment.report is None and experiment.columns.filter(run__state=Run.State.DONE).exists():
        experiment.report = build_report(experiment=experiment)
        experiment.save(update_fields=["report"])


@transaction.atomic
def cancel_experiment(*, experiment: Experiment) -> None:
    """Stop the experiment and those of its runs that no other active experiment needs. What is done makes its table."""
    cancelled = Experiment.objects.filter(pk=experiment.pk, state=Experiment.State.ACTIVE).update(
        state=Experiment.State.CANCELLED, finished_at=Now()
    )
    if cancelled:
        record_end(workspace_id=experiment.workspace_id, experiment_id=experiment.pk, state=Experiment.State.CANCELLED)
        request_advance(experiment_id=experiment.pk)
    shared = ExperimentRun.objects.filter(experiment__state=Experiment.State.ACTIVE).values("run_id")
    open_runs = Run.objects.filter(columns__experiment=experiment).exclude(pk__in=shared).exclude(state__in=TERMINAL)
    for run in _in_the_order_of_steps(open_runs):
        cancel_run(run=run)


def advance_after(origin: str) -> None:
    """A batch of a run's jobs has ended: if it was the last, the experiments that wait for the run go on."""
    if origin in unfinished_origins([origin]):
        return
    run_id = int(origin.partition(":")[2])
    waiting = Experiment.objects.filter(state=Experiment.State.ACTIVE, columns__run=run_id).distinct()
    for experiment_id in waiting.values_list("pk", flat=True):
        request_advance(experiment_id=experiment_id)


# Called with an experiment's id after each of its steps, whether or not it has ended; idempotent, with a sweep.
_hearing: list[Callable[[int], None]] = []


def hear_of_ends(listener: Callable[[int], None]) -> None:
    """Have `listener` called with an experiment's id after each of its steps. Registering it again changes nothing."""
    if listener not in _hearing:
        _hearing.append(listener)


def step_ended(origin: str) -> None:
    """A step of an experiment has ended: one that failed for good fails the experiment, which would wait for ever."""
    failure = failure_of_last(origin)
    if failure is not None:
        _fail_active(origin, failure)
    for listener in _hearing:
        listener(int(origin.partition(":")[2]))


def _fail_active(origin: str, failure: str) -> None:
    with transaction.atomic():
        active = Experiment.objects.select_for_update(no_key=True).filter(state=Experiment.State.ACTIVE)
        experiment = active.filter(pk=int(origin.partition(":")[2])).first()
        if experiment is None:
            return
        experiment.state = Experiment.State.FAILED
        experiment.error = f"It could not be taken further. {failure}"
        experiment.finished_at = Now()
        experiment.save(update_fields=["state", "error", "finished_at"])
        record_end(workspace_id=experiment.workspace_id, experiment_id=experiment.pk, state=experiment.state)


def advance_stalled() -> None:
    """Beat's sweep: move on every active experiment with a run that nothing is under way for, whatever was lost."""
    for experiment in Experiment.objects.filter(state=Experiment.State.ACTIVE):
        open_runs = experiment.columns.exclude(run=None).exclude(run__state__in=TERMINAL)
        origins = {run_origin(run_id) for run_id in open_runs.values_list("run_id", flat=True)}
        if not origins or origins - unfinished_origins(origins):
            _request_next_step(experiment)
