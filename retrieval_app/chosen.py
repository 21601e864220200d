"""What a selector has chosen, as people and programs are told: the retriever, and the score of each of its pool."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from retrieval_app.models import TrainedModel
from retrieval_app.pools import pool_names
from retrieval_app.retrievers import POOL_TITLES
from users_app.models import Workspace


@dataclass(frozen=True)
class Candidate:
    """A member of the pool, by its retriever's name, with the selector's score: the higher, the better."""

    retriever: str
    score: float

    @property
    def title(self) -> str:
        """What people call it."""
        return POOL_TITLES.get(self.retriever, self.retriever)


@dataclass(frozen=True)
class Chosen:
    """The candidate that was chosen, by its retriever's name, and all of them in the pool's order."""

    retriever: str
    candidates: Sequence[Candidate]

    @property
    def title(self) -> str:
        """What people call it."""
        return POOL_TITLES.get(self.retriever, self.retriever)


def pools_of_selectors(*, workspace: Workspace, selector_ids: Collection[int]) -> dict[int, list[str]]:
    """By selector, the names of its candidates in order: of those of `workspace`, and those that came with Lamppost.

    No statement where no selector is asked about. One that is used no more has its pool still.
    """
    if not selector_ids:
        return {}
    usable_here = Q(workspace=workspace) | Q(workspace__isnull=True)
    found = TrainedModel.objects.filter(usable_here, pk__in=selector_ids).exclude(pool=[])
    return {pk: pool_names(pool) for pk, pool in found.values_list("pk", "pool")}


def chosen_of(
    *, selector_id: int | None, retriever: str, scores: Sequence[float] | None, pools: Mapping[int, Sequence[str]]
) -> Chosen | None:
    """What the selector `selector_id` chose, with the scores that it gave in its pool's order; None where it has not.

    `pools` is of `pools_of_selectors`. Without its pool, which nobody here may look into, there are no candidates.
    """
    if selector_id is None or not retriever or scores is None:
        return None
    names = pools.get(selector_id)
    if names is None:
        return Chosen(retriever, [])
    return Chosen(retriever, [Candidate(name, score) for name, score in zip(names, scores, strict=True)])
