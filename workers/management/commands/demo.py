"""`manage.py demo`: the whole main job on a generated benchmark and the small models, from empty database to table."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from rich.console import Console

from common import terminal
from common.schema import bring_up_to_date
from eval_app.methods import parse_method
from eval_app.models import DatasetSplit
from jobs.local import local_workers
from lamp import synthetic
from lamp.catalogue import get_task
from training_app.engine_version import ENGINE_VERSION

WORKSPACE = "demo"
DATASET = "synthetic"
EXPERIMENT = "comparison"
METHODS = "none,rag:bm25,rag:recency,rag:contriever,rag:rspg-pre,rag:rspg-post,peft:8,peft-rag:best:8"
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
# And that choosing the retriever gains nothing where their documents say nothing. A table of its own, without controls:
# so few tests are corrected together, and answers are shared with the one above.
ALIKE_EXPERIMENT = "strength-0-choosing"
ALIKE_METHODS = "none,rag:bm25,rag:recency,rag:contriever,rag:rspg-pre,rag:rspg-post"


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
                controls="swapped",
                verbosity=0,
            )
            alike = _compare(
                folder / "strength-0-choosing.json",
                experiment=f"{ALIKE_EXPERIMENT}-{untold_users}",
                dataset=UNTOLD_DATASET,
                methods=ALIKE_METHODS,
                controls=None,
                verbosity=0,
            )
            report = _compare(
                folder / "report.json",
                experiment=f"{EXPERIMENT}-{users}",
                dataset=DATASET,
                methods=METHODS,
                controls="swapped",
                verbosity=1,
            )
        report["strength_0"] = nothing_to_find(untold)
        report["strength_0_choosing"] = nothing_to_choose(alike)
        _write(folder / "report.json", report)
        console.print(f"\n{_line(report['strength_0'])}", highlight=False)
        console.print(f"\n{choosing_line(report['strength_0_choosing'])}", highlight=False)
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


def nothing_to_choose(table: Mapping[str, Any]) -> dict[str, Any]:
    """What choosing the retriever gained at strength 0, by method that chooses: in how many tasks it beat the best
    single retriever by the task's first metric, and the mean share of the gap to the pool's oracle there (None where
    there was none); and the least p-value, Holm-corrected, of a cell in which it did, in any metric. Where nothing was
    held against its pool, whether something was gained could not be told, and `nothing_gained` is False.
    """
    beats: list[float] = []
    by_method: dict[str, dict[str, Any]] = {}
    for row, first in _with_first(table["rows"]):
        for key, cell in row["cells"].items():
            found = cell.get("choosing", {})
            if "best_single" not in found:
                continue
            gain = (cell["value"] - found["best_single"]["value"]) * (1 if row["higher_is_better"] else -1)
            beats += [found["p_holm"]] if gain > 0 else []
            if first:
                told = by_method.setdefault(key, {"tasks": 0, "better": 0, "shares": []})
                told["tasks"] += 1
                told["better"] += gain > 0
                told["shares"] += [] if found["share_of_gap"] is None else [found["share_of_gap"]]
    for told in by_method.values():
        shares = told.pop("shares")
        told["mean_share"] = fmean(shares) if shares else None
    least = min(beats, default=1.0)
    return {"methods": by_method, "least_p_holm": least, "nothing_gained": bool(by_method) and least > SIGNIFICANT}


def _with_first(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Each row, and whether it is its task's first."""
    seen: set[str] = set()
    for row in rows:
        yield row, row["task"] not in seen
        seen.add(row["task"])


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


def choosing_line(found: Mapping[str, Any]) -> str:
    """What `nothing_to_choose` found, in words."""
    if not found["methods"]:
        return (
            "There the documents of one retriever say no more than another's; [bold red]whether choosing among them "
            "gains anything could not be told[/], as nothing was held against its pool."
        )
    verdict = "gains nothing" if found["nothing_gained"] else "[bold red]gains something[/], which it should not"
    told = [
        f"{parse_method(key).title} is better than the best single retriever in {one['better']} of {one['tasks']} tasks"
        + ("" if one["mean_share"] is None else f" (mean share of the gap {one['mean_share']:+.2f})")
        for key, one in found["methods"].items()
    ]
    return (
        f"There the documents of one retriever say no more than another's, and choosing among them {verdict}: "
        f"{', '.join(told)}; the least p of it in any metric: {found['least_p_holm']:.2g}."
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


def _compare(
    path: Path, *, experiment: str, dataset: str, methods: str, controls: str | None, verbosity: int
) -> dict[str, Any]:
    call_command(
        "run_experiment",
        workspace=WORKSPACE,
        # Another engine makes other adapters, and an experiment is never continued with other settings.
        name=f"{experiment}-engine-{ENGINE_VERSION}",
        dataset=dataset,
        split=DatasetSplit.Split.DEV.value,
        methods=methods,
        controls=controls,
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
