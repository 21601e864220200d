"""Trains the small encoder by Contriever's recipe (Izacard et al., 2022): two random crops of a document belong
together, all else in the batch does not.

The embedding is the mean over the tokens, compared by dot product, as it is used (LaMP reference §3).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from workers.small_models.checkpoints import load_checkpoint, save_checkpoint
from workers.small_models.recipe import Recipe
from workers.small_models.samples import documents

SHORTEST_CROP, LONGEST_CROP = 0.3, 0.7  # of a document's tokens
DELETED = 0.1  # of a crop's tokens


def encoder_config(tokenizer: PreTrainedTokenizerFast) -> BertConfig:
    """A BERT with two layers of width 128: about 0.7 million parameters."""
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=512,
        type_vocab_size=2,
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def initial_encoder(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> BertModel:
    """The untrained encoder; equal seeds give equal weights. Its pooler stays untrained: embeddings are means over
    tokens.
    """
    torch.manual_seed(seed)
    return BertModel(encoder_config(tokenizer))


def train_encoder(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    *,
    checkpoint: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> BertModel:
    """Train to the recipe's end, from the checkpoint where there is one; `on_step` hears the step and its loss."""
    model = initial_encoder(tokenizer, seed=recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.encoder_learning_rate, weight_decay=0.01)
    part = recipe.part("encoder")
    first = load_checkpoint(checkpoint, model=model, optimizers=[optimizer], recipe=part)
    model.train()
    for step, crops in _batches(recipe, tokenizer, first=first):
        rise = min(1.0, (step + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = recipe.encoder_learning_rate * rise * max(0.05, 1 - step / recipe.encoder_steps)
        loss = contrastive_loss(_embeddings(model, tokenizer, crops), temperature=recipe.encoder_temperature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        on_step(step + 1, loss.item())
        if (step + 1) % recipe.checkpoint_steps == 0 or step + 1 == recipe.encoder_steps:
            save_checkpoint(
                checkpoint, model=model, optimizers=[optimizer], step=step + 1, recipe=recipe.part("encoder")
            )
    return model.eval()


def contrastive_loss(embeddings: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE with in-batch negatives; rows 2i and 2i + 1 belong together. Scores are dot products over the square
    root of the width.
    """
    one, other = embeddings[0::2], embeddings[1::2]
    scores = one @ other.T / (temperature * embeddings.shape[1])
    return torch.nn.functional.cross_entropy(scores, torch.arange(len(one)))


def _embeddings(model: BertModel, tokenizer: PreTrainedTokenizerFast, crops: list[list[int]]) -> Tensor:
    batch = tokenizer.pad({"input_ids": crops}, return_tensors="pt")
    hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _batches(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, *, first: int
) -> Iterator[tuple[int, list[list[int]]]]:
    """(step, crops): two crops of each of a batch's documents, next to each other; a step's batch depends on its
    number alone.
    """
    texts = list(documents(seed=recipe.seed, users=recipe.encoder_users))
    tokens = tokenizer(texts, add_special_tokens=False)["input_ids"]
    for step in range(first, recipe.encoder_steps):
        rng = random.Random(f"crops/{recipe.seed}/{step}")  # noqa: S311 - text, not secrets
        chosen = rng.sample(tokens, recipe.encoder_batch)
        crops = [_crop(rng, document) for document in chosen for _ in (0, 1)]
        yield step, [[tokenizer.cls_token_id, *crop, tokenizer.sep_token_id] for crop in crops]


def _crop(rng: random.Random, tokens: list[int]) -> list[int]:
    """A contiguous part of the tokens, some of them left out."""
    length = max(1, int(len(tokens) * rng.uniform(SHORTEST_CROP, LONGEST_CROP)))
    start = rng.randrange(len(tokens) - length + 1)
    kept = [token for token in tokens[start : start + length] if rng.random() >= DELETED]
    return kept or tokens[start : start + 1]
