"""`manage.py import_lamp`: import one split of a benchmark task, through an import job."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from common import terminal
from common.objects import ObjectStoreError
from eval_app.import_requests import ImportRefused, check_names, request_import
from eval_app.importing import Order, Source, find_standing
from eval_app.models import DatasetSplit
from jobs.local import WorkersDidNotStart, local_workers
from jobs.models import Job, State
from jobs.services import cancel
from lamp.catalogue import CATALOGUE, UnknownTask, get_task
from lamp.problems import LampProblem
from lamp.statistics import split_statistics
from users_app.audit import actor_of_command
from users_app.services import ensure_workspace

_POLL_SECONDS = 0.2


class Command(BaseCommand):
    help = "Import a questions file of LaMP, with its outputs, as one split of a dataset."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug; made where there is none")
        parser.add_argument("--dataset", required=True, help="the dataset's name; made where there is none")
        parser.add_argument("--split", required=True, choices=DatasetSplit.Split.values)
        parser.add_argument("--questions", required=True, type=Path, metavar="FILE")
        parser.add_argument("--outputs", type=Path, metavar="FILE", help="without it the split cannot be scored")
        parser.add_argument(
            "--truth",
            type=Path,
            metavar="FILE",
            help="of a generated benchmark: what its oracle answers; may come later",
        )
        parser.add_argument("--task", help=f"one of {', '.join(CATALOGUE)} (default: recognised)")
        parser.add_argument("--separation", choices=("user", "time"), help="default: recognised")
        parser.add_argument("--keep-source", action="store_true", help="keep the files in the object store")

    def handle(self, *args: Any, **options: Any) -> None:
        console = terminal.console()
        questions = Path(options["questions"])
        outputs = Path(options["outputs"]) if options["outputs"] else None
        truth = Path(options["truth"]) if options["truth"] else None
        try:
            task = get_task(options["task"]) if options["task"] else None
            check_names(workspace=options["workspace"], dataset=options["dataset"], split=options["split"])
            # Before anything is stored: most problems are known within seconds, and leave no trace.
            told = split_statistics(
                questions,
                outputs,
                task=task,
                separation=options["separation"],
                truth=truth,
                split=options["split"],
            )
            console.print(
                f"{questions.name}: {told.task.key}, {told.separation}-based, {told.questions:,} questions of "
                f"{told.users:,} users, {told.profile_entries.total:,} profile entries",
                highlight=False,
            )
            workspace, made = ensure_workspace(slug=options["workspace"])
            if made:
                console.print(f"Made the workspace “{workspace.slug}”", highlight=False)
            standing = find_standing(
                Order(
                    workspace=workspace,
                    dataset=options["dataset"],
                    split=options["split"],
                    questions=Source(questions, questions.name),
                    outputs=Source(outputs, outputs.name) if outputs else None,
                    truth=Source(truth, truth.name) if truth else None,
                    task=told.task,
                    separation=told.separation,
                )
            )
            if standing is not None:
                _tell(standing.as_dict(), console)
                return
            with local_workers(queues=("cpu",), concurrency=1):
                job = request_import(
                    workspace=workspace,
                    dataset=options["dataset"],
                    split=options["split"],
                    questions=questions,
                    outputs=outputs,
                    truth=truth,
                    task=told.task,
                    separation=told.separation,
                    keep_source=options["keep_source"],
                    by=actor_of_command(),
                )
                try:
                    job = _watched(job, console)
                except KeyboardInterrupt:
                    # Before the workers are stopped, which would only give it back to the next one.
                    cancel(job.pk)
                    raise
        except (LampProblem, UnknownTask, ImportRefused) as problem:
            raise CommandError(str(problem), returncode=2) from None
        except (ObjectStoreError, WorkersDidNotStart) as problem:
            raise CommandError(str(problem)) from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted. The import is cancelled; nothing of it is kept.", returncode=130) from None
        if job.state != State.DONE:
            # A file that is not in order is the caller's to mend; anything else is not.
            code = 2 if job.error_type == "jobs.errors.Permanent" else 1
            raise CommandError(f"The import ended as {job.state}: {job.error_message}", returncode=code)
        _tell(job.result or {}, console)


def _watched(job: Job, console: Console) -> Job:
    """Show the job's progress until it has ended."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("waiting for a worker", total=None)
        while job.state in (State.WAITING, State.RUNNING):
            time.sleep(_POLL_SECONDS)
            job.refresh_from_db()
            progress.update(
                bar,
                completed=job.progress_done or 0,
                total=job.progress_total,
                description=job.progress_message or "waiting for a worker",
            )
    return job


def _tell(done: dict[str, Any], console: Console) -> None:
    name = f"{done['dataset']} {done['task']} {done['split']}"
    if not done["changed"] and done["new_oracle"]:
        console.print(f"Added the truth to version {done['version']} of {name}, which stands already", highlight=False)
        return
    if not done["changed"]:
        newer = "" if done["version"] == done["newest_version"] else f"; the newest is version {done['newest_version']}"
        console.print(
            f"Nothing changed: these files stand already as version {done['version']} of {name}{newer}", highlight=False
        )
        return
    truth = ", with its truth" if done["has_oracle"] else ""
    golds = ("with golds" if done["has_golds"] else "without golds, so it cannot be scored") + truth
    console.print(
        f"Imported {name}, version {done['version']}, {golds}: {done['questions']:,} questions of "
        f"{done['end_users']:,} users, {done['entries']:,} profile entries, {done['documents']:,} documents "
        f"({done['new_documents']:,} new)",
        highlight=False,
    )
    if done["ignored_fields"]:
        fields = ", ".join(f"{name} ({count:,})" for name, count in done["ignored_fields"].items())
        console.print(f"Profile fields that the task does not know were left out: {fields}", highlight=False)
