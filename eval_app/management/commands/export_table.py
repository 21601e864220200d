"""`manage.py export_table`: an experiment's comparison table as JSON, CSV, Markdown or LaTeX."""

import os
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eval_app.exporting import FORMS, NotExportable, table_text
from eval_app.selectors import NotFound, experiment_by_name
from users_app.selectors import UnknownWorkspace, workspace_by_slug


class Command(BaseCommand):
    help = "Write an experiment's comparison table, on standard output unless a file is named."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--name", required=True, help="the experiment's name")
        parser.add_argument("--format", required=True, choices=tuple(FORMS))
        parser.add_argument("--out", type=Path, metavar="FILE")
        parser.add_argument("--reference", action="store_true", help="show the paper's published numbers beside")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            workspace = workspace_by_slug(options["workspace"])
            experiment = experiment_by_name(workspace=workspace, name=options["name"])
            text = table_text(experiment=experiment, form=options["format"], reference=options["reference"])
        except (NotExportable, NotFound, UnknownWorkspace) as problem:
            raise CommandError(str(problem), returncode=2) from None
        if options["out"] is None:
            self.stdout.write(text, ending="")
            return
        out = Path(options["out"])
        try:
            _write_whole(out, text)
        except OSError as problem:
            raise CommandError(f"--out: {out} cannot be written: {problem.strerror}.", returncode=2) from None
        self.stdout.write(f"Wrote the table of “{experiment.name}” to {out}")


def _write_whole(path: Path, text: str) -> None:
    """The file appears whole or not at all. Line ends stay as they are: CSV has its own."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
