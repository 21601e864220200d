"""What the small selectors learn after counting: to compare a prompt's entries.

For each word, in how many other entries it stands, and how near its entry is to the question; for the whole text, the
features of `selector_entries`. As with counting, no answer is needed for that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertForSequenceClassification

from lamp.selector_texts import SelectorText
from workers.engine.selector import Selector, TokenRow, token_rows
from workers.small_models.pretexts import Pretext, learn
from workers.small_models.recipe import Recipe
from workers.small_models.selector_entries import Entries, compared, entries_of
from workers.small_models.selector_initial import WIDTH
from workers.small_models.selector_pretext import states_of

MOST_OTHERS = 4
NEARNESS_WEIGHT = 5.0
SCALED_BY = 3000  # texts, whose features' means and deviations are everybody's scale

Candidate = tuple[str, SelectorText]
"""The key of its task, and what is read of it."""


class Compared(NamedTuple):
    """Of a text: in how many other entries each word stands (-1: not asked), how near the word's entry is to the
    question (-1: it stands in none), and the features.
    """

    row: TokenRow
    others: list[int]
    nearness: list[float]
    features: list[float]


def compare(selector: Selector, candidate: Candidate) -> Compared:
    """What is true of one text, word by word as the selector reads it."""
    task_key, text = candidate
    [row] = token_rows(selector, [text])
    read = entries_of(task_key, text.text)
    entry_of = _entry_of_each_word(selector.tokenizer, read, text, row)
    nearness = read.nearness()
    words: list[set[int]] = [set() for _ in nearness]
    for word, entry in zip(row.ids, entry_of, strict=True):
        if entry is not None:
            words[entry].add(word)
    special = set(selector.tokenizer.all_special_ids)
    return Compared(
        row,
        [
            -1
            if word in special
            else min(MOST_OTHERS, sum(word in held for place, held in enumerate(words) if place != entry))
            for word, entry in zip(row.ids, entry_of, strict=True)
        ],
        [-1.0 if entry is None else nearness[entry] for entry in entry_of],
        compared(task_key, text),
    )


def _entry_of_each_word(tokenizer: Any, read: Entries, text: SelectorText, row: TokenRow) -> list[int | None]:
    """The place of the entry that each token stands in; None for those of none, and of the output."""
    spans = [entry.span for entry in read.entries]
    found: list[int | None] = [None] * len(row.ids)
    # One special token stands before the prompt, which may have been cut at its end.
    prompt = tokenizer.backend_tokenizer.encode(text.text, add_special_tokens=False)
    room = (row.segments.index(1) if 1 in row.segments else len(row.ids)) - 2
    for place, (start, _) in enumerate(prompt.offsets[:room], start=1):
        found[place] = next((number for number, (first, end) in enumerate(spans) if first <= start < end), None)
    return found


class Comparing(Pretext[Compared]):
    """A selector's model with what says how the entries compare; `scale` are texts that are typical."""

    def __init__(self, model: BertForSequenceClassification, *, scale: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.model = model
        self.others = nn.Linear(WIDTH, MOST_OTHERS + 1)
        self.nearness = nn.Linear(WIDTH, 1)
        self.features = nn.Linear(WIDTH, len(scale[0]))
        features = torch.tensor(scale)
        self._mean, self._deviation = features.mean(dim=0), features.std(dim=0, unbiased=False) + 1e-3

    def loss(self, examples: Sequence[Compared]) -> Tensor:
        read = states_of(self.model, [one.row for one in examples])
        features = (torch.tensor([one.features for one in examples]) - self._mean) / self._deviation
        loss = functional.mse_loss(self.features(read.texts), features)
        others = [
            (text, place, number)
            for text, one in enumerate(examples)
            for place, number in enumerate(one.others)
            if number >= 0
        ]
        if others:
            texts, places, numbers = torch.tensor(others).T
            loss = loss + functional.cross_entropy(self.others(read.words[texts, places]), numbers)
        near = [
            (text, place) for text, one in enumerate(examples) for place, share in enumerate(one.nearness) if share >= 0
        ]
        if near:
            texts, places = torch.tensor(near).T
            shares = torch.tensor([share for one in examples for share in one.nearness if share >= 0])
            said = self.nearness(read.words[texts, places])[:, 0]
            loss = loss + NEARNESS_WEIGHT * functional.mse_loss(said, shares)
        return loss


def learn_to_compare(
    recipe: Recipe,
    selector: Selector,
    candidates: Sequence[Candidate],
    *,
    identity: str,
    checkpoint: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train the selector's model in place to the end of this part of the recipe, from the checkpoint where there is one
    of `identity`.
    """
    typical = random.Random(f"scale/{recipe.seed}")  # noqa: S311 - text, not secrets
    scale = [compared(*candidate) for candidate in typical.choices(candidates, k=SCALED_BY)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        comparing = Comparing(selector.model, scale=scale)

    def batch_of(step: int) -> list[Compared]:
        rng = random.Random(f"comparing/{recipe.seed}/{step}")  # noqa: S311 - text, not secrets
        batch = [compare(selector, one) for one in rng.choices(candidates, k=recipe.selector_comparing_batch)]
        return sorted(batch, key=lambda one: len(one.row.ids))

    learn(
        recipe,
        comparing,
        batch_of,
        steps=recipe.selector_comparing_steps,
        identity=identity,
        checkpoint=checkpoint,
        on_step=on_step,
    )
