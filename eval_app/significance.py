"""Is a difference between two methods more than chance: paired permutation tests over users, and Holm's correction.

The null hypothesis is that, for every user, the two methods' outputs could as well have changed places (LaMP reference
§7). So the observed difference is held against the differences that arise when some users' outputs are swapped,
two-sided. Up to `EXACT_USERS` users whose outputs differ, all swaps are enumerated and p is exact; beyond, swaps are
drawn with a seed and p = (as extreme + 1) / (draws + 1), which is never 0 (Phipson & Smyth 2010).

- Metrics that are means (accuracy, MAE, ROUGE): a user's score is the mean over their questions, the statistic the mean
  over users; a swap turns the sign of the user's difference.
- RMSE: the same on the users' mean squared errors. Swapping keeps the sum of both methods' mean squared errors, and
  with that sum fixed the difference of the two roots grows strictly, and oddly, with the difference of the squares; so
  the test of the squares and the test of the roots give the same p.
- Macro F1 is no mean over users: the two methods' predictions of a user are swapped, and both F1 computed again from
  label counts.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from eval_app.label_counts import LabelCounts, macro_f1

Floats = npt.NDArray[np.float64]

EXACT_USERS = 14
DRAWS = 10_000
_SWAPS_AT_ONCE = 1 << 21
_TOLERANCE = 1e-12


def sign_flip_p(differences: npt.ArrayLike, *, seed: int = 0, draws: int = DRAWS) -> float:
    """Two-sided p of the hypothesis that the users' differences (one number a user) are symmetric about zero.

    Raises ValueError where there is no user, or a difference that is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError("a paired test needs one difference a user, of one user at least")
    if not np.isfinite(values).all():
        raise ValueError("a difference is not finite")
    values = values[values != 0]
    total = float(values.sum())
    spread = float(np.abs(values).sum())

    def extreme(swaps: Floats) -> npt.NDArray[np.bool_]:
        # Swapping a user turns d into -d, so the sum loses 2d.
        return np.abs(total - 2 * (swaps @ values)) >= abs(total) - _TOLERANCE * spread

    return _p(extreme, users=values.size, seed=seed, draws=draws)


def macro_f1_swap_p(first: LabelCounts, second: LabelCounts, *, seed: int = 0, draws: int = DRAWS) -> float:
    """Two-sided p of the hypothesis that two methods' predictions of a user can be swapped without changing macro F1.

    Both count the same users in the same order, over the same golds; ValueError otherwise.
    """
    if first.hits.shape != second.hits.shape or not np.array_equal(first.golds, second.golds):
        raise ValueError("a paired test needs the same users with the same golds on both sides")
    if not len(first.hits):
        raise ValueError("a paired test needs one user at least")
    labels = first.hits.shape[1]
    golds = first.golds.sum(axis=0)
    mine = np.concatenate([first.hits, first.predictions], axis=1).astype(np.float64)
    theirs = np.concatenate([second.hits, second.predictions], axis=1).astype(np.float64)
    change = theirs - mine
    totals, both = mine.sum(axis=0), (mine + theirs).sum(axis=0)
    change = change[change.any(axis=1)]

    def difference(counts: Floats) -> Floats:
        rest = both - counts
        return macro_f1(counts[..., :labels], counts[..., labels:], golds) - macro_f1(
            rest[..., :labels], rest[..., labels:], golds
        )

    observed = abs(float(difference(totals)))

    def extreme(swaps: Floats) -> npt.NDArray[np.bool_]:
        return np.abs(difference(totals + swaps @ change)) >= observed - _TOLERANCE

    return _p(extreme, users=len(change), seed=seed, draws=draws)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction of a family of p-values, in their order (Holm 1979).

    What is None is no test and stays None.
    """
    tested = sorted((p, at) for at, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, at) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        corrected[at] = highest
    return corrected


def _p(extreme: Callable[[Floats], npt.NDArray[np.bool_]], *, users: int, seed: int, draws: int) -> float:
    if draws < 1:
        raise ValueError("a permutation test needs one draw at least")
    if not users:
        return 1.0
    if users <= EXACT_USERS:
        swaps = _all_swaps(users)
        return float(extreme(swaps).sum()) / len(swaps)
    count = sum(int(extreme(swaps).sum()) for swaps in _drawn_swaps(users, seed=seed, draws=draws))
    return (count + 1) / (draws + 1)


def _all_swaps(users: int) -> Floats:
    """Every set of users that swap: a row each of 0 and 1, (2 ** users, users)."""
    return ((np.arange(1 << users)[:, None] >> np.arange(users)) & 1).astype(np.float64)


def _drawn_swaps(users: int, *, seed: int, draws: int) -> Iterator[Floats]:
    """Random sets of users that swap, rows of 0 and 1, in blocks that bound the memory whatever the number of users and
    draws.
    """
    generator = np.random.default_rng(seed)
    row_bytes = (users + 7) // 8
    block = max(1, _SWAPS_AT_ONCE // users)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        bits = np.frombuffer(generator.bytes(rows * row_bytes), dtype=np.uint8).reshape(rows, row_bytes)
        yield np.unpackbits(bits, axis=1, count=users).astype(np.float64)
