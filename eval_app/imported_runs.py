"""Predictions that were made elsewhere, brought in as a run and compared with what was run here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from eval_app import selectors
from eval_app.methods import Family, Method
from eval_app.models import DatasetSplit, Experiment, ExperimentRun, Prediction, Run
from eval_app.reports import build_report, score_run
from eval_app.selectors import NotFound
from lamp.catalogue import get_task
from lamp.predictions import read_predictions
from lamp.problems import IDS_SHOWN, LampProblem, shown_ids
from lamp.recognition import names_task
from lamp.tasks import Task
from training_app.identity import digest_of

_CHUNK = 1000


class PredictionsRefused(ValueError):
    """These predictions cannot stand in the experiment; the message says why and what to do."""


@dataclass(frozen=True)
class ImportedRun:
    """The column of the imported predictions; `changed` is False where the same stood there already."""

    column: ExperimentRun
    changed: bool


def import_predictions(*, experiment: Experiment, task: str, label: str, path: Path) -> ImportedRun:
    """Let the predictions of a file (LaMP's form) stand in `experiment` as the column `imported:label` of `task`.

    They must answer exactly the questions that the experiment's own runs of the task answer. All or nothing is stored.
    Raises `LampProblem` for a file that is not in order, `NotFound` for a task that the experiment does not have, and
    `PredictionsRefused` for a label that cannot be one or that stands for other predictions.
    """
    method = _method(label)
    catalogue_task = get_task(task)
    answers = _read(path, catalogue_task)
    with transaction.atomic():
        # Two imports of one label, or an import and the experiment's own conclusion, go one after the other.
        experiment = Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        split = _split(experiment, catalogue_task.key)
        user_limit: int | None = experiment.configuration["user_limit"]
        questions = _questions(split=split, user_limit=user_limit)
        _require_same_questions(answers, questions, file=path.name)
        identity = _identity(split=split, answers=answers)
        columns = experiment.columns.select_related("run")
        standing = columns.filter(task=catalogue_task.key, method=method.key).first()
        if standing is not None:
            if standing.run is None or standing.run.identity != identity:
                raise PredictionsRefused(
                    f"“{label}” stands for other predictions of {catalogue_task.key} in experiment "
                    f"“{experiment.name}”: choose another label."
                )
            return ImportedRun(standing, changed=False)
        run = _ensure_run(split=split, identity=identity, user_limit=user_limit, answers=answers, questions=questions)
        column = ExperimentRun.objects.create(
            experiment=experiment, task=catalogue_task.key, method=method.key, run=run
        )
        # An experiment that has not ended makes its report, this column with it, when it does.
        if experiment.report is not None:
            experiment.report = build_report(experiment=experiment)
            experiment.save(update_fields=["report"])
    return ImportedRun(column, changed=True)


def _method(label: str) -> Method:
    try:
        return Method(Family.IMPORTED, label=label)
    except ValueError as error:
        raise PredictionsRefused(f"The label “{label[:80]}” cannot name a column: {error}.") from None


def _read(path: Path, task: Task) -> dict[str, str]:
    file = read_predictions(path)
    if file.task_key is not None and not names_task(file.task_key, task):
        raise LampProblem(
            file=os.path.basename(path),
            field="task",
            message=f"names another task than {task.key}",
            remedy="Give the predictions of that task, or name the task that these are for",
        )
    return file.as_dict()


def _split(experiment: Experiment, task: str) -> DatasetSplit:
    splits: Mapping[str, int] = experiment.configuration["splits"]
    if task not in splits:
        raise NotFound(f"Experiment “{experiment.name}” has no {task}; it has {', '.join(splits)}.")
    return DatasetSplit.objects.select_related("dataset__workspace").get(
        pk=splits[task], dataset__workspace=experiment.workspace_id
    )


def _questions(*, split: DatasetSplit, user_limit: int | None) -> dict[str, tuple[int, int]]:
    """External id → (question id, end user id) of the questions that a run with this limit answers."""
    rows = selectors.split_questions(split=split, user_limit=user_limit).order_by("position")
    return {external: (pk, user) for external, pk, user in rows.values_list("external_id", "pk", "end_user_id")}


def _require_same_questions(answers: Mapping[str, str], questions: Mapping[str, tuple[int, int]], *, file: str) -> None:
    missing = [question_id for question_id in questions if question_id not in answers]
    unknown = [question_id for question_id in answers if question_id not in questions]
    if not missing and not unknown:
        return
    parts = []
    if missing:
        first = shown_ids(missing[:IDS_SHOWN], len(missing))
        parts.append(f"{len(missing)} of the experiment's {len(questions)} questions have no prediction: {first}")
    if unknown:
        first = shown_ids(unknown[:IDS_SHOWN], len(unknown))
        parts.append(f"{len(unknown)} of {len(answers)} predictions are for questions that it does not ask: {first}")
    raise LampProblem(
        file=file,
        field="id",
        message="; ".join(parts),
        remedy="Predict exactly the questions that the experiment's runs answer",
    )


def _identity(*, split: DatasetSplit, answers: Mapping[str, str]) -> str:
    # Whatever it is called, in whatever order and file: the same answers to the same questions are one run.
    return digest_of(
        {
            "split": split.pk,
            "task_version": get_task(split.task).version,
            "family": Family.IMPORTED.value,
            "predictions": sorted(answers.items()),
        }
    )


def _ensure_run(
    *,
    split: DatasetSplit,
    identity: str,
    user_limit: int | None,
    answers: Mapping[str, str],
    questions: Mapping[str, tuple[int, int]],
) -> Run:
    run, created = Run.objects.get_or_create(
        workspace=split.dataset.workspace,
        identity=identity,
        defaults={
            "split": split,
            "family": Family.IMPORTED.value,
            "user_limit": user_limit,
            "question_count": len(questions),
            "state": Run.State.SCORING,
        },
    )
    if created:
        Prediction.objects.bulk_create(
            (
                Prediction(run=run, question_id=question_id, end_user_id=end_user_id, output=answers[external_id])
                for external_id, (question_id, end_user_id) in questions.items()
            ),
            batch_size=_CHUNK,
        )
        score_run(run=run)
    return run
