"""`manage.py demo`: the whole main job on a generated benchmark and the small models, from empty database to table."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from common import terminal
from common.schema import bring_up_to_date
from eval_app.models import DatasetSplit
from jobs.local import local_workers
from lamp import synthetic
from training_app.engine_version import ENGINE_VERSION

WORKSPACE = "demo"
DATASET = "synthetic"
EXPERIMENT = "table-1"
METHODS = "none,rag:bm25,rag:recency,rag:contriever,peft:8,peft-rag:best:8"
SEED = 7
USERS = 40
# Small models want larger steps than the paper's 11 billion parameters.
EPOCHS = 6
LEARNING_RATE = 3e-3


class Command(BaseCommand):
    help = "Generate a benchmark, import it, compare the methods on small models, and print the table."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=int, default=USERS, help=f"users a task (default {USERS})")

    def handle(self, *args: Any, **options: Any) -> None:
        console = terminal.console()
        begun = time.monotonic()
        folder: Path = settings.VAR_DIR / "demo"
        bring_up_to_date()
        with local_workers(concurrency=2):
            console.print(f"[bold]Generating the benchmark[/]: seven tasks, {options['users']} users each")
            counts = synthetic.generate(folder / "data", users=options["users"], seed=SEED)
            for task in counts:
                console.print(f"[bold]Importing {task}[/]")
                self._import(folder / "data" / task.replace("-", "_"), task)
            console.print("[bold]Comparing the methods[/]: what stands from an earlier demo is reused")
            call_command(
                "run_experiment",
                workspace=WORKSPACE,
                # Another engine makes other adapters, and an experiment is never continued with other settings.
                name=f"{EXPERIMENT}-{options['users']}-engine-{ENGINE_VERSION}",
                dataset=DATASET,
                split=DatasetSplit.Split.DEV.value,
                methods=METHODS,
                base_model="small",
                epochs=EPOCHS,
                learning_rate=LEARNING_RATE,
                json_path=folder / "report.json",
            )
        console.print(
            f"\nDone in {time.monotonic() - begun:.0f} s. The servers stay up: `make serve` shows the jobs, "
            "`make down` stops them, and a second `make demo` reuses what stands.",
            highlight=False,
        )

    def _import(self, folder: Path, task: str) -> None:
        call_command(
            "import_lamp",
            workspace=WORKSPACE,
            dataset=DATASET,
            split=DatasetSplit.Split.DEV.value,
            task=task,
            separation="time",
            questions=str(folder / "dev_questions.json"),
            outputs=str(folder / "dev_outputs.json"),
        )
