"""Every retriever by its name: those that rank documents, and those that choose among others (LaMP reference §3)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

NOTHING: Final = "none"
"""In a pool: no documents, the plain input. No method is named so, since that is no personalization."""

BM25: Final = "bm25"
RECENCY: Final = "recency"
CONTRIEVER: Final = "contriever"
ROPG_KD: Final = "ropg-kd"
ROPG_RL: Final = "ropg-rl"
RSPG_PRE: Final = "rspg-pre"
RSPG_POST: Final = "rspg-post"

DENSE: Final = frozenset({CONTRIEVER, ROPG_KD, ROPG_RL})
"""Those that compare vectors, and so need an encoder."""

FINE_TUNED: Final = frozenset({ROPG_KD, ROPG_RL})
"""Those whose encoder was trained on the base model's feedback."""

SELECTING: Final = frozenset({RSPG_PRE, RSPG_POST})
"""Those that choose one of a pool for each input, by a selector."""

TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        BM25: "BM25",
        RECENCY: "Recency",
        CONTRIEVER: "Contriever",
        ROPG_KD: "ROPG-KD",
        ROPG_RL: "ROPG-RL",
        RSPG_PRE: "RSPG-Pre",
        RSPG_POST: "RSPG-Post",
    }
)
"""Every retriever that a method may name, with its title in a table's head; of equals the first is preferred."""

POOL_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {NOTHING: "No documents", **{name: title for name, title in TITLES.items() if name not in SELECTING}}
)
"""Every member that a pool may have, with its title."""
