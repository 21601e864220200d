"""`manage.py export_predictions`: what one method answered, as a file in LaMP's form."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eval_app.exporting import NotExportable, export_predictions
from eval_app.methods import MethodError, parse_method
from eval_app.selectors import NotFound, experiment_by_name
from lamp.catalogue import UnknownTask, get_task
from users_app.selectors import UnknownWorkspace, workspace_by_slug


class Command(BaseCommand):
    help = "Write the predictions of one method of an experiment in the form of LaMP's outputs, one file a task."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--name", required=True, help="the experiment's name")
        parser.add_argument("--task", required=True, help="e.g. LaMP-4")
        parser.add_argument("--method", required=True, help="a column of the experiment, e.g. rag:bm25")
        parser.add_argument("--out", required=True, type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        out = Path(options["out"])
        try:
            workspace = workspace_by_slug(options["workspace"])
            experiment = experiment_by_name(workspace=workspace, name=options["name"])
            task, method = get_task(options["task"]).key, parse_method(options["method"]).key
            count = export_predictions(experiment=experiment, task=task, method=method, path=out)
        except (MethodError, NotExportable, NotFound, UnknownTask, UnknownWorkspace) as problem:
            raise CommandError(str(problem), returncode=2) from None
        except OSError as problem:
            raise CommandError(f"--out: {out} cannot be written: {problem.strerror}.", returncode=2) from None
        self.stdout.write(f"Wrote {count:,} predictions of {method} on {task} to {out}")
