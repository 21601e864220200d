"""`manage.py train_encoder`: fine-tune a retriever's encoder by the base model's feedback (ROPG), through the queue."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from rich.console import Console
from rich.table import Table

from common import terminal
from eval_app.encoder_trainings import HYPERPARAMETERS
from eval_app.model_trainings import TrainingRefused, request_training
from eval_app.models import ModelTraining
from eval_app.selectors import NotFound, dataset_by_name
from jobs.local import WorkersDidNotStart, local_workers
from retrieval_app.models import TrainedModel
from training_app.base_models import default_dtype
from users_app.selectors import UnknownWorkspace, workspace_by_slug
from workers.training_commands import add_numbers, encoder_name, require_sensible, search_of, watch

_KINDS: Final = {"kd": TrainedModel.Kind.ROPG_KD, "rl": TrainedModel.Kind.ROPG_RL}


class Command(BaseCommand):
    help = (
        "Fine-tune a retriever's encoder by what the base model makes of each document alone, on a dataset's train "
        "split; the best step is picked on the dev split. Interrupted, it goes on in the workers; feedback is reused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--dataset", required=True)
        parser.add_argument("--task", required=True, help="e.g. LaMP-4; several by commas: an encoder for each")
        parser.add_argument("--mode", required=True, choices=tuple(_KINDS), help="distillation, or reinforcement")
        parser.add_argument(
            "--base-model", default=settings.DEFAULT_BASE_MODEL, help="“small”, a folder, or a hub name[@revision]"
        )
        parser.add_argument(
            "--encoder",
            help="whose first documents are judged, and from which training begins (default: the one that goes with "
            "the base model)",
        )
        add_numbers(parser, hyperparameters=HYPERPARAMETERS)

    def handle(self, *args: Any, **options: Any) -> None:
        console = terminal.console()
        console.quiet = options["verbosity"] == 0
        trainings = self._begin(options)
        try:
            with local_workers(concurrency=options["workers"]):
                for training in trainings:
                    watch(training, console)
        except KeyboardInterrupt:
            raise CommandError("Interrupted. It goes on as soon as workers are running.", returncode=130) from None
        except WorkersDidNotStart as problem:
            raise CommandError(str(problem)) from None
        _report(trainings, console)

    def _begin(self, options: dict[str, Any]) -> list[ModelTraining]:
        # Here, because it brings torch, which `manage.py help` should not wait for.
        from workers.engine.sources import ModelRefused, ModelUnavailable

        try:
            require_sensible(options)
            with transaction.atomic():
                return list(_requested(options))
        except (ModelRefused, ModelUnavailable, NotFound, TrainingRefused, UnknownWorkspace, ValueError) as problem:
            raise CommandError(str(problem), returncode=2) from None


def _requested(options: dict[str, Any]) -> Iterator[ModelTraining]:
    """A training for each task."""
    from workers import loaded

    workspace = workspace_by_slug(options["workspace"])
    dataset = dataset_by_name(workspace=workspace, name=options["dataset"])
    dtype = options["dtype"] or default_dtype()
    name = encoder_name(options)
    base_model = loaded.record_base_model(options["base_model"], dtype=dtype)
    encoder = loaded.record_encoder(name)
    for task in options["task"].split(","):
        yield request_training(
            workspace=workspace,
            kind=_KINDS[options["mode"]],
            dataset=dataset,
            tasks=[task.strip()],
            base_model=base_model,
            encoder=encoder,
            initial_model=name,
            pool=(),
            documents_wanted=options["documents_wanted"],
            parameters=search_of(options, dtype=dtype),
            hyperparameters={name: options[name] for name in HYPERPARAMETERS if options[name] is not None},
            seed=options["seed"],
            user_limit=options["users"],
            begun_by="manage.py train_encoder",
        )


def _report(trainings: list[ModelTraining], console: Console) -> None:
    table = Table(title="Mean utility, on the dev split, of each of the first documents alone")
    table.add_column("Task")
    for name in ("Before", "After", "Oracle", "Steps", "Best step", "Users"):
        table.add_column(name, justify="right")
    failed = []
    for training in trainings:
        model = training.trained_model
        if model is None:
            failed.append(f"Training {training.pk} {training.get_state_display()}. {training.error}".strip())
            continue
        for task, found in model.metrics["dev"].items():
            values = [f"{found[name]:.3f}" for name in ("initial", "encoder", "oracle")]
            table.add_row(task, *values, *map(str, (model.steps, model.metrics["best_step"], model.participant_count)))
    if table.row_count:
        console.print(table)
        console.print(f"“rag:{trainings[0].kind}” uses what was trained from now on.", highlight=False)
    if failed:
        raise CommandError(" ".join(failed))
