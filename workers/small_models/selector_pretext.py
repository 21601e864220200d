"""What the small selectors learn before the feedback: to count.

For each word, how often it and how often the pair of it and the next one stand elsewhere in the prompt; and for the
whole text, how many of its words and pairs do so how often. No answer is needed for that, so it is learned in a few
hundred steps where the feedback, whose differences are half chance, would take many thousands.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertForSequenceClassification

from workers.engine.batches import padded
from workers.engine.selector import TokenRow
from workers.small_models.pretexts import Pretext, learn
from workers.small_models.recipe import Recipe
from workers.small_models.selector_initial import WIDTH

MOST = 4
"""Counts from here on are one class."""
WORDS = 80
"""How many words of a text are asked about at most."""
HISTOGRAMS = 4 * (MOST + 1)
HISTOGRAMS_WEIGHT = 200.0


class Counts(NamedTuple):
    """Of a text: places of words; how often each word, and its pair with the next, stands in the prompt besides; and
    the histograms, which share of the prompt's and of the output's words and pairs is of each class.
    """

    places: list[int]
    words: list[int]
    pairs: list[int]
    histograms: list[float]


def count(row: TokenRow) -> Counts:
    """Count the words of the prompt, and of the output where there is one, in the prompt."""
    prompt_end = row.segments.index(1) if 1 in row.segments else len(row.ids)
    prompt = row.ids[1 : prompt_end - 1]
    words, pairs = Counter(prompt), Counter(pairwise(prompt))
    counts = Counts([], [], [], [])
    for places, itself in ((range(1, prompt_end - 1), 1), (range(prompt_end, len(row.ids) - 1), 0)):
        of_words = [_most(words[row.ids[place]] - itself) for place in places]
        of_pairs = [_most(pairs[row.ids[place], row.ids[place + 1]] - itself) for place in places]
        counts.places.extend(places)
        counts.words.extend(of_words)
        counts.pairs.extend(of_pairs)
        counts.histograms.extend(_histogram(of_words) + _histogram(of_pairs))
    return counts


def _most(times: int) -> int:
    return max(0, min(MOST, times))


def _histogram(counts: Sequence[int]) -> list[float]:
    return [counts.count(times) / max(1, len(counts)) for times in range(MOST + 1)]


class Counting(Pretext[tuple[TokenRow, Counts]]):
    """A selector's model with what says its counts."""

    def __init__(self, model: BertForSequenceClassification) -> None:
        super().__init__()
        self.model = model
        self.counts = nn.Linear(WIDTH, 2 * (MOST + 1))
        self.histograms = nn.Linear(WIDTH, HISTOGRAMS)

    def loss(self, examples: Sequence[tuple[TokenRow, Counts]]) -> Tensor:
        read = states_of(self.model, [row for row, _ in examples])
        counts = [found for _, found in examples]
        words = [(text, place) for text, one in enumerate(counts) for place in one.places]
        histograms = HISTOGRAMS_WEIGHT * functional.mse_loss(
            self.histograms(read.texts), torch.tensor([one.histograms for one in counts])
        )
        if not words:
            return histograms
        texts, places = torch.tensor(words).T
        said = self.counts(read.words[texts, places])
        of_words = torch.tensor([number for one in counts for number in one.words])
        of_pairs = torch.tensor([number for one in counts for number in one.pairs])
        return (
            functional.cross_entropy(said[:, : MOST + 1], of_words)
            + functional.cross_entropy(said[:, MOST + 1 :], of_pairs)
            + histograms
        )


class States(NamedTuple):
    """What a model makes of a batch: [texts, words, width] of each word, and [texts, width] of each text."""

    words: Tensor
    texts: Tensor


def states_of(model: BertForSequenceClassification, rows: Sequence[TokenRow]) -> States:
    """One pass."""
    ids, mask = padded([row.ids for row in rows], pad=model.config.pad_token_id or 0)
    segments, _ = padded([row.segments for row in rows], pad=0)
    read = model.bert(input_ids=ids, attention_mask=mask, token_type_ids=segments)
    return States(read.last_hidden_state, read.pooler_output)


def learn_to_count(
    recipe: Recipe,
    model: BertForSequenceClassification,
    texts: Sequence[TokenRow],
    *,
    identity: str,
    checkpoint: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train `model` in place to the end of this part of the recipe, from the checkpoint where there is one of
    `identity`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        counting = Counting(model)

    def batch_of(step: int) -> list[tuple[TokenRow, Counts]]:
        rng = random.Random(f"counting/{recipe.seed}/{step}")  # noqa: S311 - text, not secrets
        rows = sorted(rng.choices(texts, k=recipe.selector_counting_batch), key=lambda row: len(row.ids))
        return [(row, _some(count(row), rng)) for row in rows]

    learn(
        recipe,
        counting,
        batch_of,
        steps=recipe.selector_counting_steps,
        identity=identity,
        checkpoint=checkpoint,
        on_step=on_step,
    )


def _some(counts: Counts, rng: random.Random) -> Counts:
    asked = sorted(rng.sample(range(len(counts.places)), min(WORDS, len(counts.places))))
    return Counts(
        places=[counts.places[at] for at in asked],
        words=[counts.words[at] for at in asked],
        pairs=[counts.pairs[at] for at in asked],
        histograms=counts.histograms,
    )
