"""Training a dense retriever on a base model's feedback (ROPG, LaMP reference §3).

The score of a document is the dot product of its mean-pooled vector and the query's, both from one encoder, as dense
retrieval has it; what is trained here is stored and used like any other encoder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from workers.engine.batches import MAX_PASS_TOKENS, padded, token_ids
from workers.engine.encoder import Encoder, mean_pool, most_tokens, wrap_encoder
from workers.engine.feedback_training import FeedbackHyperparameters, FeedbackTrainer, TokenizedSample
from workers.engine.model_folders import write_model_folder
from workers.engine.seeds import stream
from workers.engine.text_lengths import MOST_TOKENS

MAX_TOKENS = MOST_TOKENS

DISTILLATION = "kd"
"""The encoder's distribution over the documents is drawn to that of the base model's feedback."""
REINFORCEMENT = "rl"
"""A document is drawn from the encoder's distribution, and the metric is the reward."""
MODES = (DISTILLATION, REINFORCEMENT)


@dataclass(frozen=True, kw_only=True)
class RetrieverHyperparameters(FeedbackHyperparameters):
    """`FeedbackHyperparameters` with a retriever's defaults.

    `temperature` divides the scores and, where knowledge is distilled, the utilities too, unless these have their own.
    """

    label_temperature: float = 0.0
    """What divides the utilities where knowledge is distilled; 0: the same as the scores. Scores of some encoders are
    tens apart, and utilities are never more than one, so that one temperature cannot tell both."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_temperature < 0:
            raise ValueError("label_temperature must not be negative")


class RetrieverSample(NamedTuple):
    """One question: the query, the initial retriever's best documents in its order, and the utility of each one alone.

    A document's utility is that of the output which the base model gave with this document, and no other, in its
    prompt.
    """

    query: str
    documents: tuple[str, ...]
    utilities: tuple[float, ...]


def distillation_loss(
    scores: Tensor, utilities: Tensor, *, temperature: float, label_temperature: float | None = None
) -> Tensor:
    """Cross-entropy from softmax(utilities / temperature) to softmax(scores / temperature), the mean over the batch.

    The utilities are divided by `label_temperature` instead where there is one.

    The softmax of the scores is taken once (LaMP reference §3).

    Args:
        scores, utilities: [batch, documents].
    """
    target = functional.softmax(utilities / (label_temperature or temperature), dim=-1)
    return -(target * functional.log_softmax(scores / temperature, dim=-1)).sum(dim=-1).mean()


def reinforcement_loss(scores: Tensor, utilities: Tensor, drawn: Tensor) -> Tensor:
    """-log p(drawn) · (utility(drawn) - utility(first)) with p = softmax(scores), the mean over the batch.

    Args:
        scores: [batch, documents], already over the temperature.
        utilities: [batch, documents] in the initial retriever's order, so that the first one's is the baseline.
        drawn: [batch], the place of the document that was drawn from p (`draw`).
    """
    chosen = drawn.unsqueeze(-1)
    log_probability = functional.log_softmax(scores, dim=-1).gather(-1, chosen).squeeze(-1)
    reward = utilities.gather(-1, chosen).squeeze(-1) - utilities[..., 0]
    return -(log_probability * reward).mean()


def draw(scores: Tensor, *, generator: torch.Generator) -> Tensor:
    """A place of each row of `scores` [batch, documents], drawn from its softmax: [batch] on the scores' device."""
    # On the CPU, where the generator is: the same scores give the same draw on every machine.
    probabilities = functional.softmax(scores.detach().float().cpu(), dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1).to(scores.device)


