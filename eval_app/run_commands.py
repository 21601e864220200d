"""The command line that repeats a run."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from common.model_names import public_name
from eval_app.experiment_settings import HYPERPARAMETERS
from eval_app.methods import Family, Method
from eval_app.models import DatasetSplit, Run
from eval_app.retrieving_means import trained_model_of
from eval_app.runs import RunInputs, run_inputs
from lamp.catalogue import get_task
from retrieval_app.models import TrainedModel
from retrieval_app.retrievers import FINE_TUNED
from retrieval_app.trained_models import trained_model_for
from training_app.adapters import stored_dtype_of
from training_app.hyperparameters import HYPERPARAMETERS as PAPERS
from training_app.hyperparameters import complete_hyperparameters

# What the installation calls its small models, which need no revision: they are of the source.
_SMALL: Final = "small"
_LIMITS: Final = ("max_input_tokens", "max_output_tokens")


@dataclass(frozen=True)
class RepeatCommand:
    """A line for a shell, and what has to be known before it does what the run did."""

    line: str
    notes: list[str]


def method_of(run: Run) -> Method:
    """The method of a run that was made here; of an imported one it is not known under which label it stands."""
    return Method(Family(run.family), retriever=run.retriever or None, rank=run.rank, control=run.control or None)


def repeat_command(run: Run, *, shows_paths: bool) -> RepeatCommand | None:
    """The command that makes `run` anew in an installation that has it not; None for one that was made elsewhere.

    Where the run stands already, the command finds it and shows its table. `shows_paths`: a model that lies in a
    folder of the server is named by the folder's path, without which the line cannot be used as it is.
    """
    if run.base_model is None or run.family == Family.IMPORTED:
        return None
    words = ["python", "manage.py", "run_experiment", *_options(run, shows_paths=shows_paths)]
    return RepeatCommand(line=shlex.join(words), notes=list(_notes(run, shows_paths=shows_paths)))


def _options(run: Run, *, shows_paths: bool) -> Iterator[str]:
    assert run.base_model is not None
    method = method_of(run)
    split = run.split
    yield from ("--workspace", run.workspace.slug, "--name", f"repeat of run {run.pk}")
    yield from ("--dataset", split.dataset.name, "--split", split.split, "--tasks", split.task)
    yield from ("--methods", method.own.key)
    if method.control is not None:
        yield from ("--controls", method.control)
    yield from ("--base-model", _model(run.base_model.name, run.base_model.revision, shows_paths=shows_paths))
    # A fine-tuned one comes with the method.
    if run.encoder is not None and run.retriever not in FINE_TUNED:
        yield from ("--encoder", _model(run.encoder.name, run.encoder.revision, shows_paths=shows_paths))
    if method.family.retrieves:
        yield from ("-k", str(run.documents_wanted))
    if run.user_limit is not None:
        yield from ("--users", str(run.user_limit))
    if method.family.adapts:
        yield from ("--seed", str(run.seed))
        for name in HYPERPARAMETERS:
            if name in run.hyperparameters:
                yield from (_option(name), repr(run.hyperparameters[name]))
    for name in ("num_beams", *_LIMITS):
        yield from (_option(name), str(run.parameters[name]))
    yield from ("--dtype", str(run.parameters["dtype"]))
    if run.parameters["exact"]:
        yield "--exact"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _model(name: str, revision: str, *, shows_paths: bool) -> str:
    if name == _SMALL:
        return name
    if Path(name).is_absolute():
        return name if shows_paths else public_name(name)
    return f"{name}@{revision}"


def _notes(run: Run, *, shows_paths: bool) -> Iterator[str]:
    assert run.base_model is not None
    newest = (
        DatasetSplit.objects.filter(dataset=run.split.dataset_id, task=run.split.task, split=run.split.split)
        .order_by("-version")
        .first()
    )
    if newest is not None and newest.pk != run.split_id:
        yield (
            f"The command takes the newest version of the split, which is {newest.version}; this run is of version "
            f"{run.split.version} (digest {run.split.digest[:12]})."
        )
    for name in dict.fromkeys(model.name for model in (run.base_model, run.encoder) if model is not None):
        if Path(name).is_absolute() and not shows_paths:
            yield f"“{public_name(name)}” is a folder of the server: write its path in its place."
    trained = trained_model_of(run)
    if trained is not None:
        yield from _notes_of_trained(run, trained)
    if run.adapter_dtype and run.adapter_dtype != stored_dtype_of(exact=run.parameters["exact"]):
        yield (
            f"Its adapters are stored in {run.adapter_dtype}, and this installation now stores them in "
            f"{settings.ADAPTER_DTYPE}: set ADAPTER_DTYPE={run.adapter_dtype} for the command."
        )
    differing = [name for name, value in _defaults(run).items() if run.hyperparameters.get(name) != value]
    if differing:
        told = ", ".join(f"{name} {run.hyperparameters.get(name)}" for name in differing)
        yield f"Made with settings that the command has no option for: {told}."
    elif _as_the_command_names_it(run).identity != run.identity:
        yield (
            "The task, the retrieval or the engine has another version here by now, or the split has: the command "
            "makes a run of its own beside this one."
        )


def _notes_of_trained(run: Run, trained: TrainedModel) -> Iterator[str]:
    """Which selector or fine-tuned encoder has to stand where the command is run, which takes the newest one."""
    used, version = _told(trained), get_task(run.split.task).version
    if trained.task_versions.get(run.split.task, version) != version:
        yield f"It needs {used}, which knows the prompts of another version of {run.split.task} than is in force."
        return
    newest = trained_model_for(
        workspace=run.workspace,
        kind=trained.kind,
        task=run.split.task,
        task_version=version,
        base_model=trained.base_model,
    )
    if newest is None:
        gone = (
            "was withdrawn" if trained.withdrawn_at is not None else "names an encoder in its pool that was withdrawn"
        )
        yield f"It needs {used}, which {gone}: the command refuses the method until another one is trained."
    elif newest.content_digest != trained.content_digest:
        yield f"The command takes the newest one, {_told(newest)}; this run was made with {used}."
    elif trained.workspace_id is not None:
        yield f"It needs {used}, which this workspace alone has: elsewhere one has to be trained first."


def _told(trained: TrainedModel) -> str:
    return f"{trained.get_kind_display()} {trained.pk} (digest {trained.content_digest[:12]})"


def _defaults(run: Run) -> dict[str, int | float]:
    """What the command will train with where it has no option: the paper's values, and the limits of prompts."""
    if not run.hyperparameters:
        return {}
    fixed: dict[str, int | float] = {
        name: bounds.default for name, bounds in PAPERS.items() if name not in (*HYPERPARAMETERS, "rank", *_LIMITS)
    }
    return {**fixed, **{name: run.parameters[name] for name in _LIMITS}}


def _as_the_command_names_it(run: Run) -> RunInputs:
    assert run.base_model is not None
    chosen = {name: run.hyperparameters[name] for name in HYPERPARAMETERS if name in run.hyperparameters}
    hyperparameters = complete_hyperparameters({**chosen, **{name: run.parameters[name] for name in _LIMITS}})
    del hyperparameters["rank"]
    return run_inputs(
        split=run.split,
        method=method_of(run),
        base_model=run.base_model,
        encoder=run.encoder,
        selector=run.selector,
        documents_wanted=run.documents_wanted,
        hyperparameters=hyperparameters,
        parameters=run.parameters,
        adapter_dtype=stored_dtype_of(exact=run.parameters["exact"]),
        seed=run.seed,
        user_limit=run.user_limit,
    )
