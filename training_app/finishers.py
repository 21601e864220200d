"""Where a finished generation goes next: whoever asked for it registers here what to do with the answer."""

from collections.abc import Callable

from training_app.models import Generation

Finisher = Callable[[Generation], bool]

_finishers: dict[str, Finisher] = {}


def register(prefix: str, finisher: Finisher) -> None:
    """Call `finisher(generation)` for finished generations whose origin is `prefix:…`.

    It runs in the transaction that records the answer, and returns whether it has taken the answer over; the
    generation itself is then deleted.
    """
    if _finishers.setdefault(prefix, finisher) is not finisher:
        raise ValueError(f"Two finishers for origin “{prefix}”.")


def hand_over(generation: Generation) -> bool:
    """Give `generation` to the finisher of its origin; False where there is none or it leaves the answer here."""
    finisher = _finishers.get(generation.origin.partition(":")[0])
    return finisher(generation) if finisher else False
