"""Training adapters, many users in one pass or one alone (LaMP reference §6).

Each user's optimizer step sees exactly that user's batch; passes of the base model are filled with rows of all users,
laid end to end without padding. What is one user's own (order of the pairs, dropout, schedule, moments, clipping) is
kept by the user's slot and seed, so an adapter does not depend on who shared its passes beyond the last digits of its
sums.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workers.engine.adapters import AdapterWeights, adapter_weights
from workers.engine.base_model import BaseModel
from workers.engine.batches import (
    MAX_PASS_TOKENS,
    TokenPair,
    epoch_order,
    split_by_tokens,
    tokenize_pairs,
)
from workers.engine.checkpoints import Checkpoint
from workers.engine.dropout import DropoutRow, KeyedDropout
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import LoraSlots
from workers.engine.lora_training import TrainedRows
from workers.engine.optimizer import SlotAdamW, linear_schedule
from workers.engine.packed_t5 import packed_loss
from workers.engine.packing import pack_pairs

DEFAULT_TRAINING_SLOTS = 16
OnStep = Callable[[int, int, float], None]


class TrainingDiverged(ValueError):
    """The loss stopped being finite: the settings do not suit the base model."""

    safe_message = True


@dataclass(frozen=True, eq=False)
class TrainingRequest:
    """One user's adapter to be: (input, output) pairs in training order, settings, and the seed of all its chances."""

    pairs: Sequence[tuple[str, str]] = field(repr=False)
    hyperparameters: Hyperparameters
    seed: int


@dataclass(frozen=True, eq=False)
class TrainedAdapter:
    """What training gives: weights by peft's names in the optimizer's precision, and how it went.

    `loss_curve` is the token mean of each optimizer step in nats; `seconds` is the adapter's share of the wall-clock
    time of its passes.
    """

    weights: dict[str, Tensor] = field(repr=False)
    hyperparameters: Hyperparameters
    loss_curve: list[float] = field(repr=False)
    steps: int
    seconds: float

    def as_weights(self) -> AdapterWeights:
        """The adapter as `generate` takes it, without a way over files."""
        return adapter_weights(self.weights, rank=self.hyperparameters.rank, alpha=self.hyperparameters.alpha)


class Learner:
    """One user's training on its way, in a slot of an `AdapterTrainer`, which alone moves it on.

    `done` of `total` optimizer steps are made; `loss_curve` has a value for each; `seconds` is its share so far. One
    that has `diverged`, or has a `failure`, makes no further step.
    """

    def __init__(self, request: TrainingRequest, tokens: Sequence[TokenPair], *, slot: int) -> None:
        self.request = request
        self.total = total_steps(len(tokens), request.hyperparameters)
        self.loss_curve: list[float] = []
        self.seconds = 0.0
        self.diverged = False
        self.failure: torch.OutOfMemoryError | None = None
        self.slot = slot
        self._tokens = tokens
        self._order: tuple[int, list[int]] | None = None

    @property
    def done(self) -> int:
        return len(self.loss_curve)

    @property
    def finished(self) -> bool:
        return self.done == self.total

    @property
    def running(self) -> bool:
        return not self.finished and not self.diverged and self.failure is None

    def batch(self) -> list[TokenPair]:
        """The pairs of the next optimizer step; an epoch's last batch may be smaller."""
        size = self.request.hyperparameters.batch_size
        epoch, place = divmod(self.done, math.ceil(len(self._tokens) / size))
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, epoch_order(len(self._tokens), seed=self.request.seed, epoch=epoch))
        return [self._tokens[index] for index in self._order[1][place * size : (place + 1) * size]]

    @property
    def learning_rate(self) -> float:
        """Of the next optimizer step."""
        hyperparameters = self.request.hyperparameters
        factor = linear_schedule(self.done, total=self.total, warmup_ratio=hyperparameters.warmup_ratio)
        return hyperparameters.learning_rate * factor


@dataclass(frozen=True, eq=False)
class _Row:
    """A pair in a learner's batch; `share` is what each of its target tokens counts in the batch's mean."""

    learner: Learner
    place: int
    pair: TokenPair
    share: float


