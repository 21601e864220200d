"""Choosing one of a generation's candidates by its selector: RSPG (LaMP reference §3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.batches import Permanent
from retrieval_app.models import TrainedModel
from retrieval_app.selection import READS, choose, selector_text
from workers import loaded
from workers.candidates import Candidate
from workers.engine.selector import score


@dataclass(frozen=True)
class Selection:
    """The place of the candidate that was chosen, and the score of each, in the pool's order."""

    place: int
    scores: Sequence[float]


def select(
    record: TrainedModel, candidates: Sequence[Candidate], *, outputs: Sequence[str | None], exact: bool
) -> Selection:
    """Score each candidate, with its output for Post, and choose the best.

    The scores depend on these candidates alone: they share a pass with nobody else's, and with each other only on a GPU
    where not `exact`. Candidates that read the same are read once, so that they score the same.

    Raises `Permanent` where the selector cannot be used, or gives what is no score.
    """
    reads = READS[record.kind]
    texts = [
        selector_text(reads=reads, prompt=candidate.prompt, output=output)
        for candidate, output in zip(candidates, outputs, strict=True)
    ]
    different = list(dict.fromkeys(texts))
    scored = score(loaded.selector(record), different, exact=True if exact else None)
    score_of = dict(zip(different, scored.tolist(), strict=True))
    scores = [score_of[text] for text in texts]
    try:
        return Selection(choose(scores), scores)
    except ValueError as problem:
        raise Permanent(f"{record.get_kind_display()} {record.pk} cannot be used: {problem}.") from None
