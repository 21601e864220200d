"""What the paper says of its own data, to be shown beside a file's: Table 2, time-based split (LaMP reference §2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SOURCE: Final = "Salemi & Zamani, Table 2 (time-based split)"
LICENCE: Final = "CC BY-NC-SA 4.0"
LICENCE_URL: Final = "https://creativecommons.org/licenses/by-nc-sa/4.0/"


@dataclass(frozen=True)
class MeanAndDeviation:
    """As printed."""

    mean: float
    sd: float


@dataclass(frozen=True)
class PublishedStatistics:
    """Of one task. Lengths are in words; `output_words` is None where the answer is a label."""

    questions: Mapping[str, int]
    profile_size: MeanAndDeviation
    input_words: MeanAndDeviation
    output_words: MeanAndDeviation | None = None


def _told(
    train: int,
    dev: int,
    test: int,
    profile_size: tuple[float, float],
    input_words: tuple[float, float],
    output_words: tuple[float, float] | None = None,
) -> PublishedStatistics:
    return PublishedStatistics(
        questions={"train": train, "dev": dev, "test": test},
        profile_size=MeanAndDeviation(*profile_size),
        input_words=MeanAndDeviation(*input_words),
        output_words=MeanAndDeviation(*output_words) if output_words else None,
    )


PUBLISHED: Final[Mapping[str, PublishedStatistics]] = {
    "LaMP-1": _told(6542, 1500, 1500, (84.15, 47.54), (51.43, 5.70)),
    "LaMP-2": _told(5073, 1410, 1557, (86.76, 189.52), (92.39, 21.95)),
    "LaMP-3": _told(20000, 2500, 2500, (185.40, 129.30), (128.18, 146.25)),
    "LaMP-4": _told(12500, 1500, 1800, (204.59, 250.75), (29.97, 12.09), (10.07, 3.10)),
    "LaMP-5": _told(14682, 1500, 1500, (87.88, 53.63), (162.34, 65.63), (9.71, 3.21)),
    "LaMP-6": _told(4821, 1250, 1250, (55.67, 36.32), (454.87, 889.41), (7.37, 2.78)),
    "LaMP-7": _told(13437, 1498, 1500, (15.71, 14.86), (29.72, 7.01), (16.96, 5.67)),
}
"""By task. The older news version of LaMP-2 is not among them."""
