"""Trains the small T5 as a general model is trained: on strangers, tasks mixed, with and without a profile in the
prompt.

So it learns to *use* a profile that stands in its prompt, and knows no user of any benchmark.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.optim import AdamW, Muon, Optimizer
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

from retrieval_app.prompts import Tokenizer
from workers.small_models.checkpoints import load_checkpoint, save_checkpoint
from workers.small_models.initial import initial_t5
from workers.small_models.recipe import Recipe
from workers.small_models.samples import TASKS, training_people, training_samples

IGNORED = -100
LONGEST_PROMPT = 512
LONGEST_LABEL = 6  # tokens, the end token included; titles and tweets have more
ROUNDED = 8  # prompts are padded to a multiple of so many tokens, so that batches have few shapes

Batch = list[tuple[list[int], list[int]]]


def train_t5(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    *,
    checkpoint: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> T5ForConditionalGeneration:
    """Train to the recipe's end, from the checkpoint where there is one; `on_step` hears the step and its loss."""
    model = initial_t5(tokenizer, seed=recipe.seed)
    optimizers = _optimizers(recipe, model)
    first = load_checkpoint(checkpoint, model=model, optimizers=optimizers, recipe=recipe.part("t5"))
    model.train()
    for step, batch in _batches(recipe, tokenizer, first=first):
        loss = _loss(model, batch, label_weight=recipe.t5_label_weight)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * schedule(recipe, step)
            optimizer.step()
        on_step(step + 1, loss.item())
        if (step + 1) % recipe.checkpoint_steps == 0 or step + 1 == recipe.t5_steps:
            save_checkpoint(checkpoint, model=model, optimizers=optimizers, step=step + 1, recipe=recipe.part("t5"))
    return model.eval()


def _optimizers(recipe: Recipe, model: T5ForConditionalGeneration) -> list[Optimizer]:
    """Muon for the matrices between the layers, which learn in a fraction of the steps by it; AdamW for the
    embedding, the norms and the position biases, which it is not made for.
    """
    outer = ("shared", "lm_head", "relative_attention_bias")
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        between = parameter.ndim == 2 and not any(part in name for part in outer)
        (matrices if between else others).append(parameter)
    rates = (recipe.t5_matrix_learning_rate, recipe.t5_learning_rate)
    return [
        Muon([{"params": matrices, "initial_lr": rates[0]}], weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        AdamW([{"params": others, "initial_lr": rates[1]}], betas=(0.9, 0.98), weight_decay=0.01),
    ]


def schedule(recipe: Recipe, step: int) -> float:
    """The learning rates' factor: in each part a warm-up, then constant, then a cosine to 2 %."""
    part, step = recipe.t5_part_at(step)
    rise = min(1.0, (step + 1) / recipe.t5_warmup)
    fallen = max(0.0, step / part.steps - part.falls_from) / (1 - part.falls_from)
    return part.rate * rise * (0.02 + 0.98 * (1 + math.cos(math.pi * fallen)) / 2)


def _loss(model: T5ForConditionalGeneration, batch: Batch, *, label_weight: float) -> Tensor:
    """The answers' cross-entropy, each the sum over its tokens over the square root of its length; the mean of them."""
    inputs = _padded([prompt for prompt, _ in batch], 0, multiple=ROUNDED)
    labels = _padded([answer for _, answer in batch], IGNORED, multiple=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=inputs, attention_mask=_mask(batch, inputs), labels=labels).logits
    losses = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    lengths = (labels != IGNORED).sum(dim=1)
    weights = torch.where(lengths <= LONGEST_LABEL, label_weight, 1.0)
    return (weights * losses.sum(dim=1) / lengths.sqrt()).mean()


def _padded(rows: list[list[int]], padding: int, *, multiple: int) -> Tensor:
    longest = -(-max(map(len, rows)) // multiple) * multiple
    return torch.tensor([row + [padding] * (longest - len(row)) for row in rows])


def _mask(batch: Batch, inputs: Tensor) -> Tensor:
    lengths = torch.tensor([len(prompt) for prompt, _ in batch])
    return (torch.arange(inputs.shape[1]) < lengths[:, None]).long()


def _batches(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, *, first: int) -> Iterator[tuple[int, Batch]]:
    """(step, batch) from step `first`; a pool of samples depends on its number alone, so a later start meets the same
    batches.
    """
    step = first
    while step < recipe.t5_steps:
        pool = _pool(recipe, tokenizer, number=step // recipe.pool_batches)
        for batch in pool[step % recipe.pool_batches :]:
            if step < recipe.t5_steps:
                yield step, batch
                step += 1


def _pool(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, *, number: int) -> list[Batch]:
    """Some batches of samples of about equal length, in random order."""
    rng = random.Random(f"pool/{recipe.seed}/{number}")  # noqa: S311 - text, not secrets
    wanted = recipe.pool_batches * recipe.t5_batch
    entries = recipe.entries_at(number * recipe.pool_batches)
    # No pool meets another's users: each task has this many numbers a pool, and every user gives two samples at least.
    crowds = {task: training_people(task, seed=recipe.seed, first=1 + number * wanted) for task in TASKS}
    texts: list[tuple[str, str]] = []
    users = dict(recipe.t5_part_at(number * recipe.pool_batches)[0].users)
    while len(texts) < wanted:
        for task, crowd in crowds.items():
            for person in islice(crowd, users.get(task, 1)):
                texts += training_samples(task, person, rng=rng, tokenizer=cast(Tokenizer, tokenizer), entries=entries)
    prompts = tokenizer([prompt for prompt, _ in texts[:wanted]], truncation=True, max_length=LONGEST_PROMPT)
    answers = tokenizer([answer for _, answer in texts[:wanted]])
    samples = sorted(
        zip(prompts["input_ids"], answers["input_ids"], strict=True), key=lambda sample: (len(sample[0]), sample)
    )
    batches = [samples[start : start + recipe.t5_batch] for start in range(0, wanted, recipe.t5_batch)]
    rng.shuffle(batches)
    return batches
