"""Training an encoder on a base model's feedback: what selectors (RSPG) and retrievers (ROPG) have in common.

A sample is some candidates and how much each one's output was worth. AdamW with a linear warm-up and decay, gradients
clipped, looks at a dev set, the best step kept, and checkpoints; what is scored and what the loss is, a subclass says.
"""

import copy
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from workers.engine.alignment import align
from workers.engine.batches import MAX_PASS_TOKENS, epoch_order
from workers.engine.checkpoints import CheckpointRefused, training_state
from workers.engine.optimizer import BETA_1, BETA_2, EPSILON, linear_schedule
from workers.engine.seeds import stream_seed
from workers.engine.training import TrainingDiverged

_FORM = "feedback-1"
_WEIGHTS, _FIRST, _SECOND, _BEST = "weights/", "first/", "second/", "best/"


@dataclass(frozen=True, kw_only=True)
class FeedbackHyperparameters:
    """What decides such a training besides its model, its feedback and its seed.

    Learning rate, temperature and clipping are the source's (LaMP reference §3), the others this platform's choice.
    `temperature` divides the scores; what divides the utilities, a subclass says as `label_temperature`.
    """

    learning_rate: float = 1e-5
    epochs: int = 10
    batch_size: int = 16
    """Questions an optimizer step."""
    temperature: float = 1.0
    gradient_clip: float = 1.0
    weight_decay: float = 0.01
    """Of the matrices; biases and the norms' scales are left alone."""
    warmup_share: float = 0.05
    validations: int = 10
    """How many times the dev set is looked at over the whole training."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.type in (int, "int")
            kinds = (int,) if whole else (int, float)
            _require(
                isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value),
                f"{field.name} must be a {'whole ' if whole else ''}number",
            )
            # 1 and 1.0 are one setting, and have one digest.
            object.__setattr__(self, field.name, value if whole else float(value))
        for name in ("learning_rate", "temperature", "gradient_clip"):
            _require(getattr(self, name) > 0, f"{name} must be positive")
        for name in ("epochs", "batch_size", "validations"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1")
        _require(self.weight_decay >= 0, "weight_decay must not be negative")
        _require(0 <= self.warmup_share <= 1, "warmup_share must be between 0 and 1")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; fields left out take their defaults. Raises ValueError on an unknown one."""
        unknown = sorted(str(name) for name in set(values) - {field.name for field in fields(cls)})
        _require(not unknown, f"unknown hyperparameters: {', '.join(unknown)}")
        return cls(**values)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


class FeedbackSample(Protocol):
    """A question's candidates and, in their order, the utility (`lamp.utility`) of the output that each one gave."""

    @property
    def utilities(self) -> tuple[float, ...]: ...


Sample = TypeVar("Sample", bound=FeedbackSample)


@dataclass(frozen=True, eq=False)
class TokenizedSample:
    """A sample's rows of tokens in a form of the subclass's own; how many there are, and the longest's length."""

    rows: Any
    count: int
    longest: int


