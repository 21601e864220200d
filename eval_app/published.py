"""The paper's own results, to be shown beside one's own and marked as published.

Table 1 of Salemi & Zamani, "Comparing Retrieval-Augmentation and Parameter-Efficient Fine-Tuning for Privacy-Preserving
Personalization of Large Language Models": FlanT5-XXL, time-based split, k = 4 (LaMP reference §8). The numbers are
rounded as printed.
"""

from dataclasses import dataclass

from eval_app.methods import BEST, NONE, Family, Method

SOURCE = "Published numbers: Salemi & Zamani, Table 1 (FlanT5-XXL, time-based split, k = 4)"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One line of the table, a value for each of `COLUMNS`."""

    task: str
    metric: str
    higher_is_better: bool
    values: tuple[float, ...]


RANKS = (8, 16, 32, 64)

COLUMNS: tuple[Method, ...] = (
    NONE,
    *(Method(Family.PEFT, rank=rank) for rank in RANKS),
    *(Method(Family.RAG, retriever) for retriever in ("bm25", "recency", "contriever", "rspg")),
    *(Method(Family.PEFT_RAG, BEST, rank) for rank in RANKS),
)

TABLE_1: tuple[PublishedRow, ...] = (
    PublishedRow(
        "LaMP-1",
        "accuracy",
        True,
        (0.502, 0.502, 0.502, 0.504, 0.506, 0.626, 0.622, 0.636, 0.672, 0.670, 0.668, 0.671, 0.671),
    ),
    PublishedRow(
        "LaMP-2",
        "accuracy",
        True,
        (0.359, 0.360, 0.360, 0.360, 0.359, 0.387, 0.377, 0.396, 0.430, 0.430, 0.431, 0.430, 0.430),
    ),
    PublishedRow(
        "LaMP-2",
        "f1",
        True,
        (0.276, 0.278, 0.278, 0.278, 0.277, 0.306, 0.295, 0.304, 0.339, 0.341, 0.342, 0.341, 0.341),
    ),
    PublishedRow(
        "LaMP-3",
        "MAE",
        False,
        (0.308, 0.308, 0.307, 0.306, 0.301, 0.298, 0.296, 0.299, 0.264, 0.264, 0.265, 0.264, 0.259),
    ),
    PublishedRow(
        "LaMP-3",
        "RMSE",
        False,
        (0.611, 0.607, 0.607, 0.602, 0.600, 0.611, 0.605, 0.616, 0.568, 0.568, 0.570, 0.564, 0.562),
    ),
    PublishedRow(
        "LaMP-4",
        "rouge-1",
        True,
        (0.176, 0.178, 0.177, 0.178, 0.178, 0.186, 0.189, 0.183, 0.203, 0.203, 0.204, 0.204, 0.203),
    ),
    PublishedRow(
        "LaMP-4",
        "rouge-L",
        True,
        (0.160, 0.162, 0.162, 0.163, 0.163, 0.171, 0.173, 0.169, 0.186, 0.186, 0.187, 0.186, 0.186),
    ),
    PublishedRow(
        "LaMP-5",
        "rouge-1",
        True,
        (0.478, 0.478, 0.478, 0.477, 0.478, 0.477, 0.475, 0.483, 0.480, 0.481, 0.480, 0.480, 0.479),
    ),
    PublishedRow(
        "LaMP-5",
        "rouge-L",
        True,
        (0.428, 0.429, 0.429, 0.428, 0.428, 0.427, 0.426, 0.433, 0.429, 0.431, 0.431, 0.431, 0.431),
    ),
    PublishedRow(
        "LaMP-6",
        "rouge-1",
        True,
        (0.335, 0.342, 0.342, 0.341, 0.343, 0.412, 0.403, 0.401, 0.433, 0.436, 0.436, 0.436, 0.437),
    ),
    PublishedRow(
        "LaMP-6",
        "rouge-L",
        True,
        (0.319, 0.325, 0.326, 0.325, 0.326, 0.398, 0.389, 0.386, 0.418, 0.422, 0.422, 0.422, 0.421),
    ),
    PublishedRow(
        "LaMP-7",
        "rouge-1",
        True,
        (0.449, 0.449, 0.449, 0.449, 0.449, 0.446, 0.444, 0.440, 0.461, 0.460, 0.460, 0.460, 0.460),
    ),
    PublishedRow(
        "LaMP-7",
        "rouge-L",
        True,
        (0.396, 0.397, 0.397, 0.396, 0.396, 0.394, 0.393, 0.390, 0.409, 0.409, 0.409, 0.408, 0.409),
    ),
)
