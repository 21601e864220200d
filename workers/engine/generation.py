"""Beam search for rows of many users and of none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel
from workers.engine.batches import padded, token_ids
from workers.engine.beam_search import beam_search
from workers.engine.decoding import Decoding
from workers.engine.lora import LoraSlots
from workers.engine.slot_cache import SlotCache

DEFAULT_SLOTS = 16
MAX_ROWS = 16
MAX_INPUT_TOKENS_PER_BATCH = 16 * 512


@dataclass(frozen=True)
class GenerationRow:
    """One prompt and whose adapter answers it (None: the base model)."""

    prompt: str = field(repr=False)
    adapter: AdapterWeights | None = None


@dataclass(frozen=True)
class GeneratedText:
    """`score` is the best beam's mean log-probability a token (nats), its end token included; token counts are those
    of the prompt after truncation and of the answer with its end token."""

    text: str = field(repr=False)
    score: float
    input_tokens: int
    output_tokens: int


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
        self._slots = slots
        self._max_rows = max_rows
        self._max_batch_tokens = max_batch_tokens
        self._cache: SlotCache | None = None

    @property
    def loads(self) -> int:
        """How often an adapter was copied into a slot."""
        return self._cache.loads if self._cache else 0

    @property
    def hits(self) -> int:
        """How often an adapter was found in its slot."""
        return self._cache.hits if self._cache else 0

    def generate(
        self,
        rows: Sequence[GenerationRow],
        *,
        num_beams: int = 4,
        max_input_tokens: int = 512,
        max_output_tokens: int = 128,
        exact: bool = False,
    ) -> list[GeneratedText]:
        """Answer every row, in the rows' order; deterministic.

        Rows are sorted by length into batches of mixed users. `exact` runs each row alone, in slots of its own rank:
        its bytes then do not depend on what else was asked.
        """
        base = self.base
        prompts = token_ids(base.tokenizer, [row.prompt for row in rows], limit=max_input_tokens) if rows else []
        results: dict[int, GeneratedText] = {}
        with base.exclusive(), torch.inference_mode():
            if exact:
                batches: Iterator[list[int]] = ([index] for index in range(len(rows)))
            else:
                batches = self._batches(rows, prompts)
            for batch in batches:
                adapters = [rows[index].adapter for index in batch]
                cache = self._exact_cache(adapters) if exact else self._shared_cache(rows)
                answers = _answer(
                    base,
                    [prompts[index] for index in batch],
                    slots=cache.slots,
                    used=cache.place(adapters),
                    num_beams=num_beams,
                    max_output_tokens=max_output_tokens,
                )
                results.update(zip(batch, answers, strict=True))
        return [results[index] for index in range(len(rows))]

    def _batches(self, rows: Sequence[GenerationRow], prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Rows of like length together, bounded in rows, padded tokens and different adapters."""
        batch: list[int] = []
        adapters: set[str] = set()
        for index in sorted(range(len(rows)), key=lambda index: (-len(prompts[index]), index)):
            adapter = rows[index].adapter
            digest = {adapter.digest} if adapter is not None else set()
            if batch and (
                len(batch) == self._max_rows
                or (len(batch) + 1) * len(prompts[batch[0]]) > self._max_batch_tokens
                or len(adapters | digest) > self._slots
            ):
                yield batch
                batch, adapters = [], set()
            batch.append(index)
            adapters |= digest
        if batch:
            yield batch

    def _shared_cache(self, rows: Sequence[GenerationRow]) -> SlotCache:
        """The slots, made anew only where a higher rank than ever before is asked for."""
        rank = max((row.adapter.rank for row in rows if row.adapter is not None), default=1)
        if self._cache is None or self._cache.slots.rank < rank:
            self._cache = SlotCache(self.base.projections, slots=self._slots, rank=rank, dtype=self.base.adapter_dtype)
        return self._cache

    def _exact_cache(self, adapters: Sequence[AdapterWeights | None]) -> SlotCache:
        rank = max((adapter.rank for adapter in adapters if adapter is not None), default=1)
        return SlotCache(self.base.projections, slots=1, rank=rank, dtype=self.base.adapter_dtype)


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
    input_ids, mask = (part.to(base.input_device) for part in padded(prompts, pad=base.pad_token))
    with slots.rows(used):
        encoded = base.model.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        decoder = Decoding(base, encoded, mask, beams=num_beams)
    found = beam_search(
        decoder,
        rows=len(prompts),
        beams=num_beams,
        start=base.start_token,
        end=base.end_token,
        pad=base.pad_token,
        max_tokens=max_output_tokens,
        device=base.input_device,
        active=lambda rows: slots.rows([used[row] for row in rows]),
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
