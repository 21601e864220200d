"""`manage.py demo`: the whole main job on a generated benchmark and the small models, from empty database to table."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from rich.console import Console

from common import terminal
from common.schema import bring_up_to_date
from eval_app.models import DatasetSplit
from jobs.local import local_workers
from lamp import synthetic
from lamp.catalogue import get_task
from training_app.engine_version import ENGINE_VERSION

WORKSPACE = "demo"
DATASET = "synthetic"
EXPERIMENT = "table-1"
METHODS = "none,rag:bm25,rag:recency,rag:contriever,peft:8,peft-rag:best:8"
SEED = 7
# As many as it takes for every effect to stand out after Holm's correction over the whole table.
USERS = 80
# Small models want larger steps than the paper's 11 billion parameters.
EPOCHS = 6
LEARNING_RATE = 3e-3

# The check that nothing leaks: the same where a profile says nothing about an answer.
UNTOLD_DATASET = "synthetic-strength-0"
UNTOLD_EXPERIMENT = "strength-0"
UNTOLD_METHODS = "none,rag:bm25,peft:8"
UNTOLD_USERS = 20
SIGNIFICANT = 0.01


class Command(BaseCommand):
    help = "Generate a benchmark, import it, compare the methods on small models, and print the table."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=int, default=USERS, help=f"users a task (default {USERS})")

    def handle(self, *args: Any, **options: Any) -> None:
        console = terminal.console()
        begun = time.monotonic()
        folder: Path = settings.VAR_DIR / "demo"
        users: int = options["users"]
        untold_users = min(users, UNTOLD_USERS)
        bring_up_to_date()
        with local_workers(concurrency=2):
            console.print(f"[bold]Generating the benchmark[/]: seven tasks, {users} users each")
            _bring_in(console, folder / "data", dataset=DATASET, users=users, strength=synthetic.DEFAULT_STRENGTH)
            console.print(f"[bold]And one at strength 0[/], where profiles say nothing: {untold_users} users each")
            _bring_in(console, folder / "strength-0", dataset=UNTOLD_DATASET, users=untold_users, strength=0.0)
            console.print("[bold]Comparing the methods[/]: what stands from an earlier demo is reused")
            untold = _compare(
                folder / "strength-0.json",
                experiment=f"{UNTOLD_EXPERIMENT}-{untold_users}",
                dataset=UNTOLD_DATASET,
                methods=UNTOLD_METHODS,
                verbosity=0,
            )
            report = _compare(
                folder / "report.json",
                experiment=f"{EXPERIMENT}-{users}",
                dataset=DATASET,
                methods=METHODS,
                verbosity=1,
            )
        report["strength_0"] = nothing_to_find(untold)
        _write(folder / "report.json", report)
        console.print(f"\n{_line(report['strength_0'])}", highlight=False)
        console.print(
            f"\nDone in {time.monotonic() - begun:.0f} s. The servers stay up: `make serve` shows the jobs, "
            "`make down` stops them, and a second `make demo` reuses what stands.",
            highlight=False,
        )


def nothing_to_find(table: Mapping[str, Any]) -> dict[str, Any]:
    """What a comparison at strength 0 found: the least p-values, Holm-corrected, of a personalized cell that beats no
    personalization and of one that differs from its control, over so many cells.
    """
    beats = [
        cell["p_holm"] for higher_is_better, cell in _personalized(table) if (cell["delta"] > 0) == higher_is_better
    ]
    differs = [cell["control"]["p_holm"] for _, cell in _personalized(table)]
    least = {"beats_none": min(beats, default=1.0), "differs_from_swapped": min(differs, default=1.0)}
    return {"cells": len(differs), "least_p_holm": least, "nothing_found": min(least.values()) > SIGNIFICANT}


def _personalized(table: Mapping[str, Any]) -> Iterator[tuple[bool, Mapping[str, Any]]]:
    for row in table["rows"]:
        for cell in row["cells"].values():
            if "control" in cell:
                yield row["higher_is_better"], cell


def _line(found: Mapping[str, Any]) -> str:
    least = found["least_p_holm"]
    verdict = "nothing is found" if found["nothing_found"] else "[bold red]something is found[/], which should not be"
    return (
        f"At strength 0, where there is nothing to find, {verdict}. The least p of {found['cells']} cells: "
        f"{least['beats_none']:.2g} for beating None, {least['differs_from_swapped']:.2g} for differing from another "
        "user's."
    )


def _bring_in(console: Console, folder: Path, *, dataset: str, users: int, strength: float) -> None:
    for task in synthetic.generate(folder, users=users, seed=SEED, strength=strength):
        console.print(f"[bold]Importing {task}[/]")
        files = folder / get_task(task).file_key
        call_command(
            "import_lamp",
            workspace=WORKSPACE,
            dataset=dataset,
            split=DatasetSplit.Split.DEV.value,
            task=task,
            separation="time",
            questions=str(files / "dev_questions.json"),
            outputs=str(files / "dev_outputs.json"),
            truth=str(files / "truth.json"),
        )


def _compare(path: Path, *, experiment: str, dataset: str, methods: str, verbosity: int) -> dict[str, Any]:
    call_command(
        "run_experiment",
        workspace=WORKSPACE,
        # Another engine makes other adapters, and an experiment is never continued with other settings.
        name=f"{experiment}-engine-{ENGINE_VERSION}",
        dataset=dataset,
        split=DatasetSplit.Split.DEV.value,
        methods=methods,
        controls="swapped",
        base_model="small",
        epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        json_path=path,
        verbosity=verbosity,
    )
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def _write(path: Path, report: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
