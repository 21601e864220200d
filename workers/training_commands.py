"""What the commands that train selectors and encoders have in common: options, and waiting for the end."""

import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from rich.console import Console

from eval_app.experiment_settings import NUMBERS, search_parameters
from eval_app.model_trainings import OPEN
from eval_app.models import ModelTraining
from training_app.hyperparameters import Bounds
from workers.model_names import SMALL
from workers.training_progress import TrainingProgress

_POLL_SECONDS: Final = 0.5
_WORKERS_MOST: Final = 1000


def add_numbers(parser: ArgumentParser, *, hyperparameters: Mapping[str, Bounds]) -> None:
    """The options of how the base model answers, how many users take part, and how the model is trained."""
    helps = {"documents_wanted": "retrieved documents", "users": "only the first so many users of each split"}
    for name, number in NUMBERS.items():
        told = " ".join((helps.get(name, ""), "" if number.default is None else "(default %(default)s)")).strip()
        parser.add_argument(_option(name), type=int, default=number.default, dest=name, help=told)
    for name, bounds in hyperparameters.items():
        kind = int if bounds.whole else float
        parser.add_argument(_option(name), type=kind, dest=name, help=f"(default {bounds.default:g})")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the base model (default: by device)")
    parser.add_argument("--exact", action="store_true", help="one row a pass of the base model: reproducible, slower")
    parser.add_argument("--workers", type=int, default=2, help="processes to start where no worker is running")


def search_of(options: Mapping[str, Any], *, dtype: str) -> dict[str, Any]:
    """How the base model searches for its answers, as runs keep it."""
    names = ("num_beams", "max_input_tokens", "max_output_tokens", "exact")
    return search_parameters(**{name: options[name] for name in names}, dtype=dtype)


def encoder_name(options: Mapping[str, Any]) -> str:
    """The encoder that was named, or the one that goes with the base model."""
    if options["encoder"]:
        return str(options["encoder"])
    return SMALL if options["base_model"] == SMALL else settings.DEFAULT_ENCODER


def require_sensible(options: Mapping[str, Any]) -> None:
    """Raise ValueError for a number that nothing could be run with."""
    ranges = {name: (number.least, number.most) for name, number in NUMBERS.items()}
    for name, (least, most) in {**ranges, "workers": (1, _WORKERS_MOST)}.items():
        value = options[name]
        if value is not None and not least <= value <= most:
            raise ValueError(f"{_option(name)} must be between {least} and {most}, not {value}.")


def watch(training: ModelTraining, console: Console) -> None:
    """Show progress until the training has ended. Interrupted, everything under way goes on in the workers."""
    with TrainingProgress(training, console) as progress:
        while True:
            training.refresh_from_db()
            if training.state not in OPEN:
                return
            progress.update()
            time.sleep(_POLL_SECONDS)


def _option(name: str) -> str:
    return "-k" if name == "documents_wanted" else f"--{name.replace('_', '-')}"
