"""How long an experiment will take and what it will store, before it starts: by what was measured, else by the model.

What neither tells stays unknown, and is said to be.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eval_app import measured_costs
from eval_app.experiment_plans import AdaptersNeeded, Answers, ExperimentPlan
from eval_app.measured_costs import MeasuredRun
from training_app.costs import paper
from training_app.costs.estimates import Assumptions, estimate, gpu_hours
from training_app.costs.flops import generation_flops
from training_app.costs.hardware import gpu_by_name
from training_app.costs.shapes import PUBLISHED
from training_app.costs.storage import adapter_bytes

MODEL_GPU: Final = "h200"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One piece of work: seconds of one worker, kWh, and bytes, each None where unknown; and what that stands on.

    `stores` says whether it leaves anything: answers are rows, and not counted.
    """

    what: str
    stores: bool
    seconds: float | None
    kwh: float | None
    size_bytes: float | None
    basis: str


@dataclass(frozen=True)
class Sum:
    """A sum of what is known; `unknown` of the parts are not in it."""

    value: float
    known: int
    unknown: int


@dataclass(frozen=True)
class ExperimentEstimate:
    """What is left to do, in parts, with their sums."""

    parts: Sequence[Part]

    @property
    def seconds(self) -> Sum:
        return _sum([part.seconds for part in self.parts])

    @property
    def kwh(self) -> Sum:
        return _sum([part.kwh for part in self.parts])

    @property
    def size_bytes(self) -> Sum:
        return _sum([part.size_bytes for part in self.parts if part.stores])

    @property
    def bases(self) -> list[str]:
        """What the numbers stand on, each once."""
        return list(dict.fromkeys(basis for part in self.parts for basis in part.basis.split("\n") if basis))


def _sum(values: Sequence[float | None]) -> Sum:
    known = [value for value in values if value is not None]
    return Sum(sum(known), len(known), len(values) - len(known))


def estimate_experiment(
    plan: ExperimentPlan,
    *,
    measured: Sequence[MeasuredRun],
    base_model: str,
    hyperparameters: Mapping[str, Any],
    parameters: Mapping[str, Any],
    adapter_dtype: str,
    profile_sizes: Mapping[str, float],
) -> ExperimentEstimate:
    """The cost of what `plan` leaves to do, on the base model of that name.

    `profile_sizes` are the mean numbers of documents a question by task, which the model of costs goes by.
    """
    model = _CostModel(base_model, hyperparameters, parameters, adapter_dtype, profile_sizes)
    return ExperimentEstimate(
        [
            *_trainings(plan.adapters, measured, model),
            *_answerings(plan.answers, measured, model),
        ]
    )


def _trainings(
    needed: Sequence[AdaptersNeeded], measured: Sequence[MeasuredRun], model: "_CostModel"
) -> Iterator[Part]:
    for adapters in needed:
        count = adapters.to_train
        if not count:
            continue
        what = f"train {count} adapters of {adapters.task}, rank {adapters.rank}"
        modelled = model.training(what, adapters.task, adapters.rank, count)
        time = measured_costs.training_seconds(
            measured, task=adapters.task, rank=adapters.rank, epochs=model.hyperparameters["epochs"]
        )
        size = measured_costs.adapter_bytes(measured, rank=adapters.rank, dtype=model.adapter_dtype)
        bases = [time.basis if time else modelled.basis, size.basis if size else ""]
        yield Part(
            what=what,
            stores=True,
            seconds=time.value * count if time else modelled.seconds,
            kwh=_kwh(time.value * count, time.watts) if time else modelled.kwh,
            size_bytes=size.value * count if size else modelled.size_bytes,
            basis="\n".join(bases),
        )


