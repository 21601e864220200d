"""`manage.py train_selector`: train a selector of retrievers (RSPG) on a dataset's feedback, through the queue."""

from argparse import ArgumentParser
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from common import terminal
from eval_app.model_trainings import TrainingRefused, request_training
from eval_app.models import ModelTraining
from eval_app.selector_runs import DEFAULT_POOL, HYPERPARAMETERS
from eval_app.selectors import NotFound, dataset_by_name
from jobs.local import WorkersDidNotStart, local_workers
from retrieval_app.encoders import default_initial_selector
from retrieval_app.models import TrainedModel
from retrieval_app.retrievers import CONTRIEVER, POOL_TITLES
from training_app.base_models import default_dtype
from users_app.selectors import UnknownWorkspace, workspace_by_slug
from workers.training_commands import add_numbers, encoder_name, require_sensible, search_of, watch

_KINDS: Final = {"pre": TrainedModel.Kind.RSPG_PRE, "post": TrainedModel.Kind.RSPG_POST}


class Command(BaseCommand):
    help = (
        "Train a selector that chooses among retrievers, on the feedback of a dataset's train split. The best step is "
        "picked on the dev split. Interrupted, it goes on in the workers; runs that stand are reused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--dataset", required=True)
        parser.add_argument("--reads", required=True, choices=tuple(_KINDS), help="the prompt alone, or the output too")
        parser.add_argument("--tasks", help="e.g. LaMP-4,LaMP-7: one selector for all of them (default: every task)")
        parser.add_argument(
            "--pool",
            default=",".join(DEFAULT_POOL),
            help=f"what it chooses among, of {', '.join(POOL_TITLES)} (default: %(default)s)",
        )
        parser.add_argument(
            "--base-model", default=settings.DEFAULT_BASE_MODEL, help="“small”, a folder, or a hub name[@revision]"
        )
        parser.add_argument("--encoder", help="of contriever (default: the one that goes with the base model)")
        parser.add_argument(
            "--initial",
            help="the encoder that training begins from: “small”, a folder, or a hub name[@revision] (default: the one "
            "that goes with the base model)",
        )
        add_numbers(parser, hyperparameters=HYPERPARAMETERS)

    def handle(self, *args: Any, **options: Any) -> None:
        console = terminal.console()
        console.quiet = options["verbosity"] == 0
        training = self._begin(options)
        try:
            with local_workers(concurrency=options["workers"]):
                watch(training, console)
        except KeyboardInterrupt:
            raise CommandError(
                f"Interrupted. Training {training.pk} goes on as soon as workers are running.", returncode=130
            ) from None
        except WorkersDidNotStart as problem:
            raise CommandError(str(problem)) from None
        _report(training, console)

    def _begin(self, options: dict[str, Any]) -> ModelTraining:
        # Here, because it brings torch, which `manage.py help` should not wait for.
        from workers import loaded
        from workers.engine.sources import ModelRefused, ModelUnavailable

        try:
            require_sensible(options)
            workspace = workspace_by_slug(options["workspace"])
            dataset = dataset_by_name(workspace=workspace, name=options["dataset"])
            pool = [name.strip() for name in options["pool"].split(",")]
            dtype = options["dtype"] or default_dtype()
            return request_training(
                workspace=workspace,
                kind=_KINDS[options["reads"]],
                dataset=dataset,
                tasks=options["tasks"].split(",") if options["tasks"] else None,
                base_model=loaded.record_base_model(options["base_model"], dtype=dtype),
                encoder=loaded.record_encoder(encoder_name(options)) if CONTRIEVER in pool else None,
                initial_model=options["initial"] or default_initial_selector(options["base_model"]),
                pool=pool,
                documents_wanted=options["documents_wanted"],
                parameters=search_of(options, dtype=dtype),
                hyperparameters={name: options[name] for name in HYPERPARAMETERS if options[name] is not None},
                seed=options["seed"],
                user_limit=options["users"],
                begun_by="manage.py train_selector",
            )
        except (ModelRefused, ModelUnavailable, NotFound, TrainingRefused, UnknownWorkspace, ValueError) as problem:
            raise CommandError(str(problem), returncode=2) from None


def _report(training: ModelTraining, console: Console) -> None:
    model = training.trained_model
    if model is None:
        raise CommandError(f"Training {training.pk} {training.get_state_display()}. {training.error}".strip())
    dev: dict[str, Any] = model.metrics["dev"]
    table = Table(title=f"{model.get_kind_display()} {model.pk}: mean utility on the dev split")
    table.add_column("Task")
    members = [member["retriever"] for member in model.pool]
    for name in (*members, "selector", "oracle"):
        table.add_column(POOL_TITLES.get(name, name), justify="right")
    for task, found in dev.items():
        values = [*(found["members"][name] for name in members), found["selector"], found["oracle"]]
        table.add_row(task, *(f"{value:.3f}" for value in values))
    console.print(table)
    console.print(
        f"Learned from {model.participant_count} users in {model.steps} steps; “rag:{model.kind}” uses it from now on.",
        highlight=False,
    )
