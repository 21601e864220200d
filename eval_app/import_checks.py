"""The dry run of an import: the files are read as the import would read them, and nothing of them is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from eval_app.import_requests import orders_of
from eval_app.importing import Order, Source, find_standing
from eval_app.models import DatasetImport, ImportProblem
from jobs.models import FINISHED, State
from jobs.selectors import jobs_of
from lamp.examining import MOST_PROBLEMS, Examination, NamedFile, Report, Sample, examine_split
from lamp.problems import LampProblem, shown_id
from users_app.models import Workspace

ORIGIN: Final = "import-check"
_MOST_CHARACTERS: Final = 600
_ENTRIES_SHOWN: Final = 3
_PROBLEMS_AT_ONCE: Final = 1_000


@dataclass(frozen=True)
class Checked:
    """What the check of one split's files found."""

    split: str
    examination: Examination
    standing: dict[str, Any] | None
    """What an import would find to stand already."""


def check_files(
    *,
    workspace: Workspace,
    payload: dict[str, Any],
    folder: Path,
    report: Report,
    check: Callable[[], None],
) -> list[Checked]:
    """Fetch what the payload names into `folder` and look at it. Raises as `order_of`."""
    return [
        _checked(order, report) for order in orders_of(workspace=workspace, payload=payload, folder=folder, check=check)
    ]


def record_check(*, dataset_import_id: int, checked: list[Checked]) -> dict[str, int]:
    """Keep what the check found. Call it in the transaction that ends its job; returns what the job's result says."""
    problems = [(one.split, problem) for one in checked for problem in one.examination.problems][:MOST_PROBLEMS]
    found = DatasetImport.objects.filter(pk=dataset_import_id, state=DatasetImport.State.CHECKING)
    kept = found.update(
        state=DatasetImport.State.CHECKED,
        findings=[_finding(one) for one in checked],
        samples={one.split: [_shown(sample) for sample in one.examination.samples] for one in checked},
        error="",
    )
    if kept:
        _replace_problems(dataset_import_id, problems)
    return {"splits": len(checked), "problems": len(problems)}


@transaction.atomic
def check_ended(origin: str) -> None:
    """The listener of checks: one that came to nothing leaves a draft again, with the reason. Safe to repeat."""
    # Held before its jobs are looked at: who asks for another check meanwhile holds it too, and then there is a newer.
    held = (
        DatasetImport.objects.select_for_update(no_key=True)
        .filter(pk=int(origin.partition(":")[2]), state=DatasetImport.State.CHECKING)
        .only("pk")
        .first()
    )
    if held is None:
        return
    job = jobs_of(origin=origin).order_by("-pk").first()
    if job is None:
        reason = "The check came to nothing. Check the files again."
    elif job.state not in FINISHED or job.state == State.DONE:
        return
    else:
        reason = job.error_message if job.state == State.FAILED else ""
    DatasetImport.objects.filter(pk=held.pk).update(state=DatasetImport.State.DRAFT, error=reason)


def _checked(order: Order, report: Report) -> Checked:
    def named(source: Source | None) -> NamedFile | None:
        return None if source is None else NamedFile(source.path, source.name)

    examination = examine_split(
        NamedFile(order.questions.path, order.questions.name),
        named(order.outputs),
        truth=named(order.truth),
        split=order.split,
        task=order.task,
        separation=order.separation,
        report=report,
    )
    standing = None
    if not examination.problems:
        try:
            found = find_standing(order)
            standing = None if found is None else found.as_dict()
        except LampProblem as problem:
            # A truth that cannot be kept beside the split that stands.
            examination.problems.append(problem)
    return Checked(order.split, examination, standing)


def _finding(one: Checked) -> dict[str, Any]:
    found = one.examination
    return {
        "split": one.split,
        "statistics": None if found.statistics is None else found.statistics.as_dict(),
        "complete": found.complete,
        "problems": len(found.problems),
        "standing": one.standing,
    }


def _shown(sample: Sample) -> dict[str, Any]:
    question = sample.question
    entries = [
        {name: _cut(str(value)) for name, value in entry.fields.items()} for entry in question.profile[:_ENTRIES_SHOWN]
    ]
    return {
        "id": shown_id(question.id),
        "user": None if question.user_id is None else shown_id(question.user_id),
        "input": _cut(question.input),
        "gold": None if sample.gold is None else _cut(sample.gold),
        "profile_size": len(question.profile),
        "entries": entries,
    }


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _replace_problems(dataset_import_id: int, problems: list[tuple[str, LampProblem]]) -> None:
    ImportProblem.objects.filter(dataset_import=dataset_import_id).delete()
    ImportProblem.objects.bulk_create(
        (
            ImportProblem(
                dataset_import_id=dataset_import_id,
                position=position,
                split=split,
                file=shown_id(problem.file),
                row=problem.row,
                question_id="" if problem.question_id is None else shown_id(problem.question_id),
                field=problem.field or "",
                message=problem.message,
                remedy=problem.remedy,
            )
            for position, (split, problem) in enumerate(problems)
        ),
        batch_size=_PROBLEMS_AT_ONCE,
    )
