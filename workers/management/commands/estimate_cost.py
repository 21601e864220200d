"""`manage.py estimate_cost`: what training an adapter for each user of a split takes, before anything is trained."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from common import terminal
from eval_app.models import Dataset, DatasetSplit
from eval_app.selectors import NotFound, dataset_by_name, newest_splits
from lamp.catalogue import UnknownTask, get_task
from training_app.costs.estimates import CARBON_INTENSITY, PUE, UTILIZATION, Assumptions
from training_app.costs.hardware import GPUS, UnknownGpu, gpu_by_name
from training_app.costs.lengths import TrainingWork
from training_app.costs.paper import TOKENS_PER_WORD
from training_app.costs.report import CostReport, Counted
from training_app.costs.shapes import UnknownShape
from training_app.costs.terminal import print_report
from users_app.models import Workspace
from users_app.selectors import UnknownWorkspace, named_or_only_workspace
from workers.engine.hyperparameters import MAX_RANK, Hyperparameters

_SHOWN_EVERY = 20  # users


class Command(BaseCommand):
    help = "Estimate GPU hours, storage and CO₂e of training an adapter for each user of a split. Trains nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", help="the workspace's slug (default: the only one there is)")
        parser.add_argument("--dataset", required=True)
        parser.add_argument("--split", default="dev", help=", ".join(DatasetSplit.Split.values) + " (default: dev)")
        parser.add_argument("--tasks", "--task", help="e.g. LaMP-4,LaMP-7 (default: every task of the dataset)")
        parser.add_argument("--users", type=int, help="only the first so many users of each task")
        parser.add_argument("--ranks", default="8", help="comma-separated, e.g. 8,16,32,64 (default: 8)")
        parser.add_argument("--gpu", default="h200", help=f"{', '.join(GPUS)} (default: h200)")
        parser.add_argument(
            "--base-model",
            default=settings.DEFAULT_BASE_MODEL,
            help="“small”, a folder, or a hub name[@revision]; FlanT5's sizes need no download (default: %(default)s)",
        )
        parser.add_argument("--tokenizer", help="counts the tokens: “small”, a folder or a hub name (default: its own)")
        parser.add_argument(
            "--tokens-per-word",
            type=float,
            default=TOKENS_PER_WORD,
            help="where the tokenizer is not on this machine (default: %(default)s)",
        )
        for name in ("epochs", "batch_size", "max_input_tokens", "max_output_tokens"):
            default = getattr(Hyperparameters, name)
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, type=int, dest=name, default=default, help="default: %(default)s")
        parser.add_argument(
            "--utilization", type=float, default=UTILIZATION, help="share of the peak rate (default: %(default)s)"
        )
        parser.add_argument(
            "--pue", type=float, default=PUE, help="the site's power over the GPUs' (default: %(default)s)"
        )
        parser.add_argument(
            "--carbon-intensity", type=float, default=CARBON_INTENSITY, help="g CO₂e/kWh (default: %(default)s)"
        )
        parser.add_argument("--gradient-checkpointing", action="store_true", help="the blocks are computed once more")
        parser.add_argument("--json", type=Path, dest="json_path", help="also write the estimate to this file")

    def handle(self, *args: Any, **options: Any) -> None:
        console = terminal.console()
        report = self._report(options, console)
        print_report(report, console)
        if options["json_path"] is not None:
            _write(options["json_path"], report)
            console.print(f"Written to {options['json_path']}", highlight=False, markup=False)

    def _report(self, options: dict[str, Any], console: Console) -> CostReport:
        # Here, because it brings torch, which `manage.py help` should not wait for.
        from workers.cost_estimates import shape_of, token_counter, training_work
        from workers.engine.sources import ModelRefused, ModelUnavailable

        try:
            assumptions = Assumptions(
                gpu=gpu_by_name(options["gpu"]),
                utilization=options["utilization"],
                pue=options["pue"],
                carbon_intensity=options["carbon_intensity"],
                gradient_checkpointing=options["gradient_checkpointing"],
            )
            ranks = _ranks(options["ranks"])
            _require_sensible(options)
            chosen = {name: options[name] for name in ("epochs", "batch_size", "max_input_tokens", "max_output_tokens")}
            hyperparameters = Hyperparameters(**chosen)
            workspace = named_or_only_workspace(options["workspace"])
            dataset = dataset_by_name(workspace=workspace, name=options["dataset"])
            splits = _splits(workspace, dataset, split=options["split"], tasks=options["tasks"])
            shape = shape_of(options["base_model"])
            counter = token_counter(
                base_model=options["base_model"],
                tokenizer=options["tokenizer"],
                tokens_per_word=options["tokens_per_word"],
            )
        except (
            ModelRefused,
            ModelUnavailable,
            NotFound,
            UnknownGpu,
            UnknownShape,
            UnknownTask,
            UnknownWorkspace,
            ValueError,
        ) as problem:
            raise CommandError(str(problem), returncode=2) from None
        work = dict.fromkeys(splits, TrainingWork())
        with console.status("Counting tokens …") as status:
            users = training_work(
                workspace=workspace,
                splits=splits,
                counter=counter,
                hyperparameters=hyperparameters,
                user_limit=options["users"],
            )
            for count, (task, of_user) in enumerate(users):
                work[task] += of_user
                if count % _SHOWN_EVERY == 0:
                    status.update(f"Counting tokens … {task}, {count} users")
        return CostReport(
            base_model=options["base_model"],
            shape=shape,
            ranks=ranks,
            assumptions=assumptions,
            counted=Counted(
                workspace=workspace.slug,
                dataset=dataset.name,
                split=options["split"],
                work=work,
                lengths=counter.description,
                **chosen,
            ),
        )


def _ranks(value: str) -> list[int]:
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and part.isascii() and 1 <= int(part) <= MAX_RANK for part in parts):
        raise ValueError(f"--ranks are whole numbers from 1 to {MAX_RANK}, comma-separated, not “{value}”.")
    return list(dict.fromkeys(int(part) for part in parts))


def _splits(workspace: Workspace, dataset: Dataset, *, split: str, tasks: str | None) -> Mapping[str, DatasetSplit]:
    found = newest_splits(workspace=workspace, dataset=dataset, split=split)
    if not found:
        known = [
            name
            for name in DatasetSplit.Split.values
            if newest_splits(workspace=workspace, dataset=dataset, split=name)
        ]
        there = f"It has: {', '.join(known)}." if known else "Import one with `manage.py import_lamp`."
        raise NotFound(f"Dataset “{dataset.name}” has no split “{split}”. {there}")
    if tasks is None:
        return found
    keys = [get_task(task.strip()).key for task in tasks.split(",")]
    absent = [key for key in keys if key not in found]
    if absent:
        raise NotFound(
            f"Dataset “{dataset.name}” has no {split} split of {', '.join(absent)}. It has: {', '.join(found)}."
        )
    return {key: found[key] for key in found if key in keys}


def _require_sensible(options: Mapping[str, Any]) -> None:
    """Raises ValueError for what nothing can be counted with."""
    if options["users"] is not None and not 1 <= options["users"] < 2**31:
        raise ValueError(f"--users must be between 1 and {2**31 - 1}, not {options['users']}.")
    if not 0 < options["tokens_per_word"] <= 100:
        raise ValueError("--tokens-per-word must be above 0 and at most 100.")
    if options["json_path"] is not None and options["json_path"].is_dir():
        raise ValueError(f"--json names a file to write, and {options['json_path']} is a folder.")


def _write(path: Path, report: CostReport) -> None:
    text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"The estimate cannot be written to {path}: {error.strerror}.", returncode=2) from None