class AdapterTrainer:
    """Trains up to `slots` adapters beside one base model, a step of each at a time.

    Slots are preallocated and filled in place: whenever one is free another user may start, whatever step the others
    are at. Where memory runs out, passes are made half as large (`pass_tokens`), and where the slots themselves do
    not fit, there are half as many (`slots`); neither changes more than last digits. A row that does not fit alone ends
    its own user's training.

    Args:
        slots: how many users share the passes.
        rank: the highest rank that fits a slot; smaller ones are padded.
        pass_tokens: the most tokens of one forward and backward pass.
        gradient_checkpointing: keep less of a pass and compute it again on the way back.
        exact: one slot, and passes that are never made smaller: bytes depend on nothing but the request, and a
            training that does not fit ends.
    """

    def __init__(
        self,
        base: BaseModel,
        *,
        slots: int,
        rank: int,
        pass_tokens: int = MAX_PASS_TOKENS,
        gradient_checkpointing: bool = False,
        exact: bool = False,
    ) -> None:
        if exact and slots != 1:
            raise ValueError("exact mode trains one user a pass")
        self.base = base
        self.rank = rank
        self.pass_tokens = pass_tokens
        self._recompute = gradient_checkpointing
        self._exact = exact
        self._stack, self._optimizer = _allocate(base, slots=slots, rank=rank)
        self.slots = self._stack.slots
        self._learners: dict[int, Learner] = {}

    @property
    def free(self) -> int:
        """Empty slots."""
        return self.slots - len(self._learners)

    @property
    def learners(self) -> tuple[Learner, ...]:
        """Everyone in a slot, in the order in which they were started."""
        return tuple(self._learners.values())

    def start(self, request: TrainingRequest, *, checkpoint: Checkpoint | None = None) -> Learner:
        """Put an adapter into a free slot, new or as `checkpoint` left it.

        Raises ValueError: there are no pairs, no free slot, or the rank is above the slots'.
        """
        hyperparameters = request.hyperparameters
        if not request.pairs:
            raise ValueError("an adapter needs at least one training pair")
        if not self.free:
            raise ValueError("every slot is taken")
        slot = next(slot for slot in range(self.slots) if slot not in self._learners)
        tokens = tokenize_pairs(
            self.base.tokenizer,
            request.pairs,
            max_input_tokens=hyperparameters.max_input_tokens,
            max_output_tokens=hyperparameters.max_output_tokens,
        )
        learner = Learner(request, tokens, slot=slot)
        self._optimizer.reset(slot)
        if checkpoint is None:
            self._stack.reset(slot, seed=request.seed, rank=hyperparameters.rank, alpha=hyperparameters.alpha)
        else:
            self._resume(learner, checkpoint)
        self._learners[slot] = learner
        return learner

    def _resume(self, learner: Learner, checkpoint: Checkpoint) -> None:
        if not 0 <= checkpoint.done <= learner.total:
            raise ValueError("the checkpoint is further than the training goes")
        hyperparameters = learner.request.hyperparameters
        rank, alpha = hyperparameters.rank, hyperparameters.alpha
        self._stack.load(learner.slot, AdapterWeights(tensors=checkpoint.weights, rank=rank, alpha=alpha, digest=""))
        self._optimizer.resume(
            learner.slot, steps=checkpoint.done, first=checkpoint.first_moments, second=checkpoint.second_moments
        )
        learner.loss_curve.extend(checkpoint.loss_curve)
        learner.seconds = checkpoint.seconds

    def step(self) -> None:
        """Make one optimizer step of every running learner."""
        running = [learner for learner in self._learners.values() if learner.running]
        if not running:
            return
        begun = time.perf_counter()
        rows = [row for learner in running for row in _rows(learner)]
        with self.base.exclusive():
            losses = self._accumulate(running, rows)
            for learner, loss in zip(running, losses, strict=True):
                learner.diverged = learner.failure is None and not math.isfinite(loss)
                if not learner.running:
                    self._optimizer.discard(learner.slot)
                    continue
                self._optimizer.step(
                    learner.slot,
                    learning_rate=learner.learning_rate,
                    hyperparameters=learner.request.hyperparameters,
                )
                learner.loss_curve.append(loss)
        _share_time(rows, time.perf_counter() - begun)

    def finish(self, learner: Learner) -> TrainedAdapter:
        """Take the trained adapter out of its slot.

        Whatever it raises, the slot is free.

        Raises:
            TrainingDiverged: its loss stopped being finite.
            torch.OutOfMemoryError: one of its rows, or in exact mode one of its passes, does not fit the memory.
        """
        weights = self._stack.read(learner.slot)
        self.drop(learner)
        if learner.failure is not None:
            raise learner.failure
        if learner.diverged or not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
            raise TrainingDiverged(f"the loss is not finite at step {learner.done + 1} of {learner.total}")
        return TrainedAdapter(
            weights=weights,
            hyperparameters=learner.request.hyperparameters,
            loss_curve=learner.loss_curve,
            steps=learner.done,
            seconds=learner.seconds,
        )

    def drop(self, learner: Learner) -> None:
        """Free a learner's slot, however far it is."""
        if self._learners.get(learner.slot) is not learner:
            raise ValueError("this learner has no slot here")
        del self._learners[learner.slot]

    def checkpoint(self, learner: Learner) -> Checkpoint:
        """A copy of all that `start` needs to go on from here."""
        first, second = self._optimizer.moments(learner.slot)
        return Checkpoint(
            weights=self._stack.read(learner.slot),
            first_moments=first,
            second_moments=second,
            done=learner.done,
            loss_curve=list(learner.loss_curve),
            seconds=learner.seconds,
        )

    def _accumulate(self, running: Sequence[Learner], rows: Sequence[_Row]) -> list[float]:
        """Add the gradient of each learner's token mean to its slot; return those means."""
        while True:
            passes = split_by_tokens([row.pair for row in rows], max_tokens=self.pass_tokens)
            losses = self._all_passes(running, [[rows[index] for index in chosen] for chosen in passes])
            if losses is not None:
                return losses
            # What some passes have added already is added again: masks and batches are functions of the step.
            for learner in running:
                self._optimizer.discard(learner.slot)
            self.pass_tokens = max(1, self.pass_tokens // 2)

    def _all_passes(self, running: Sequence[Learner], passes: Sequence[Sequence[_Row]]) -> list[float] | None:
        """The learners' mean losses; None where memory ran out in a pass that can be made smaller."""
        place = {learner.slot: index for index, learner in enumerate(running)}
        parts: list[Tensor] = []
        for rows in passes:
            try:
                parts.append(self._one_pass(rows, place))
            except torch.OutOfMemoryError as error:
                if len(rows) > 1 and not self._exact:
                    return None
                for row in rows:
                    # Without the traceback, whose frames hold what did not fit.
                    row.learner.failure = error.with_traceback(None)
        summed: list[float] = torch.stack(parts).sum(dim=0).tolist() if parts else [0.0] * len(running)
        return summed

    def _one_pass(self, rows: Sequence[_Row], place: dict[int, int]) -> Tensor:
        """One forward and backward pass; returns what it adds to each running learner's mean loss."""
        base = self.base
        part = pack_pairs([row.pair for row in rows], start=base.start_token, device=base.input_device)
        trained = TrainedRows(
            self._stack,
            [row.learner.slot for row in rows],
            source_lengths=part.source_lengths,
            target_lengths=part.target_lengths,
            dropout=_dropout(rows, projections=len(base.projections.projections)),
        )
        shares = [row.share for row in rows for _ in row.pair.target]
        owners = [place[row.learner.slot] for row in rows for _ in row.pair.target]
        with torch.enable_grad():
            total, losses = packed_loss(
                base, part, trained, shares=torch.tensor(shares, dtype=base.adapter_dtype), recompute=self._recompute
            )
            total.backward()
        owner = torch.tensor(owners, device=losses.device)
        share = torch.tensor(shares, dtype=losses.dtype, device=losses.device)
        return losses.new_zeros(len(place)).index_add_(0, owner, losses * share)


def train_adapter(
    base: BaseModel,
    *,
    pairs: Sequence[tuple[str, str]],
    hyperparameters: Hyperparameters,
    seed: int,
    on_step: OnStep | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainedAdapter:
    """Train a LoRA adapter on one user's (input, output) pairs, alone in its passes (exact mode).

    The same base, pairs, hyperparameters and seed give the same bytes on the same machine and thread count, whatever
    ran before in this process, and whether or not it went on from a checkpoint. The base model is frozen and in
    evaluation mode throughout; of its own dropout nothing is active (docs/decisions/0004-engine.md). An exception of
    `on_step(done, total, loss)` ends the training.

    Raises:
        ValueError: there are no pairs.
        TrainingDiverged: the loss stops being finite; a smaller learning rate may help.
        torch.OutOfMemoryError: a pass does not fit the memory; in exact mode it is not made smaller.
    """
    trainer = AdapterTrainer(base, slots=1, rank=hyperparameters.rank, exact=True)
    learner = trainer.start(TrainingRequest(pairs, hyperparameters, seed), checkpoint=checkpoint)
    while learner.running:
        trainer.step()
        if on_step is not None and (learner.running or learner.finished):
            on_step(learner.done, learner.total, learner.loss_curve[-1])
    return trainer.finish(learner)


def train_adapters(
    base: BaseModel, requests: Sequence[TrainingRequest], *, slots: int = DEFAULT_TRAINING_SLOTS
) -> list[TrainedAdapter]:
    """Train many users' adapters, `slots` of them in one pass, the next as soon as one has ended; in their order.

    Each agrees with `train_adapter` of the same request up to the order of sums: within 1e-9 in float64; in float32 as
    a rule within 1e-5, and where a gradient is nothing but rounding, of which Adam makes whole steps, within some
    hundredths of the learning rate.

    Raises what `train_adapter` raises, for the first adapter that fails.
    """
    if not requests:
        return []
    rank = max(request.hyperparameters.rank for request in requests)
    trainer = AdapterTrainer(base, slots=min(slots, len(requests)), rank=rank)
    # Long trainings first, so that none is left to run alone at the end.
    waiting = deque(sorted(range(len(requests)), key=lambda index: -_length(requests[index])))
    running: dict[int, Learner] = {}
    trained: dict[int, TrainedAdapter] = {}
    while waiting or running:
        while waiting and trainer.free:
            index = waiting.popleft()
            running[index] = trainer.start(requests[index])
        trainer.step()
        for index in [index for index, learner in running.items() if not learner.running]:
            trained[index] = trainer.finish(running.pop(index))
    return [trained[index] for index in range(len(requests))]


def total_steps(count: int, hyperparameters: Hyperparameters) -> int:
    """Optimizer steps for a user of `count` pairs."""
    return hyperparameters.epochs * math.ceil(count / hyperparameters.batch_size)


def _allocate(base: BaseModel, *, slots: int, rank: int) -> tuple[LoraSlots, SlotAdamW]:
    """As many trainable slots as there is memory for, `slots` of them or a half, a quarter …"""
    stack: LoraSlots | None
    while True:
        try:
            stack = LoraSlots(base.projections, slots=slots, rank=rank, trainable=True, dtype=base.adapter_dtype)
            return stack, SlotAdamW(stack)
        except torch.OutOfMemoryError:
            if slots == 1:
                raise
        stack = None
        slots //= 2


def _rows(learner: Learner) -> list[_Row]:
    batch = learner.batch()
    share = 1 / sum(len(pair.target) for pair in batch)
    return [_Row(learner, place, pair, share) for place, pair in enumerate(batch)]


def _dropout(rows: Sequence[_Row], *, projections: int) -> KeyedDropout | None:
    masks = [
        DropoutRow(
            seed=row.learner.request.seed,
            step=row.learner.done,
            row=row.place,
            probability=row.learner.request.hyperparameters.dropout,
        )
        for row in rows
    ]
    if not any(mask.probability for mask in masks):
        return None
    return KeyedDropout(masks, projections=projections)


def _share_time(rows: Sequence[_Row], seconds: float) -> None:
    """Let each learner's `seconds` grow by what its tokens had of the step."""
    tokens = [len(row.pair.source) + len(row.pair.target) for row in rows]
    total = sum(tokens)
    for row, count in zip(rows, tokens, strict=True):
        row.learner.seconds += seconds * count / total


def _length(request: TrainingRequest) -> int:
    return total_steps(len(request.pairs), request.hyperparameters)
