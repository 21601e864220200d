"""The same arithmetic by other people's code: peft, torch.optim.AdamW and transformers, one user at a time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from torch import Tensor
from transformers import get_linear_schedule_with_warmup

from tests.workers.engine.models import words_tokenizer
from workers.engine.base_model import BaseModel
from workers.engine.batches import effective_batches
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import LoraSlots
from workers.engine.training import TrainingRequest


def peft_model(model: Any, hyperparameters: Hyperparameters, weights: Mapping[str, Tensor]) -> PeftModel:
    config = LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.alpha,
        lora_dropout=0.0,
        target_modules=["q", "k", "v"],
        task_type="SEQ_2_SEQ_LM",
    )
    wrapped = get_peft_model(model, config, autocast_adapter_dtype=False).eval()
    loaded = set_peft_model_state_dict(wrapped, dict(weights))
    assert not loaded.unexpected_keys
    return wrapped


def trainable(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """LoRA parameters by the names that a saved folder has."""
    return {
        name.replace(".default.", "."): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def mean_loss(model: PeftModel, pairs: Sequence[tuple[str, str]]) -> Tensor:
    """The token mean over one padded batch, as the model itself computes it."""
    tokenizer = words_tokenizer()
    source = tokenizer([text for text, _ in pairs], padding=True, return_tensors="pt")
    labels = tokenizer([text for _, text in pairs], padding=True, return_tensors="pt").input_ids
    labels[labels == tokenizer.pad_token_id] = -100
    loss: Tensor = model(input_ids=source.input_ids, attention_mask=source.attention_mask, labels=labels).loss
    return loss


def train(
    model: PeftModel, pairs: Sequence[tuple[str, str]], hyperparameters: Hyperparameters, *, seed: int, steps: int
) -> list[float]:
    """The first `steps` optimizer steps of the whole schedule, over the engine's order of pairs."""
    parameters = list(trainable(model).values())
    optimizer = torch.optim.AdamW(
        parameters, lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
    )
    total = hyperparameters.epochs * math.ceil(len(pairs) / hyperparameters.batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(hyperparameters.warmup_ratio * total), total)
    losses: list[float] = []
    for epoch in range(hyperparameters.epochs):
        for chosen in effective_batches(len(pairs), size=hyperparameters.batch_size, seed=seed, epoch=epoch):
            if len(losses) == steps:
                return losses
            optimizer.zero_grad()
            loss = mean_loss(model, [pairs[index] for index in chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, hyperparameters.max_grad_norm)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return losses


def first_batch(request: TrainingRequest) -> list[tuple[str, str]]:
    """The pairs of a request's first optimizer step, in the engine's order."""
    size = request.hyperparameters.batch_size
    return [
        request.pairs[index]
        for index in next(effective_batches(len(request.pairs), size=size, seed=request.seed, epoch=0))
    ]


def start_of(base: BaseModel, request: TrainingRequest) -> dict[str, Tensor]:
    """What an adapter is before its first step."""
    hyperparameters = request.hyperparameters
    slots = LoraSlots(base.projections, slots=1, rank=hyperparameters.rank, dtype=base.adapter_dtype)
    slots.reset(0, seed=request.seed, rank=hyperparameters.rank, alpha=hyperparameters.alpha)
    return slots.read(0)
