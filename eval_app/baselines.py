"""An experiment's table against a baseline that its report does not compare with: found by a job, kept, read again.

The report compares every column with no personalization. Against another column the same statistics are needed once
more, over every user's scores; that takes too long for a page, so a job finds them, and a row keeps them for as long as
the report stays what it is.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from eval_app.comparison import Comparison, compare
from eval_app.improvement import DifferentQuestions
from eval_app.kinds import COMPARE_EXPERIMENT
from eval_app.methods import NONE, Method, parse_method
from eval_app.models import Experiment, ExperimentComparison, Run
from eval_app.reports import Comparisons, run_scores
from eval_app.scoring import RunScores
from jobs.models import Job
from jobs.services import JobSpec, enqueue

ORIGIN = "comparison"


class UnknownBaseline(ValueError):
    """The experiment has no such column, or it has no result anywhere."""


def baselines_of(*, experiment: Experiment) -> list[Method]:
    """The columns that others can be compared with: each has a result for some task. None before there is a report."""
    keys: dict[str, None] = {}
    for cells in _measured(experiment).values():
        keys |= dict.fromkeys(key for key, cell in cells.items() if "measured" in cell)
    order = list(experiment.configuration["methods"])
    found = [method for method in map(parse_method, keys) if method.control is None]
    return sorted(found, key=lambda method: order.index(method.key) if method.key in order else len(order))


def stored_comparisons(*, experiment: Experiment, baseline: Method) -> Comparisons | None:
    """What was found against `baseline` for the report as it is; None where nothing was, or for an earlier report."""
    row = ExperimentComparison.objects.filter(experiment=experiment, baseline=baseline.key).first()
    if row is None or row.report_digest != _digest(experiment):
        return None
    return {
        task: {method: Comparison.from_dict(one) for method, one in found.items()}
        for task, found in row.comparisons.items()
    }


def request_comparison(*, experiment: Experiment, baseline: Method) -> None:
    """Have the table compared with `baseline`, unless it is. Asking twice is asking once. Raises `UnknownBaseline`."""
    if baseline not in baselines_of(experiment=experiment):
        raise UnknownBaseline(f"Experiment “{experiment.name}” has no result of {baseline.key} to compare with.")
    if baseline == NONE or stored_comparisons(experiment=experiment, baseline=baseline) is not None:
        return
    enqueue(
        JobSpec(
            kind=COMPARE_EXPERIMENT.name,
            payload={"experiment_id": experiment.pk, "baseline": baseline.key},
            workspace_id=experiment.workspace_id,
            origin=f"{ORIGIN}:{experiment.pk}",
            dedupe_key=_dedupe_key(experiment, baseline),
        )
    )


def comparison_job(*, experiment: Experiment, baseline: Method) -> Job | None:
    """The newest job that compares with `baseline`; None where none is known any more."""
    jobs = Job.objects.filter(origin=f"{ORIGIN}:{experiment.pk}", dedupe_key=_dedupe_key(experiment, baseline))
    return jobs.order_by("-pk").first()


def compare_with(
    *, experiment: Experiment, baseline: str, say: Callable[[int, int], None]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Hold every column against `baseline`, by task and method key; `say` hears how many of how many are done.

    What answered other questions than the baseline is left out, as are controls: theirs is their own column. The
    predictions are those that are there now: of an erased user nothing is.
    """
    measured = _measured(experiment)
    wanted = {
        task: {key: cell["run"] for key, cell in cells.items() if _takes_part(key, cell)}
        for task, cells in measured.items()
        if baseline in cells and "measured" in cells[baseline]
    }
    total, done = sum(len(found) for found in wanted.values()), 0
    found: dict[str, dict[str, dict[str, Any]]] = {}
    seed = experiment.configuration["seed"]
    for task, columns in wanted.items():
        runs = Run.objects.filter(workspace=experiment.workspace_id).select_related("split")
        by_id = runs.in_bulk(list(columns.values()))
        base = _scores(by_id.get(columns[baseline]))
        # One run may stand in several columns, as rag:bm25 and rag:best; it is compared once.
        kept: dict[int, dict[str, Any] | None] = {columns[baseline]: None}
        found[task] = {}
        for key, run_id in columns.items():
            if run_id not in kept:
                kept[run_id] = _compared(base, _scores(by_id.get(run_id)), seed=seed)
            one = kept[run_id]
            if one is not None:
                found[task][key] = one
            done += 1
            say(done, total)
    return found


def record_comparison(*, experiment: Experiment, baseline: str, comparisons: Mapping[str, Any]) -> None:
    """Keep what was found, for the report that `experiment` was read with. Call it in a transaction."""
    if not Experiment.objects.filter(pk=experiment.pk).exists():
        return
    ExperimentComparison.objects.update_or_create(
        experiment=experiment,
        baseline=baseline,
        defaults={"report_digest": _digest(experiment), "comparisons": comparisons},
    )


def _takes_part(key: str, cell: Mapping[str, Any]) -> bool:
    return "measured" in cell and parse_method(key).control is None


def _scores(run: Run | None) -> RunScores | None:
    """None where the run is gone, or everyone whose questions it answered."""
    if run is None:
        return None
    try:
        return run_scores(run=run)
    except ValueError:
        return None


def _compared(base: RunScores | None, other: RunScores | None, *, seed: int) -> dict[str, Any] | None:
    if base is None or other is None:
        return None
    try:
        return compare(base, other, seed=seed).as_dict()
    except DifferentQuestions:
        return None


def _measured(experiment: Experiment) -> Mapping[str, Mapping[str, Any]]:
    return experiment.report["measured"] if experiment.report is not None else {}


def _digest(experiment: Experiment) -> str:
    text = json.dumps(_measured(experiment), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _dedupe_key(experiment: Experiment, baseline: Method) -> str:
    return f"compare:{experiment.pk}:{baseline.key}"
