"""Training a selector (RSPG) on the feedback of a pool of retrievers (LaMP reference §3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lamp.selector_texts import SelectorText
from workers.engine.batches import MAX_PASS_TOKENS
from workers.engine.feedback_training import FeedbackHyperparameters, FeedbackTrainer, TokenizedSample
from workers.engine.selector import Selector, TokenRow, logits, token_rows, wrap_selector


@dataclass(frozen=True, kw_only=True)
class SelectorHyperparameters(FeedbackHyperparameters):
    """`FeedbackHyperparameters` with a selector's defaults; `temperature` divides its scores."""

    label_temperature: float = 1.0
    """Divides the utilities. The source has none (1); below 1 small differences between outputs weigh more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_temperature <= 0:
            raise ValueError("label_temperature must be positive")


class SelectorSample(NamedTuple):
    """One question: each pool member's text, and the utility of its output, both in the pool's order."""

    texts: tuple[SelectorText, ...]
    utilities: tuple[float, ...]


def selection_loss(scores: Tensor, utilities: Tensor, *, temperature: float, label_temperature: float = 1.0) -> Tensor:
    """KL divergence from softmax(utilities / label_temperature) to softmax(scores / temperature), the mean over the
    batch.

    Args:
        scores, utilities: [batch, pool].
    """
    target = functional.softmax(utilities / label_temperature, dim=-1)
    return functional.kl_div(functional.log_softmax(scores / temperature, dim=-1), target, reduction="batchmean")


class SelectorTrainer(FeedbackTrainer[SelectorSample]):
    """Trains a selector a step at a time (`FeedbackTrainer` says how); it is validated by what it would choose.

    A head that has learned nothing chooses at random, so the selector as given is never the best one unless there is
    nothing to learn.

    Raises:
        ValueError: as `FeedbackTrainer` does; or the samples are not of one pool.
    """

    def __init__(
        self,
        selector: Selector,
        train: Sequence[SelectorSample],
        dev: Sequence[SelectorSample],
        *,
        hyperparameters: SelectorHyperparameters,
        seed: int,
        pass_tokens: int = MAX_PASS_TOKENS,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        pools = {len(part) for sample in (*train, *dev) for part in sample}
        if len(pools) > 1:
            raise ValueError("every sample needs a text and a utility of each of the pool's members")
        self._selector = selector
        self._label_temperature = hyperparameters.label_temperature
        super().__init__(
            selector.model,
            train,
            dev,
            hyperparameters=hyperparameters,
            seed=seed,
            pass_tokens=pass_tokens,
            check=check,
        )

    def best(self) -> Selector:
        """The selector of the best step. Raises ValueError before the first look at the dev set."""
        return wrap_selector(
            self._best_model(),
            self._selector.tokenizer,
            name=self._selector.name,
            device=self._selector.device,
        )

    def _tokenized(self, sample: SelectorSample) -> TokenizedSample:
        rows = token_rows(self._selector, sample.texts)
        return TokenizedSample(rows, count=len(rows), longest=max(len(row.ids) for row in rows))

    def _scores(self, rows: Sequence[list[TokenRow]]) -> list[Tensor]:
        found = logits(self._model, self._selector.tokenizer, [row for rows_of_one in rows for row in rows_of_one])
        return list(found.split([len(rows_of_one) for rows_of_one in rows]))

    def _losses(self, scores: Sequence[Tensor], samples: Sequence[SelectorSample], *, places: Sequence[int]) -> Tensor:
        together = torch.stack(list(scores))
        utilities = torch.tensor([sample.utilities for sample in samples], device=together.device)
        mean = selection_loss(
            together,
            utilities,
            temperature=self.hyperparameters.temperature,
            label_temperature=self._label_temperature,
        )
        return mean * len(samples)
