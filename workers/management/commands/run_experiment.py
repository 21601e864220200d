"""`manage.py run_experiment`: compare methods on a dataset, through the queue, and print the table."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from common import terminal
from eval_app.experiment_settings import (
    HYPERPARAMETERS,
    NAME_CHARACTERS_MOST,
    NUMBERS,
    needs_encoder,
    search_parameters,
)
from eval_app.experiments import ExperimentRefused, start_experiment
from eval_app.export import to_json
from eval_app.methods import CONTROLS, MethodError, allowed_methods, parse_methods
from eval_app.models import DatasetSplit, Experiment
from eval_app.reports import experiment_table
from eval_app.selectors import NotFound, dataset_by_name
from eval_app.table import Table
from eval_app.terminal import print_table
from jobs.local import WorkersDidNotStart, local_workers
from lamp.catalogue import UnknownTask
from training_app.base_models import default_dtype
from training_app.hyperparameters import HYPERPARAMETERS as PAPERS
from users_app.selectors import UnknownWorkspace, workspace_by_slug
from workers import provenance
from workers.engine.hyperparameters import Hyperparameters
from workers.experiment_progress import ExperimentProgress
from workers.model_names import SMALL

_POLL_SECONDS = 0.5
# What a number of `NUMBERS` is called on the command line, where it is not its name.
_SHORT = {"documents_wanted": "-k"}
_WORKERS_MOST = 1000


class Command(BaseCommand):
    help = "Compare methods of personalization on an imported dataset, and print the table. Run it again to go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--name", required=True, help="the experiment's name; the same name goes on with it")
        parser.add_argument("--dataset", required=True)
        parser.add_argument("--split", default="dev", choices=DatasetSplit.Split.values)
        parser.add_argument("--tasks", help="e.g. LaMP-4,LaMP-7 (default: every task of the dataset)")
        parser.add_argument("--methods", required=True, help=f"comma-separated: {allowed_methods()}")
        parser.add_argument(
            "--controls",
            choices=CONTROLS,
            help="beside each personalized method the same with another user's profile or adapter",
        )
        parser.add_argument(
            "--base-model", default=settings.DEFAULT_BASE_MODEL, help="“small”, a folder, or a hub name[@revision]"
        )
        parser.add_argument("--encoder", help="of the dense retriever (default: the one that goes with the base model)")
        helps = {"documents_wanted": "retrieved documents", "users": "only the first so many users of the split"}
        for name, number in NUMBERS.items():
            told = " ".join((helps.get(name, ""), "" if number.default is None else "(default %(default)s)")).strip()
            parser.add_argument(_option(name), type=int, default=number.default, dest=name, help=told)
        for name in HYPERPARAMETERS:
            kind = int if PAPERS[name].whole else float
            parser.add_argument(_option(name), type=kind, dest=name)
        parser.add_argument(
            "--dtype",
            choices=("float32", "bfloat16"),
            help="of the base model (default: float32 on a CPU)",
        )
        parser.add_argument("--exact", action="store_true", help="one user or row a pass: byte-reproducible, slower")
        parser.add_argument("--reference", action="store_true", help="show the paper's published numbers beside")
        parser.add_argument("--json", type=Path, dest="json_path", help="also write the table to this file")
        parser.add_argument("--workers", type=int, default=2, help="processes to start where no worker is running")

    def handle(self, *args: Any, **options: Any) -> None:
        console = terminal.console()
        console.quiet = options["verbosity"] == 0
        experiment = self._start(options)
        try:
            if experiment.state == Experiment.State.ACTIVE:
                with local_workers(concurrency=options["workers"]):
                    _watch(experiment, console)
        except KeyboardInterrupt:
            raise CommandError("Interrupted. The same command goes on from where it stopped.", returncode=130) from None
        except WorkersDidNotStart as problem:
            raise CommandError(str(problem)) from None
        experiment.refresh_from_db()
        self._report(experiment, options, console)

    def _start(self, options: dict[str, Any]) -> Experiment:
        # Here, because it brings torch, which `manage.py help` should not wait for.
        from workers import loaded
        from workers.engine.sources import ModelRefused, ModelUnavailable
        from workers.shipped_selectors import record_shipped_selectors

        try:
            _require_sensible(options)
            methods = parse_methods(options["methods"])
            workspace = workspace_by_slug(options["workspace"])
            dataset = dataset_by_name(workspace=workspace, name=options["dataset"])
            chosen = {name: options[name] for name in HYPERPARAMETERS if options[name] is not None}
            limits = {name: options[name] for name in ("max_input_tokens", "max_output_tokens")}
            hyperparameters = Hyperparameters(**chosen, **limits).as_dict()
            del hyperparameters["rank"]
            dtype = options["dtype"] or default_dtype()
            base_model = loaded.record_base_model(options["base_model"], dtype=dtype)
            record_shipped_selectors(base_model)
            return start_experiment(
                workspace=workspace,
                name=options["name"],
                dataset=dataset,
                split=options["split"],
                tasks=options["tasks"].split(",") if options["tasks"] else None,
                methods=methods,
                controls=[options["controls"]] if options["controls"] else [],
                base_model=base_model,
                encoder=(
                    loaded.record_encoder(_encoder_name(options))
                    if needs_encoder(methods, split=options["split"])
                    else None
                ),
                documents_wanted=options["documents_wanted"],
                hyperparameters=hyperparameters,
                parameters=search_parameters(
                    num_beams=options["num_beams"], **limits, exact=options["exact"], dtype=dtype
                ),
                seed=options["seed"],
                user_limit=options["users"],
                reference=options["reference"],
                versions=provenance.versions(),
                hardware=provenance.hardware(),
            )
        except (
            ExperimentRefused,
            MethodError,
            ModelRefused,
            ModelUnavailable,
            NotFound,
            UnknownTask,
            UnknownWorkspace,
            ValueError,
        ) as problem:
            raise CommandError(str(problem), returncode=2) from None

    def _report(self, experiment: Experiment, options: dict[str, Any], console: Console) -> None:
        if experiment.report is not None:
            table = experiment_table(experiment=experiment)
            print_table(table, console)
            if options["json_path"] is not None:
                _write(options["json_path"], table)
                console.print(f"Written to {options['json_path']}", highlight=False)
        if experiment.state != Experiment.State.DONE:
            raise CommandError(
                f"Experiment “{experiment.name}” ended as {experiment.state}. {experiment.error} "
                "Once the cause is mended, the same command goes on from where it stopped."
            )


def _encoder_name(options: dict[str, Any]) -> str:
    if options["encoder"]:
        return str(options["encoder"])
    return SMALL if options["base_model"] == SMALL else settings.DEFAULT_ENCODER


def _option(name: str) -> str:
    return _SHORT.get(name) or f"--{name.replace('_', '-')}"


def _require_sensible(options: dict[str, Any]) -> None:
    """Raises ValueError for what no run could be recorded or drawn with."""
    if not options["name"].strip() or len(options["name"]) > NAME_CHARACTERS_MOST:
        raise ValueError(f"--name must have 1 to {NAME_CHARACTERS_MOST} characters.")
    if options["json_path"] is not None and options["json_path"].is_dir():
        raise ValueError(f"--json names a file to write, and {options['json_path']} is a folder.")
    ranges = {name: (number.least, number.most) for name, number in NUMBERS.items()}
    for name, (least, most) in {**ranges, "workers": (1, _WORKERS_MOST)}.items():
        value = options[name]
        if value is not None and not least <= value <= most:
            raise ValueError(f"{_option(name)} must be between {least} and {most}, not {value}.")


def _write(path: Path, table: Table) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_json(table), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"The table cannot be written to {path}: {error.strerror}.", returncode=2) from None


def _watch(experiment: Experiment, console: Console) -> None:
    """Show progress until the experiment has ended. Interrupted, everything under way goes on in the workers."""
    with ExperimentProgress(experiment, console) as progress:
        while True:
            experiment.refresh_from_db(fields=["state"])
            progress.update()
            if experiment.state != Experiment.State.ACTIVE:
                return
            time.sleep(_POLL_SECONDS)
