"""Compare two prediction files against the golds: metrics of both, difference, p-value, wins, ties and losses.

A is the baseline: differences are B − A, a win is a user whose score is better with B. p-values are two-sided paired
permutations over users (LaMP reference §7); without `--questions` every question is its own user.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval_app.comparison import Comparison, compare
from eval_app.scoring import RunScores, Sample, score_run
from eval_app.significance import DRAWS
from lamp.catalogue import ACCURACY, F1
from lamp.metrics import require_same_ids
from lamp.problems import LampProblem
from lamp.reading import read_questions
from lamp.tasks import Kind, Task
from workers.lamp_commands.arguments import at_least
from workers.lamp_commands.score import predictions_of, task_and_golds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--golds", type=Path, required=True, metavar="FILE", help="an outputs file of LaMP")
    parser.add_argument("a", type=Path, metavar="A", help="predictions of the baseline")
    parser.add_argument("b", type=Path, metavar="B", help="predictions to compare with it")
    parser.add_argument("--questions", type=Path, metavar="FILE", help="the questions, which tell each one's user")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the drawn permutations (default: %(default)s)")
    parser.add_argument(
        "--draws", type=at_least(1), default=DRAWS, help="how many permutations to draw (default: %(default)s)"
    )


def run(options: Mapping[str, Any]) -> None:
    """Raises `LampProblem` for bad files, and for ids that are not the same in all of them."""
    task, golds = task_and_golds(options["golds"])
    if task.kind is Kind.CLASSIFICATION:
        # Macro F1 of every classification, as `score` gives it.
        task = replace(task, metrics=(ACCURACY, F1))
    users = _users(options["questions"], task, golds) if options["questions"] else {key: key for key in golds}
    first, second = (_scores(task, options[side], golds, users) for side in ("a", "b"))
    comparison = compare(first, second, seed=options["seed"], draws=options["draws"])
    report = _report(task, comparison, n=first.n, seed=options["seed"])
    out = options.get("stdout") or sys.stdout
    out.write(json.dumps(report, indent=2, allow_nan=False) + "\n")


def _scores(task: Task, path: Path, golds: Mapping[str, str], users: Mapping[str, str]) -> RunScores:
    predictions = predictions_of(task, path)
    try:
        require_same_ids(predictions, golds)
    except LampProblem as problem:
        raise LampProblem(
            file=os.path.basename(path), field=problem.field, message=problem.message, remedy=problem.remedy
        ) from None
    return score_run(task, [Sample(key, users[key], predictions[key], gold) for key, gold in golds.items()])


def _users(path: Path, task: Task, golds: Mapping[str, str]) -> dict[str, str]:
    """Whose each question is. A question of the user-based separation is its own user."""
    users = {question.id: question.user_id or question.id for question in read_questions(path, task=task)}
    for key in golds:
        if key not in users:
            raise LampProblem(
                file=os.path.basename(path),
                question_id=key,
                message="has a gold and is not among the questions",
                remedy="Give the questions of the same split",
            )
    return users


def _report(task: Task, comparison: Comparison, *, n: int, seed: int) -> dict[str, Any]:
    return {
        "task": task.key,
        "n": n,
        "users": comparison.users,
        "seed": seed,
        "metrics": {
            metric.name: {
                "higher_is_better": metric.higher_is_better,
                "a": comparison.metrics[metric.name].baseline,
                "b": comparison.metrics[metric.name].value,
                "difference": comparison.metrics[metric.name].delta,
                "relative_gain": comparison.metrics[metric.name].relative_gain,
                "p_value": comparison.metrics[metric.name].p_value,
            }
            for metric in task.metrics
        },
        "wins": comparison.wins,
        "ties": comparison.ties,
        "losses": comparison.losses,
    }
