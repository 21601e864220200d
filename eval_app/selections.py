"""The columns of an experiment that choose among retrievers, each with the columns that are its pool."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.db.models import Count

from eval_app.improvement import DifferentQuestions
from eval_app.methods import NONE, Family, Method, parse_method
from eval_app.models import Prediction, Run
from eval_app.selection_bounds import Bounds, SampleValues, metric_bounds
from retrieval_app.pools import Member, read_pool
from retrieval_app.retrievers import NOTHING, SELECTING

OTHER_QUESTIONS = "a member of its pool answered other questions"


@dataclass(frozen=True)
class Selection:
    """A run that chooses, and the runs of its pool's members by their names, in the pool's order.

    `members` is empty where not all of them ran in the same experiment, and `reason` then says which did not.
    """

    run: Run
    pool: tuple[str, ...]
    members: Mapping[str, Run]
    reason: str | None = None

    @property
    def runs(self) -> list[Run]:
        """Every run whose values are needed to hold it against its pool."""
        return [self.run, *self.members.values()] if self.members else []


def selections_of(runs: Mapping[str, Run]) -> dict[str, Selection]:
    """Of the scored runs of one task, by their columns' keys, those that name a retriever that chooses.

    What `best` stood for is in the table under its own name.
    """
    return {
        key: _selection(method, run, runs)
        for key, run in runs.items()
        if (method := parse_method(key)).control is None and method.retriever in SELECTING and run.selector is not None
    }


def member_method(method: Method, retriever: str) -> Method:
    """The method that answers as `method` does where it chooses `retriever`: without documents that of its adapter, or
    no personalization.
    """
    if retriever != NOTHING:
        return replace(method, retriever=retriever)
    return NONE if method.rank is None else Method(Family.PEFT, rank=method.rank)


def bounds_of(selection: Selection, values: Mapping[Run, SampleValues], *, seed: int) -> Bounds:
    """What a run that chooses got of what choosing among its pool can gain; `values` has `selection.runs`."""
    chosen = _chosen(selection)
    if not selection.members:
        return Bounds(chosen, {}, selection.reason)
    members = {name: values[run] for name, run in selection.members.items()}
    try:
        return Bounds(chosen, metric_bounds(values[selection.run], members, seed=seed))
    except DifferentQuestions:
        return Bounds(chosen, {}, OTHER_QUESTIONS)


def _selection(method: Method, run: Run, runs: Mapping[str, Run]) -> Selection:
    assert run.selector is not None
    pool = read_pool(run.selector.pool)
    names = tuple(member.retriever for member in pool)
    members: dict[str, Run] = {}
    absent: list[str] = []
    for member in pool:
        key = member_method(method, member.retriever).key
        found = runs.get(key)
        if found is None or not _is_of(member, found):
            absent.append(key)
        else:
            members[member.retriever] = found
    if absent:
        return Selection(run, names, {}, f"its pool holds {', '.join(absent)}, of which there is no such result here")
    return Selection(run, names, members)


def _is_of(member: Member, run: Run) -> bool:
    """Whether the run compared the vectors that the pool's member compares."""
    encoder = ("", "") if run.encoder is None else (run.encoder.name, run.encoder.revision)
    return not member.encoder or (member.encoder, member.encoder_revision) == encoder


def _chosen(selection: Selection) -> dict[str, int]:
    counts = dict(
        Prediction.objects.filter(run=selection.run, run__workspace=selection.run.workspace_id)
        .order_by()
        .values_list("chosen_retriever")
        .annotate(Count("pk"))
    )
    return {name: counts.get(name, 0) for name in selection.pool}
