"""Runs of retrievers that choose, with what they chose; and a table that has such columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eval_app.methods import parse_methods
from eval_app.models import DatasetSplit, Prediction, Run
from eval_app.selection_bounds import Bounds, SampleValues, metric_bounds
from eval_app.table import Outcome, Table, build_table, measure
from lamp.catalogue import get_task
from retrieval_app.models import TrainedModel
from tests.eval_app.runs import answers
from tests.eval_app.stored import answered_run
from tests.retrieval_app.trained import POOL, a_trained_model


def a_selector(pool: Sequence[Mapping[str, str]] = POOL, *, kind: str = "rspg-pre", **fields: Any) -> TrainedModel:
    """One that came with Lamppost and chooses among `pool`; nobody loads it."""
    told = {"workspace": None, "tasks": ["LaMP-3", "LaMP-7"], **fields}
    return a_trained_model(kind=kind, pool=list(pool), **told)


def a_choosing_run(
    split: DatasetSplit,
    outputs: Sequence[str],
    chosen: Sequence[str],
    *,
    method: str = "rag:rspg-pre",
    selector: TrainedModel | None = None,
) -> Run:
    """A scored run that chose so for the questions in their order."""
    run = answered_run(split, outputs, method=method, selector=selector or a_selector())
    predictions = Prediction.objects.filter(run=run).order_by("question__position")
    for prediction, retriever in zip(predictions, chosen, strict=True):
        Prediction.objects.filter(pk=prediction.pk).update(chosen_retriever=retriever)
    return run


def a_choosing_table() -> Table:
    """Movies and ratings, Pre and Post over one pool; Post was not held against its pool in the movies."""
    columns = parse_methods("none,rag:bm25,rag:rspg-pre,rag:rspg-post")
    outcomes: dict[tuple[str, str], Outcome] = {}
    tags, ratings = ["comedy", "action", "comedy", "comedy"], ["5", "1", "3", "4"]
    told = {
        # Accuracies: none 0.25, bm25 0.5, Pre 0.75, the pool's oracle 0.75.
        "LaMP-2": (
            tags,
            ["comedy", "comedy", "action", "action"],
            ["action", "action", "comedy", "action"],
            ["comedy", "action", "comedy", "action"],
            ["comedy", "action", "comedy", "action"],
        ),
        # Mean errors: none 1.5, bm25 1, Pre 1, Post 0.5, the pool's oracle 0.25.
        "LaMP-3": (
            ratings,
            ["3", "1", "2", "1"],
            ["5", "4", "4", "4"],
            ["5", "1", "2", "1"],
            ["5", "1", "2", "3"],
        ),
    }
    for task, (golds, none, bm25, pre, post) in told.items():
        runs = {
            key: answers(task, golds, said)
            for key, said in {"none": none, "rag:bm25": bm25, "rag:rspg-pre": pre, "rag:rspg-post": post}.items()
        }
        members = {"none": SampleValues.of(runs["none"]), "bm25": SampleValues.of(runs["rag:bm25"])}
        for key, run in runs.items():
            outcomes[task, key] = measure(run, baseline=None if key == "none" else runs["none"])
        for key, chosen in {"rag:rspg-pre": {"none": 3, "bm25": 1}, "rag:rspg-post": {"none": 2, "bm25": 2}}.items():
            bounds = Bounds(chosen, metric_bounds(SampleValues.of(runs[key]), members))
            if (task, key) == ("LaMP-2", "rag:rspg-post"):
                bounds = Bounds(chosen, {}, "a member of its pool answered other questions")
            outcomes[task, key] = replace(outcomes[task, key], bounds=bounds)
    return build_table(tasks=[get_task("LaMP-2"), get_task("LaMP-3")], columns=columns, outcomes=outcomes)