def _answerings(asked: Sequence[Answers], measured: Sequence[MeasuredRun], model: "_CostModel") -> Iterator[Part]:
    for answers in asked:
        if not answers.questions:
            continue
        what = f"answer {answers.questions} questions of {answers.task} by {answers.method.title}"
        if answers.outputs > 1:
            what += f", each chosen among {answers.outputs} outputs"
        time = measured_costs.question_seconds(
            measured,
            task=answers.task,
            family=answers.method.family.value,
            num_beams=model.parameters["num_beams"],
            outputs=answers.outputs,
        )
        if time is None:
            yield model.answering(what, answers)
            continue
        seconds = time.value * answers.questions
        yield Part(
            what=what, stores=False, seconds=seconds, kwh=_kwh(seconds, time.watts), size_bytes=None, basis=time.basis
        )


def _kwh(seconds: float, watts: float | None) -> float | None:
    return None if watts is None else seconds * watts / 3_600_000


@dataclass(frozen=True)
class _CostModel:
    """The cost model's word, where nothing was measured."""

    base_model: str
    hyperparameters: Mapping[str, Any]
    parameters: Mapping[str, Any]
    adapter_dtype: str
    profile_sizes: Mapping[str, float]

    def training(self, what: str, task: str, rank: int, count: int) -> Part:
        shape = PUBLISHED.get(self.base_model)
        if shape is None:
            basis = f"training: unknown, as nothing was measured here with {self._name} and its shape is not published"
            return Part(what=what, stores=True, seconds=None, kwh=None, size_bytes=None, basis=basis)
        size = count * adapter_bytes(shape, rank=rank, dtype=self.adapter_dtype)
        if task not in paper.TASKS:
            basis = f"training: unknown, as nothing was measured here and no lengths of {task} are published"
            return Part(what=what, stores=True, seconds=None, kwh=None, size_bytes=size, basis=basis)
        limits = {name: self.hyperparameters[name] for name in ("epochs", "batch_size")}
        work = paper.user_work(
            task,
            **limits,
            max_input_tokens=self.hyperparameters["max_input_tokens"],
            max_output_tokens=self.hyperparameters["max_output_tokens"],
        )
        share = self.profile_sizes[task] / paper.TASKS[task].profile
        cost = estimate(shape, rank=rank, work=work * (count * share), assumptions=_assumptions())
        basis = f"training by the cost model: LaMP's published lengths at this dataset's profile sizes, {_on_gpu()}"
        return Part(what=what, stores=True, seconds=cost.gpu_hours * 3600, kwh=cost.kwh, size_bytes=size, basis=basis)

    def answering(self, what: str, answers: Answers) -> Part:
        shape = PUBLISHED.get(self.base_model)
        if shape is None:
            basis = f"answers: unknown, as nothing was timed here with {self._name} and its shape is not published"
            return Part(what=what, stores=False, seconds=None, kwh=None, size_bytes=None, basis=basis)
        flops = generation_flops(
            shape,
            rank=answers.method.rank or 0,
            source_tokens=self.parameters["max_input_tokens"],
            output_tokens=self.parameters["max_output_tokens"],
            beams=self.parameters["num_beams"],
        )
        hours = gpu_hours(flops, _assumptions()) * answers.questions * answers.outputs
        basis = f"answers by the cost model: prompts and answers as long as they may be, so at most, {_on_gpu()}"
        kwh = hours * _assumptions().gpu.watts / 1000 * _assumptions().pue
        return Part(what=what, stores=False, seconds=hours * 3600, kwh=kwh, size_bytes=None, basis=basis)

    @property
    def _name(self) -> str:
        return self.base_model.rpartition("/")[2] if self.base_model.startswith("/") else self.base_model


def _assumptions() -> Assumptions:
    return Assumptions(gpu=gpu_by_name(MODEL_GPU))


def _on_gpu() -> str:
    assumptions = _assumptions()
    return (
        f"on one {assumptions.gpu.title} at {assumptions.utilization:.0%} of its peak and {assumptions.gpu.watts:g} W, "
        f"PUE {assumptions.pue:g}; another machine takes another time"
    )
