"""What a run was made with, name by name: to be read, and to be compared with another's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.model_names import public_name
from eval_app.methods import Family
from eval_app.models import Run
from eval_app.run_commands import method_of
from retrieval_app.models import TrainedModel
from retrieval_app.pools import read_pool


@dataclass(frozen=True)
class Difference:
    """A setting in which two runs differ; None where one has none of that name."""

    name: str
    one: Any
    other: Any


def title_of(run: Run) -> str:
    """What a run is called: its method as in a table's head."""
    return "Imported" if run.family == Family.IMPORTED else method_of(run).title


def settings_of(run: Run) -> dict[str, Any]:
    """Everything that decides the run's answers, in the order in which it is read."""
    split = run.split
    settings: dict[str, Any] = {
        "Dataset": split.dataset.name,
        "Task": split.task,
        "Split": f"{split.split}, version {split.version}",
        "Data digest": split.digest,
        "Users": f"the first {run.user_limit}" if run.user_limit else "all",
        "Questions": run.question_count,
        "Method": title_of(run),
    }
    if run.base_model is not None:
        settings |= {"Base model": run.base_model.public_name, "Base model's revision": run.base_model.revision}
    if run.encoder is not None:
        settings |= {"Encoder": public_name(run.encoder.name), "Encoder's revision": run.encoder.revision}
    if run.selector is not None:
        settings |= _settings_of_selector(run.selector)
    if run.documents_wanted:
        settings["Documents retrieved"] = run.documents_wanted
    if run.rank is not None:
        settings |= {"Rank": run.rank, "Seed": run.seed, "Adapters stored in": run.adapter_dtype}
    settings |= {f"Training: {_words(name)}": value for name, value in _sorted(run.hyperparameters) if name != "rank"}
    return settings | {f"Answers: {_words(name)}": value for name, value in _sorted(run.parameters)}


def _settings_of_selector(selector: TrainedModel) -> dict[str, Any]:
    members = [
        f"{member.retriever} ({public_name(member.encoder)}@{member.encoder_revision[:12]})"
        if member.encoder
        else member.retriever
        for member in read_pool(selector.pool)
    ]
    return {
        "Selector": f"{selector.get_kind_display()} {selector.pk}",
        "Selector's digest": selector.content_digest,
        "Selector's pool": ", ".join(members),
    }


def surroundings_of(run: Run) -> dict[str, Any]:
    """Where the run was made: the machine, and versions of packages."""
    machine = {f"Machine: {_words(name)}": value for name, value in run.hardware.items()}
    return machine | {f"Version of {name}": value for name, value in run.versions.items()}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """The names whose values differ, in the first one's order.

    >>> differences({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4})
    [Difference(name='a', one=1, other=None), Difference(name='c', one=3, other=4)]
    """
    return [
        Difference(name, one.get(name), other.get(name))
        for name in {**one, **other}
        if one.get(name) != other.get(name)
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _sorted(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(settings.items())
