"""Score predictions against golds: the metrics as JSON on standard output."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamp.catalogue import CATALOGUE, get_task
from lamp.golds import check_gold, read_golds
from lamp.metrics import evaluate, macro_f1
from lamp.predictions import read_predictions
from lamp.problems import LampProblem
from lamp.recognition import names_task
from lamp.tasks import Kind, Task

_NEWS = CATALOGUE["LaMP-2N"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--golds", type=Path, required=True, metavar="FILE", help="an outputs file of LaMP")
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="FILE", help="predictions in the form of an outputs file"
    )


def run(options: Mapping[str, Any]) -> None:
    """Raises `LampProblem` for bad files, and for ids that are not the same in both."""
    task, golds = task_and_golds(options["golds"])
    predictions = predictions_of(task, options["predictions"])
    out = options.get("stdout") or sys.stdout
    out.write(json.dumps(score(task, predictions, golds)) + "\n")


def score(task: Task, predictions: Mapping[str, str], golds: Mapping[str, str]) -> dict[str, float]:
    """The task's metrics; accuracy and macro F1 for every classification, as LaMP's own script gives them."""
    values = evaluate(task, predictions, golds)
    if task.kind is Kind.CLASSIFICATION and "f1" not in values:
        pairs = ((predictions[question_id], gold) for question_id, gold in golds.items())
        values["f1"] = macro_f1(pairs, labels=task.labels or ())
    return values


def task_and_golds(path: str | os.PathLike[str]) -> tuple[Task, dict[str, str]]:
    """The golds of a file by id, and their task as the file names it, for LaMP_2 the version whose labels they are.

    Raises `LampProblem` for a file without a known task, and for golds that the task cannot have.
    """
    file = read_golds(path)
    name = os.path.basename(path)
    try:
        task = get_task(file.task_key or "")
    except ValueError:
        raise LampProblem(
            file=name,
            field="task",
            message="is missing" if file.task_key is None else "names no task",
            remedy=f"Write one of {', '.join(task.file_key for task in CATALOGUE.values())}",
        ) from None
    golds = file.as_dict()
    if names_task(task.key, _NEWS) and not any(check_gold(_NEWS, gold) for gold in golds.values()):
        task = _NEWS
    for question_id, gold in golds.items():
        wrong = check_gold(task, gold)
        if wrong is not None:
            remedy = "Correct it, or give the outputs of the task that the file names"
            raise LampProblem(file=name, question_id=question_id, field="output", message=wrong, remedy=remedy)
    return task, golds


def predictions_of(task: Task, path: str | os.PathLike[str]) -> dict[str, str]:
    """A file's predictions by id; raises `LampProblem` where it names another task."""
    file = read_predictions(path)
    if file.task_key is not None and not names_task(file.task_key, task):
        raise LampProblem(
            file=os.path.basename(path),
            field="task",
            message=f"names another task than the golds', {task.key}",
            remedy="Give the predictions of that task",
        )
    return file.as_dict()
