"""`manage.py import_predictions`: let predictions that were made elsewhere stand in an experiment's table."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eval_app.imported_runs import ImportedRun, PredictionsRefused, import_predictions
from eval_app.selectors import NotFound, experiment_by_name
from lamp.catalogue import UnknownTask
from lamp.problems import LampProblem
from users_app.selectors import UnknownWorkspace, workspace_by_slug


class Command(BaseCommand):
    help = "Import a file of predictions in LaMP's form as a run of an experiment, score it and compare it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--name", required=True, help="the experiment's name")
        parser.add_argument("--task", required=True, help="e.g. LaMP-4")
        parser.add_argument("--label", required=True, help="what made them; the column is called imported:LABEL")
        parser.add_argument("--predictions", required=True, type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            workspace = workspace_by_slug(options["workspace"])
            experiment = experiment_by_name(workspace=workspace, name=options["name"])
            imported = import_predictions(
                experiment=experiment,
                task=options["task"],
                label=options["label"],
                path=Path(options["predictions"]),
            )
        except (PredictionsRefused, LampProblem, NotFound, UnknownTask, UnknownWorkspace) as problem:
            raise CommandError(str(problem), returncode=2) from None
        self.stdout.write(_told(imported))


def _told(imported: ImportedRun) -> str:
    column = imported.column
    assert column.run is not None
    if not imported.changed:
        return f"Nothing changed: these predictions stand already as {column.method} of {column.task}."
    metrics = column.run.metrics or {}
    values = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()) or "not scored: the split has no golds"
    return f"Imported {column.run.question_count:,} predictions of {column.task} as {column.method}: {values}"