class RetrieverTrainer(FeedbackTrainer[RetrieverSample]):
    """Trains an encoder a step at a time (`FeedbackTrainer` says how).

    It is validated by the utility of the document that it scores highest. The encoder as given is validated too: it
    retrieves already, and stays the best one where no step retrieves better on the dev set.

    Args:
        mode: `DISTILLATION` or `REINFORCEMENT`.

    Raises:
        ValueError: as `FeedbackTrainer` does; another mode; or a sample without a utility for each document.
    """

    validates_the_start = True

    def __init__(
        self,
        encoder: Encoder,
        train: Sequence[RetrieverSample],
        dev: Sequence[RetrieverSample],
        *,
        mode: str,
        hyperparameters: RetrieverHyperparameters,
        seed: int,
        pass_tokens: int = MAX_PASS_TOKENS,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"a retriever is trained by {' or '.join(MODES)}")
        if any(len(sample.documents) != len(sample.utilities) for sample in (*train, *dev)):
            raise ValueError("every sample needs a utility of each of its documents")
        self.mode = mode
        self._label_temperature = hyperparameters.label_temperature
        self._encoder = encoder
        self._max_tokens = min(MAX_TOKENS, most_tokens(encoder.model))
        super().__init__(
            encoder.model,
            train,
            dev,
            hyperparameters=hyperparameters,
            seed=seed,
            pass_tokens=pass_tokens,
            check=check,
        )

    def best(self) -> Encoder:
        """The encoder of the best step. Raises ValueError before the first look at the dev set.

        Its revision is that of the encoder it began as: `load_encoder` gives what was written one of its own.
        """
        return wrap_encoder(
            self._best_model(),
            self._encoder.tokenizer,
            name=self._encoder.name,
            revision=self._encoder.revision,
            device=self._encoder.device,
        )

    def _tokenized(self, sample: RetrieverSample) -> TokenizedSample:
        rows = token_ids(self._encoder.tokenizer, [sample.query, *sample.documents], limit=self._max_tokens)
        return TokenizedSample(rows, count=len(rows), longest=max(map(len, rows)))

    def _scores(self, rows: Sequence[list[list[int]]]) -> list[Tensor]:
        vectors = self._vectors([row for rows_of_one in rows for row in rows_of_one])
        return [of_one[1:] @ of_one[0] for of_one in vectors.split([len(rows_of_one) for rows_of_one in rows])]

    def _vectors(self, rows: Sequence[list[int]]) -> Tensor:
        """As `encode` makes them; a text without any token has zeros."""
        with_tokens = [place for place, row in enumerate(rows) if row]
        vectors = torch.zeros(len(rows), self._encoder.dimension, device=self.device)
        if not with_tokens:
            return vectors
        pad = self._encoder.tokenizer.pad_token_id or 0
        ids, mask = (part.to(self.device) for part in padded([rows[place] for place in with_tokens], pad=pad))
        hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return vectors.index_copy(0, torch.tensor(with_tokens, device=self.device), mean_pool(hidden, mask))

    def _losses(self, scores: Sequence[Tensor], samples: Sequence[RetrieverSample], *, places: Sequence[int]) -> Tensor:
        # One by one: questions have as many documents as their profiles allow.
        return torch.stack(
            [
                self._loss(of_one.unsqueeze(0), sample, place=place)
                for of_one, sample, place in zip(scores, samples, places, strict=True)
            ]
        ).sum()

    def _loss(self, scores: Tensor, sample: RetrieverSample, *, place: int) -> Tensor:
        utilities = torch.tensor([sample.utilities], device=scores.device)
        temperature = self.hyperparameters.temperature
        if self.mode == DISTILLATION:
            return distillation_loss(
                scores,
                utilities,
                temperature=temperature,
                label_temperature=self._label_temperature,
            )
        scores = scores / temperature
        return reinforcement_loss(
            scores, utilities, draw(scores, generator=stream(self.seed, "draw", self.epoch, place))
        )


def write_encoder(folder: Path, encoder: Encoder) -> None:
    """Write an encoder as a plain Hugging Face folder that `load_encoder` loads; `folder` is emptied first."""
    model: Any = encoder.model
    write_model_folder(folder, model=model, tokenizer=encoder.tokenizer)
