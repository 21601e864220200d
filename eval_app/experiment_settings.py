"""What an experiment is asked for with, whichever door it comes through: names, numbers, their defaults and bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from eval_app.methods import BEST, Family, Method
from eval_app.models import DatasetSplit
from retrieval_app.retrievers import CONTRIEVER

NAME_CHARACTERS_MOST: Final = 100
METHODS_MOST: Final = 50
TASKS_MOST: Final = 50

HYPERPARAMETERS: Final = ("epochs", "learning_rate", "alpha", "dropout", "weight_decay", "batch_size")
"""What of how adapters are trained may be chosen; the rank is part of the method."""


@dataclass(frozen=True)
class Number:
    """A whole number that may be chosen: what it is else (None: no limit), and the least and the most that can be run.

    Programs of a workspace may choose up to `most_shared`, so that one of them does not keep shared workers for days.
    """

    default: int | None
    least: int
    most: int
    most_shared: int


_UNLIMITED: Final = 2**31 - 1

NUMBERS: Final[Mapping[str, Number]] = MappingProxyType(
    {
        "documents_wanted": Number(4, 1, _UNLIMITED, 50),
        "seed": Number(0, 0, 2**63 - 1, 2**53 - 1),
        "users": Number(None, 1, _UNLIMITED, _UNLIMITED),
        "num_beams": Number(4, 1, 1000, 16),
        "max_input_tokens": Number(512, 1, _UNLIMITED, 2048),
        "max_output_tokens": Number(128, 1, _UNLIMITED, 512),
    }
)


def search_parameters(
    *, num_beams: int, max_input_tokens: int, max_output_tokens: int, exact: bool, dtype: str
) -> dict[str, Any]:
    """How all runs of an experiment search for their answers, as its configuration and its runs keep it."""
    return {
        "num_beams": num_beams,
        "max_input_tokens": max_input_tokens,
        "max_output_tokens": max_output_tokens,
        "exact": exact,
        "dtype": dtype,
    }


def needs_encoder(methods: Sequence[Method], *, split: str) -> bool:
    """Whether any of `methods` retrieves, or may come to retrieve, by an encoder that the experiment names.

    Those that were fine-tuned come with their method, those of a selector's pool with the selector.
    """
    retrievers = {method.retriever for method in methods if method.retriever is not None}
    # On the dev split the best is one of the methods, if any of them retrieves; else it may be any that ran on dev.
    fixed = {method.retriever for method in methods if method.family is Family.RAG} - {BEST}
    best_of_any = BEST in retrievers and not (split == DatasetSplit.Split.DEV and fixed)
    return best_of_any or CONTRIEVER in retrievers
