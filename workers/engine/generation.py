"""Beam search for rows of many users and of none."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from workers.engine.base_model import BaseModel
from workers.engine.batches import padded, token_ids
from workers.engine.beam_search import beam_search
from workers.engine.decoding import Decoding
from workers.engine.lora import LoraSlots
from workers.engine.slot_cache import AdapterSource, SlotCache, SlotMetrics

DEFAULT_SLOTS = 16
MAX_ROWS = 16
MAX_INPUT_TOKENS_PER_BATCH = 16 * 512


@dataclass(frozen=True)
class GenerationRow:
    """One prompt and whose adapter answers it (None: the base model)."""

    prompt: str = field(repr=False)
    adapter: AdapterSource | None = None


@dataclass(frozen=True)
class GeneratedText:
    """`score` is the best beam's mean log-probability a token (nats), its end token included; token counts are those
    of the prompt after truncation and of the answer with its end token."""

    text: str = field(repr=False)
    score: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Answered:
    """What became of a row: its answer, or why its adapter could not be had.

    `loaded` says whether the adapter had to be moved into its slot, `adapter_seconds` how long that took; the seconds
    of its batch's beam search are shared equally among the rows.
    """

    row: int
    outcome: GeneratedText | Exception
    loaded: bool
    adapter_seconds: float
    model_seconds: float

    def result(self) -> GeneratedText:
        """The answer; raises what kept the adapter from being had."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Generator:
    """Generation over one base model, with slots that outlive a call.

    Args:
        slots: how many different adapters one batch may hold.
        max_rows, max_batch_tokens: the most rows, and padded input tokens, of one beam search.
    """

    def __init__(
        self,
        base: BaseModel,
        *,
        slots: int = DEFAULT_SLOTS,
        max_rows: int = MAX_ROWS,
        max_batch_tokens: int = MAX_INPUT_TOKENS_PER_BATCH,
    ) -> None:
        self.base = base
        self._max_rows = max_rows
        self._max_batch_tokens = max_batch_tokens
        self._cache = SlotCache(base.projections, slots=slots, dtype=base.adapter_dtype)

    def snapshot(self) -> SlotMetrics:
        """What the slots hold and did."""
        return self._cache.snapshot()

    def digests(self) -> list[str]:
        """Of the adapters that stand in slots."""
        with self.base.exclusive():
            return self._cache.digests()

    def forget(self, digests: Iterable[str]) -> None:
        """Let go of these adapters, once the beam search under way has ended."""
        with self.base.exclusive():
            self._cache.forget(digests)

    def generate(
        self,
        rows: Sequence[GenerationRow],
        *,
        num_beams: int = 4,
        max_input_tokens: int = 512,
        max_output_tokens: int = 128,
        exact: bool = False,
    ) -> list[GeneratedText]:
        """Answer every row, in the rows' order; deterministic. What keeps an adapter from being had is raised."""
        texts: dict[int, GeneratedText] = {}
        for batch in self.answers(
            rows,
            num_beams=num_beams,
            max_input_tokens=max_input_tokens,
            max_output_tokens=max_output_tokens,
            exact=exact,
        ):
            texts |= {answered.row: answered.result() for answered in batch}
        return [texts[row] for row in range(len(rows))]

    def answers(
        self,
        rows: Sequence[GenerationRow],
        *,
        num_beams: int,
        max_input_tokens: int,
        max_output_tokens: int,
        exact: bool,
    ) -> Iterator[list[Answered]]:
        """The rows of each batch as soon as it is answered.

        Rows are sorted by length into batches of mixed users, and an adapter is asked for when its batch's turn comes.
        `exact` runs each row alone: its bytes then do not depend on what else was asked.
        """
        prompts = token_ids(self.base.tokenizer, [row.prompt for row in rows], limit=max_input_tokens) if rows else []
        with self.base.exclusive():
            self._cache.make_room(max((row.adapter.rank for row in rows if row.adapter is not None), default=1))
        for batch in [[row] for row in range(len(rows))] if exact else self._batches(rows, prompts):
            yield self._answer_batch(batch, rows, prompts, num_beams=num_beams, max_output_tokens=max_output_tokens)

    def _answer_batch(
        self,
        batch: Sequence[int],
        rows: Sequence[GenerationRow],
        prompts: Sequence[Sequence[int]],
        *,
        num_beams: int,
        max_output_tokens: int,
    ) -> list[Answered]:
        with self.base.exclusive(), torch.inference_mode():
            placed = dict(zip(batch, self._cache.place([rows[row].adapter for row in batch]), strict=True))
            ready = [row for row in batch if placed[row].failure is None]
            begun = time.perf_counter()
            texts = _answer(
                self.base,
                [prompts[row] for row in ready],
                slots=self._cache.slots,
                used=[placed[row].slot for row in ready],
                num_beams=num_beams,
                max_output_tokens=max_output_tokens,
            )
            seconds = (time.perf_counter() - begun) / max(1, len(ready))
        outcomes: dict[int, GeneratedText | Exception] = dict(zip(ready, texts, strict=True))
        for row, place in placed.items():
            if place.failure is not None:
                outcomes[row] = place.failure
        return [
            Answered(
                row=row,
                outcome=outcomes[row],
                loaded=place.loaded,
                adapter_seconds=place.seconds,
                model_seconds=0.0 if place.failure else seconds,
            )
            for row, place in placed.items()
        ]

    def _batches(self, rows: Sequence[GenerationRow], prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Rows of like length together, bounded in rows, padded tokens and different adapters.

        Of like size too: a pass over one row takes half as long as one over ten.
        """
        passes = math.ceil(len(rows) / self._max_rows)
        most = math.ceil(len(rows) / max(1, passes))
        batch: list[int] = []
        adapters: set[str] = set()
        for index in sorted(range(len(rows)), key=lambda index: (-len(prompts[index]), index)):
            adapter = rows[index].adapter
            digest = {adapter.digest} if adapter is not None else set()
            if batch and (
                len(batch) == most
                or (len(batch) + 1) * len(prompts[batch[0]]) > self._max_batch_tokens
                or len(adapters | digest) > self._cache.capacity
            ):
                yield batch
                batch, adapters = [], set()
            batch.append(index)
            adapters |= digest
        if batch:
            yield batch


def generate(
    base: BaseModel,
    rows: Sequence[GenerationRow],
    *,
    num_beams: int = 4,
    max_input_tokens: int = 512,
    max_output_tokens: int = 128,
    exact: bool = False,
) -> list[GeneratedText]:
    """`Generator.generate` for a single call; a worker keeps a Generator, and its loaded slots with it."""
    return Generator(base).generate(
        rows,
        num_beams=num_beams,
        max_input_tokens=max_input_tokens,
        max_output_tokens=max_output_tokens,
        exact=exact,
    )


def _answer(
    base: BaseModel,
    prompts: Sequence[Sequence[int]],
    *,
    slots: LoraSlots,
    used: Sequence[int | None],
    num_beams: int,
    max_output_tokens: int,
) -> list[GeneratedText]:
    """One beam search over rows that fit together."""
    if not prompts:
        return []
    input_ids, mask = (part.to(base.input_device) for part in padded(prompts, pad=base.pad_token))
    lora = slots.for_rows(used)
    with base.projections.active(lora):
        encoded = base.model.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        decoder = Decoding(base, encoded, mask, beams=num_beams, max_tokens=max_output_tokens, lora=lora)
    found = beam_search(
        decoder,
        rows=len(prompts),
        beams=num_beams,
        start=base.start_token,
        end=base.end_token,
        pad=base.pad_token,
        max_tokens=max_output_tokens,
        device=base.input_device,
    )
    return [
        GeneratedText(
            text=base.tokenizer.decode(list(best.ids), skip_special_tokens=True),
            score=best.score,
            input_tokens=len(prompt),
            output_tokens=len(best.ids),
        )
        for prompt, best in zip(prompts, found, strict=True)
    ]