class FeedbackTrainer(ABC, Generic[Sample]):
    """Trains a copy of a model, a step at a time; the model given stays as it is.

    A sample whose candidates are all worth the same is not trained on: no choice among them is better than another. It
    would only pull scores together (and a reward relative to the first document would be zero), which shrinks what the
    other samples teach without turning any order around, and costs a pass. On the dev set it counts with its utility,
    which needs no pass either. Where there is no other sample there are no steps, and the best is the model as given.

    The same model, samples, settings and seed give the same weights to the byte on a CPU. Order, dropout and draws are
    functions of the seed and the step, so that an interrupted training goes on from a checkpoint as if it had not been.

    Args:
        pass_tokens: the most tokens (padding included) in one pass; gradients of a step's passes are added up. A
            question's candidates stay together, so that one that is larger by itself is a pass of its own.
        check: called before each pass; what it raises interrupts the step, or the look at the dev set, which is then
            made anew by whoever goes on.

    Attributes:
        done, total: optimizer steps made, and to make.
        loss_curve: the loss of each step made.
        validations: pairs of a step and the mean utility of what was chosen on the dev set after it.

    Raises:
        ValueError: there is no sample to train on or none to validate with, or one has no utility for each candidate.
    """

    validates_the_start = False
    """Whether the model as given may be the best one, that is whether it can do the task already."""

    def __init__(
        self,
        model: nn.Module,
        train: Sequence[Sample],
        dev: Sequence[Sample],
        *,
        hyperparameters: FeedbackHyperparameters,
        seed: int,
        pass_tokens: int = MAX_PASS_TOKENS,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        _require(bool(train), "there is no sample to train on")
        _require(bool(dev), "there is no sample to validate with")
        for sample in (*train, *dev):
            _require(
                bool(sample.utilities) and all(map(math.isfinite, sample.utilities)),
                "every sample needs a utility for each candidate",
            )
        self.hyperparameters = hyperparameters
        self.seed = seed
        self.pass_tokens = pass_tokens
        self._check = check
        self._train = [sample for sample in train if _differ(sample)]
        self._dev = dev
        steps_an_epoch = math.ceil(len(self._train) / hyperparameters.batch_size)
        self.total = steps_an_epoch * hyperparameters.epochs
        self._looks = self._steps_to_look_after()
        self.loss_curve: list[float] = []
        self.validations: list[tuple[int, float]] = []
        self._best: dict[str, Tensor] = {}
        self._model = copy.deepcopy(model)
        self._model.requires_grad_(True)
        align(self._model)
        self._parameters = dict(self._model.named_parameters())
        self._optimizer = _optimizer(self._parameters.values(), hyperparameters)
        if self.total == 0:
            self._look()

    @abstractmethod
    def _tokenized(self, sample: Sample) -> TokenizedSample: ...

    @abstractmethod
    def _scores(self, rows: Sequence[Any]) -> list[Tensor]:
        """One pass: the scores of each sample's candidates, [candidates] each."""

    @abstractmethod
    def _losses(self, scores: Sequence[Tensor], samples: Sequence[Sample], *, places: Sequence[int]) -> Tensor:
        """The sum of the samples' losses; `places` is where each of them stands among those trained on."""

    @property
    def done(self) -> int:
        return len(self.loss_curve)

    @property
    def finished(self) -> bool:
        return self.done == self.total and not self._look_is_due

    @property
    def epoch(self) -> int:
        """Of the next step, from 0."""
        return self.done // max(1, math.ceil(len(self._train) / self.hyperparameters.batch_size))

    @property
    def learning_rate(self) -> float:
        """Of the next step. Steps count from 1 here, so that none has a rate of 0: a step that changes nothing could
        otherwise be the best one."""
        share = self.hyperparameters.warmup_share
        return self.hyperparameters.learning_rate * linear_schedule(
            self.done + 1, total=self.total + 1, warmup_ratio=share
        )

    @property
    def device(self) -> torch.device:
        return next(iter(self._parameters.values())).device

    @property
    def best_step(self) -> int | None:
        """After how many steps the dev set was done best, the earliest of equal ones; None before the first look."""
        if not self.validations:
            return None
        return max(self.validations, key=lambda validation: (validation[1], -validation[0]))[0]

    def step(self) -> float:
        """Make one optimizer step, look at the dev set where it is time to, and return the step's loss.

        Where the last look was interrupted it is all that is left, and the loss is that of the last step.

        Raises:
            TrainingDiverged: the loss, its gradient or a score stopped being finite.
        """
        _require(not self.finished, "the training is finished")
        self._look()
        if self.finished:
            return self.loss_curve[-1]
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._accumulate(self._batch())
        norm = nn.utils.clip_grad_norm_(self._parameters.values(), self.hyperparameters.gradient_clip)
        self._require_finite(torch.tensor(loss), norm)
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.loss_curve.append(loss)
        self._look()
        return loss

    def _batch(self) -> list[int]:
        """Places of the next step's samples; an epoch's last batch may be smaller."""
        size = self.hyperparameters.batch_size
        order = epoch_order(len(self._train), seed=self.seed, epoch=self.epoch)
        start = self.done % math.ceil(len(order) / size) * size
        return order[start : start + size]

    def _accumulate(self, batch: Sequence[int]) -> float:
        """The batch's mean loss, whose gradients are added up over its passes."""
        self._model.train()
        loss = 0.0
        for number, places, rows in self._passes([self._train[place] for place in batch]):
            samples = [self._train[batch[place]] for place in places]
            with self._chances("dropout", self.done, number):
                scores = self._scores(rows)
            self._require_finite(*scores)
            part = self._losses(scores, samples, places=[batch[place] for place in places]) / len(batch)
            part.backward()
            loss += float(part.detach())
        return loss

    def _require_finite(self, *values: Tensor) -> None:
        if not all(bool(torch.isfinite(value).all()) for value in values):
            raise TrainingDiverged(f"the loss is not finite at step {self.done + 1} of {self.total}")

    def _passes(self, samples: Sequence[Sample]) -> Iterator[tuple[int, list[int], list[Any]]]:
        """Each pass's number, the places of its samples, and their rows: sorted by length, within `pass_tokens`."""
        tokenized = [self._tokenized(sample) for sample in samples]
        passes: list[list[int]] = []
        count = 0
        for place in sorted(range(len(tokenized)), key=lambda place: (tokenized[place].longest, place)):
            one = tokenized[place]
            if not passes or (count + one.count) * one.longest > self.pass_tokens:
                passes.append([])
                count = 0
            passes[-1].append(place)
            count += one.count
        for number, places in enumerate(passes):
            self._check()
            yield number, places, [tokenized[place].rows for place in places]

    @contextmanager
    def _chances(self, *purpose: str | int) -> Iterator[None]:
        """Dropout's draws from a stream of their own; the process's generators are left as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(stream_seed(self.seed, *purpose))
            yield

    def _steps_to_look_after(self) -> list[int]:
        """Evenly over the training, its end always among them."""
        looks = max(1, min(self.hyperparameters.validations, self.total))
        steps = {-(-self.total * number // looks) for number in range(1, looks + 1)}
        return sorted(steps | {0} if self.validates_the_start else steps)

    @property
    def _look_is_due(self) -> bool:
        """Whether this step is one to look after, and that has not been done."""
        return self.done in self._looks and not (self.validations and self.validations[-1][0] == self.done)

    def _look(self) -> None:
        """Validate, where that is due; keep the weights if the best."""
        if not self._look_is_due:
            return
        self.validations.append((self.done, self._mean_utility()))
        if self.best_step == self.done:
            self._best = {name: parameter.detach().cpu().clone() for name, parameter in self._parameters.items()}

    @torch.inference_mode()
    def _mean_utility(self) -> float:
        """Of the candidates that the model as it is now scores highest, over the dev set."""
        self._model.eval()
        worth = [sample.utilities[0] for sample in self._dev if not _differ(sample)]
        asked = [sample for sample in self._dev if _differ(sample)]
        size = self.hyperparameters.batch_size
        for start in range(0, len(asked), size):
            part = asked[start : start + size]
            for _, places, rows in self._passes(part):
                for place, scores in zip(places, self._scores(rows), strict=True):
                    worth.append(part[place].utilities[self._highest(scores)])
        return math.fsum(worth) / len(worth)

    def _highest(self, scores: Tensor) -> int:
        """The place of the highest score, the first of equal ones."""
        values = scores.float().cpu().numpy()
        if not np.isfinite(values).all():
            raise TrainingDiverged(f"a score is not finite after step {self.done} of {self.total}")
        return int(values.argmax())

    def _best_model(self) -> nn.Module:
        """A copy of the model with the weights of the best step. Raises ValueError before the first look."""
        _require(bool(self.validations), "no step has been validated so far")
        model = copy.deepcopy(self._model)
        _write(dict(model.named_parameters()), self._best)
        return model

    def checkpoint_bytes(self, *, identity: str) -> bytes:
        """Where the training stands, as one safetensors file; `identity` names what is trained (all that decides it).

        It holds weights, AdamW's moments, the best step's weights, losses and validations, and nothing of the samples.
        """
        moments = [(name, self._optimizer.state.get(parameter)) for name, parameter in self._parameters.items()]
        parts = {
            _WEIGHTS: dict(self._parameters),
            _FIRST: {name: state["exp_avg"] for name, state in moments if state},
            _SECOND: {name: state["exp_avg_sq"] for name, state in moments if state},
            _BEST: self._best,
        }
        tensors = {
            prefix + name: tensor.detach().cpu().contiguous()
            for prefix, part in parts.items()
            for name, tensor in sorted(part.items())
        }
        state = {
            "form": _FORM,
            "identity": identity,
            "done": self.done,
            "total": self.total,
            # repr keeps every bit of a float.
            "loss_curve": [repr(loss) for loss in self.loss_curve],
            "validations": [[step, repr(value)] for step, value in self.validations],
        }
        return save_safetensors(tensors, metadata={"training": json.dumps(state, sort_keys=True)})

    def resume(self, data: bytes, *, identity: str) -> None:
        """Go on from a checkpoint of this same training.

        Raises:
            CheckpointRefused: not a whole checkpoint of the training that `identity` names; nothing has changed then.
        """
        state = training_state(data)
        if state.get("form") != _FORM or state.get("identity") != identity or state.get("total") != self.total:
            raise CheckpointRefused("the checkpoint belongs to another training")
        try:
            done = int(state["done"])
            curve = [float(loss) for loss in state["loss_curve"]]
            validations = [(int(step), float(value)) for step, value in state["validations"]]
            tensors = load_safetensors(data)
        except (KeyError, TypeError, ValueError, OverflowError, SafetensorError) as error:
            raise CheckpointRefused("the checkpoint is damaged") from error
        self._check_course(done, curve, validations)
        weights, first, second, best = (
            {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            for prefix in (_WEIGHTS, _FIRST, _SECOND, _BEST)
        )
        known = self._parameters.keys()
        if (
            weights.keys() != known
            or best.keys() != (known if validations else set())
            or first.keys() != second.keys()
            or not first.keys() <= known
            or len(weights) + len(first) + len(second) + len(best) != len(tensors)
        ):
            raise CheckpointRefused("the checkpoint's tensors are not those of this model")
        for part in (weights, first, second, best):
            self._check_tensors(part)
        _write(self._parameters, weights)
        self._optimizer.state.clear()
        for name in first:
            parameter = self._parameters[name]
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(done)),
                "exp_avg": torch.empty_like(parameter, requires_grad=False).copy_(first[name]),
                "exp_avg_sq": torch.empty_like(parameter, requires_grad=False).copy_(second[name]),
            }
        self.loss_curve, self.validations, self._best = curve, validations, best

    def _check_course(self, done: int, curve: Sequence[float], validations: Sequence[tuple[int, float]]) -> None:
        looks = [step for step in self._looks if step <= done]
        # The look after the step that was just made may not have been made, or was interrupted.
        looked = [step for step, _ in validations]
        fitting = looked == looks or looked == [step for step in looks if step < done]
        finite = all(map(math.isfinite, (*curve, *(value for _, value in validations))))
        if not 0 <= done <= self.total or len(curve) != done or not fitting or not finite:
            raise CheckpointRefused("the checkpoint's steps, losses and validations do not fit together")

    def _check_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            wanted = self._parameters[name]
            fitting = tensor.shape == wanted.shape and tensor.dtype == wanted.dtype
            if not fitting or not bool(torch.isfinite(tensor).all()):
                raise CheckpointRefused(
                    "a tensor of the checkpoint has another shape or type, or values that are not finite"
                )


def _differ(sample: FeedbackSample) -> bool:
    return min(sample.utilities) < max(sample.utilities)


def _optimizer(parameters: Any, hyperparameters: FeedbackHyperparameters) -> torch.optim.AdamW:
    parameters = list(parameters)
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": hyperparameters.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=hyperparameters.learning_rate, betas=(BETA_1, BETA_2), eps=EPSILON)


@torch.no_grad()
def _write(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        parameters[name].copy_(value)
