"""Training one user's adapter (LaMP reference §6)."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workers.engine.adapters import AdapterWeights, adapter_weights
from workers.engine.base_model import BaseModel
from workers.engine.batches import (
    MicroBatch,
    TokenPair,
    effective_batches,
    micro_batch,
    split_by_length,
    tokenize_pairs,
)
from workers.engine.dropout import DropoutRow, KeyedDropout
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import LoraSlots
from workers.engine.optimizer import SlotAdamW, linear_schedule
from workers.engine.token_loss import summed_token_loss

OnStep = Callable[[int, int, float], None]


class TrainingDiverged(ValueError):
    """The loss stopped being finite: the settings do not suit the base model."""

    safe_message = True


@dataclass(frozen=True, eq=False)
class TrainedAdapter:
    """What training gives: float32 weights by peft's names, and how it went.

    `loss_curve` is the token mean of each optimizer step in nats; `seconds` is wall-clock time.
    """

    weights: dict[str, Tensor] = field(repr=False)
    hyperparameters: Hyperparameters
    loss_curve: list[float] = field(repr=False)
    steps: int
    seconds: float

    def as_weights(self) -> AdapterWeights:
        """The adapter as `generate` takes it, without a way over files."""
        return adapter_weights(self.weights, rank=self.hyperparameters.rank, alpha=self.hyperparameters.alpha)


def train_adapter(
    base: BaseModel,
    *,
    pairs: Sequence[tuple[str, str]],
    hyperparameters: Hyperparameters,
    seed: int,
    on_step: OnStep | None = None,
) -> TrainedAdapter:
    """Train a LoRA adapter on one user's (input, output) pairs, alone in its passes (exact mode).

    The same base, pairs, hyperparameters and seed give the same bytes on the same machine and thread count, whatever
    ran before in this process. The base model is frozen and in evaluation mode throughout; of its own dropout
    nothing is active (docs/decisions/0004-engine.md). An exception of `on_step(done, total, loss)` ends the training.

    Raises:
        ValueError: there are no pairs.
        TrainingDiverged: the loss stops being finite; a smaller learning rate may help.
    """
    if not pairs:
        raise ValueError("an adapter needs at least one training pair")
    begun = time.perf_counter()
    tokens = tokenize_pairs(
        base.tokenizer,
        pairs,
        max_input_tokens=hyperparameters.max_input_tokens,
        max_output_tokens=hyperparameters.max_output_tokens,
    )
    with base.exclusive():
        slots = LoraSlots(
            base.projections, slots=1, rank=hyperparameters.rank, trainable=True, dtype=base.adapter_dtype
        )
        slots.reset(0, seed=seed, rank=hyperparameters.rank, alpha=hyperparameters.alpha)
        curve = _train(base, slots, tokens, hyperparameters, seed=seed, on_step=on_step)
        weights = slots.read(0)
    return TrainedAdapter(
        weights=weights,
        hyperparameters=hyperparameters,
        loss_curve=curve,
        steps=len(curve),
        seconds=time.perf_counter() - begun,
    )


def total_steps(count: int, hyperparameters: Hyperparameters) -> int:
    """Optimizer steps for a user of `count` pairs."""
    return hyperparameters.epochs * math.ceil(count / hyperparameters.batch_size)


def _train(
    base: BaseModel,
    slots: LoraSlots,
    tokens: Sequence[TokenPair],
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    on_step: OnStep | None,
) -> list[float]:
    optimizer = SlotAdamW(slots)
    total = total_steps(len(tokens), hyperparameters)
    curve: list[float] = []
    for epoch in range(hyperparameters.epochs):
        for chosen in effective_batches(len(tokens), size=hyperparameters.batch_size, seed=seed, epoch=epoch):
            step = len(curve)
            loss = _accumulate(base, slots, [tokens[index] for index in chosen], hyperparameters, seed=seed, step=step)
            if not math.isfinite(loss):
                raise TrainingDiverged(f"the loss is not finite at step {step + 1} of {total}")
            factor = linear_schedule(step, total=total, warmup_ratio=hyperparameters.warmup_ratio)
            optimizer.step(0, learning_rate=hyperparameters.learning_rate * factor, hyperparameters=hyperparameters)
            curve.append(loss)
            if on_step is not None:
                on_step(len(curve), total, loss)
    return curve


def _accumulate(
    base: BaseModel,
    slots: LoraSlots,
    batch: Sequence[TokenPair],
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    step: int,
) -> float:
    """Add the gradient of the effective batch's token mean to the slot; return that mean."""
    count = sum(len(pair.target) for pair in batch)
    summed = 0.0
    for rows in split_by_length(batch):
        part = micro_batch(batch, rows, pad=base.pad_token, start=base.start_token, device=base.input_device)
        dropout = None
        if hyperparameters.dropout > 0:
            dropout = KeyedDropout(
                [DropoutRow(seed=seed, step=step, row=row) for row in rows],
                probability=hyperparameters.dropout,
                projections=len(base.projections.projections),
            )
        with torch.enable_grad(), slots.rows([0] * len(rows), dropout=dropout):
            loss = summed_loss(base, part)
            (loss / count).backward()
        summed += loss.item()
    return summed / count


def summed_loss(base: BaseModel, part: MicroBatch) -> Tensor:
    """The summed loss of a micro-batch; logits are made at target positions only."""
    encoded = base.model.encoder(input_ids=part.input_ids, attention_mask=part.attention_mask)
    decoded = base.model.decoder(
        input_ids=part.decoder_input_ids,
        encoder_hidden_states=encoded.last_hidden_state,
        encoder_attention_mask=part.attention_mask,
        use_cache=False,
    )
    hidden = decoded.last_hidden_state[part.at_target] * base.output_scale
    head = base.model.lm_head.weight
    return summed_token_loss(hidden.to(head.device), output_layer=head, targets=part.targets.to(head.device))
