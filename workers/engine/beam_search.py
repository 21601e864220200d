"""Beam search whose rows are independent of each other: one that has its answer leaves the batch.

The rules are those of transformers' `generate(num_beams=…, do_sample=False, length_penalty=1.0,
early_stopping=False)`: a hypothesis' score is its summed log-probability divided by its number of tokens; only the
best `beams` candidates of a step may finish; a row is done when its best open beam, divided by the length so far, is
no better than its worst finished hypothesis. The answers are the same token for token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_NEVER = -1e9
# Rows that have their answer are taken out when they are at least this share of the batch.
_LEAVE_SHARE = 0.25


class Steps(Protocol):
    """What beam search needs of a decoder; tensors are [rows × beams] in row-major order."""

    def advance(self, tokens: Tensor) -> Tensor: ...

    def reorder(self, beams: Tensor) -> None: ...

    def keep_rows(self, rows: Sequence[int]) -> None: ...


@dataclass(frozen=True)
class Hypothesis:
    """Token ids with the end token, if there is one, and the mean log-probability a token."""

    ids: tuple[int, ...]
    score: float


@dataclass(eq=False)
class _State:
    """Beams of the rows still in the batch: [rows, beams] and, for sequences, [rows, beams, tokens so far]."""

    scores: Tensor
    sequences: Tensor
    finished_scores: Tensor
    finished_sequences: Tensor
    finished: Tensor
    open: Tensor  # [rows]

    def keep(self, rows: Tensor) -> "_State":
        return _State(
            self.scores[rows],
            self.sequences[rows],
            self.finished_scores[rows],
            self.finished_sequences[rows],
            self.finished[rows],
            self.open[rows],
        )


def beam_search(
    decoder: Steps,
    *,
    rows: int,
    beams: int,
    start: int,
    end: int,
    pad: int,
    max_tokens: int,
    device: torch.device,
) -> list[Hypothesis]:
    """The best hypothesis of each row, of at most `max_tokens` tokens."""
    state = _begin(rows, beams, device)
    tokens = torch.full((rows * beams,), start, device=device)
    present = list(range(rows))
    answers: dict[int, Hypothesis] = {}
    step = 0
    while present:
        while step < max_tokens:
            log_probabilities = decoder.advance(tokens)
            state, tokens, origins = _step(
                state, log_probabilities, step=step, end=end, pad=pad, last=step + 1 == max_tokens
            )
            step += 1
            still_open = int(state.open.sum())
            if step == max_tokens or len(present) - still_open >= max(1, _LEAVE_SHARE * len(present)):
                break
            decoder.reorder(origins)
        leaving = [step == max_tokens or not is_open for is_open in state.open.tolist()]
        answers.update(_answers(state, present, leaving, end=end))
        staying = [place for place, leaves in enumerate(leaving) if not leaves]
        present = [present[place] for place in staying]
        if present:
            decoder.reorder(origins)
            decoder.keep_rows(staying)
            state = state.keep(torch.tensor(staying, device=device))
            tokens = state.sequences[:, :, -1].flatten()
    return [answers[row] for row in range(rows)]


def _begin(rows: int, beams: int, device: torch.device) -> _State:
    scores = torch.full((rows, beams), _NEVER, device=device)
    scores[:, 0] = 0.0  # all beams are the same at first: only one may branch
    nothing = torch.empty((rows, beams, 0), dtype=torch.int64, device=device)
    return _State(
        scores=scores,
        sequences=nothing,
        finished_scores=torch.full((rows, beams), _NEVER, device=device),
        finished_sequences=nothing,
        finished=torch.zeros((rows, beams), dtype=torch.bool, device=device),
        open=torch.ones(rows, dtype=torch.bool, device=device),
    )


def _step(
    state: _State, log_probabilities: Tensor, *, step: int, end: int, pad: int, last: bool
) -> tuple[_State, Tensor, Tensor]:
    """Extend the beams by a token: the new state, the tokens chosen, and the beams they go on from."""
    rows, beams = state.scores.shape
    vocabulary = log_probabilities.shape[-1]
    totals = (log_probabilities.view(rows, beams, vocabulary) + state.scores[:, :, None]).view(rows, -1)
    # One candidate may end each beam, so twice as many leave enough to go on with.
    candidate_scores, places = totals.topk(min(2 * beams, totals.shape[1]), dim=1)
    parents, chosen = places // vocabulary, places % vocabulary
    sequences = torch.cat([_of_beams(state.sequences, parents), chosen[:, :, None]], dim=2)
    ends = torch.ones_like(chosen, dtype=torch.bool) if last else chosen == end

    going_on = torch.where(ends, candidate_scores + _NEVER, candidate_scores)
    scores, best = going_on.topk(beams, dim=1)

    may_finish = ends & state.open[:, None]
    may_finish[:, beams:] = False
    ended_scores = torch.where(may_finish, candidate_scores / (step + 1), _NEVER)
    all_scores = torch.cat([state.finished_scores, ended_scores], dim=1)
    finished_scores, kept = all_scores.topk(beams, dim=1)
    padding = torch.full_like(state.finished_sequences[:, :, :1], pad) if step else sequences[:, :beams] * 0 + pad
    before = torch.cat([state.finished_sequences, padding], dim=2)
    finished = torch.cat([state.finished, may_finish], dim=1).gather(1, kept)

    worst = torch.where(finished, finished_scores.amin(dim=1, keepdim=True), _NEVER)
    is_open = state.open & (scores[:, :1] / (step + 1) > worst).any(dim=1)
    if beams == 1:  # greedy search ends with its first end token
        is_open &= ~finished[:, 0]
    new = _State(
        scores=scores,
        sequences=_of_beams(sequences, best),
        finished_scores=finished_scores,
        finished_sequences=_of_beams(torch.cat([before, sequences], dim=1), kept),
        finished=finished,
        open=is_open,
    )
    first = torch.arange(rows, device=scores.device)[:, None] * beams
    return new, new.sequences[:, :, -1].flatten(), (parents.gather(1, best) + first).flatten()


def _of_beams(sequences: Tensor, chosen: Tensor) -> Tensor:
    """[rows, chosen, tokens] out of [rows, beams, tokens]."""
    return sequences.gather(1, chosen[:, :, None].expand(-1, -1, sequences.shape[2]))


def _answers(
    state: _State, present: Sequence[int], leaving: Sequence[bool], *, end: int
) -> Iterator[tuple[int, Hypothesis]]:
    ids = state.finished_sequences[:, 0].tolist()
    scores = state.finished_scores[:, 0].tolist()
    for place, row in enumerate(present):
        if leaving[place]:
            length = ids[place].index(end) + 1 if end in ids[place] else len(ids[place])
            yield row, Hypothesis(tuple(ids[place][:length]), scores[place])
