"""What differs between the kinds of model training: a table that is filled at start, one entry a kind.

The state machine (`eval_app.model_trainings`) is the same for all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval_app.models import ModelTraining
from training_app.hyperparameters import Bounds


class TrainingRefused(ValueError):
    """What was asked for cannot be trained; the message says why and what to do. `about` names the field it is about.

    One of `kind`, `dataset`, `tasks`, `base_model`, `encoder`, `initial_model`, `pool`, `documents_wanted`,
    `hyperparameters`, `user_limit`, `shared_training`, `trained_model`, or "" where it is about the whole.
    """

    safe_message = True

    def __init__(self, message: str, *, about: str) -> None:
        super().__init__(message)
        self.about = about


class TrainingFailed(Exception):
    """A training that was begun cannot go on; the message, which holds no user's text, becomes its error."""

    safe_message = True


def _nothing(training: ModelTraining) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class TrainingKind:
    """How models of one kind are trained.

    `hyperparameters` are all that may be chosen, with their defaults and bounds. `settle` completes an unsaved training
    of which the members of its pool are named, or raises `TrainingRefused`. `feedback` is called again and again in the
    transaction that holds the training: it returns True when all of the base model's feedback stands, and otherwise has
    asked for what is missing (jobs of the training's origin, or experiments); it raises `TrainingFailed`. `forget` lets
    what was asked for before a failure be asked for anew, `stop` ends what would go on beside the jobs of the
    training's origin. `job_kind` names the job that trains, whose payload is {"training_id": id}.
    """

    hyperparameters: Mapping[str, Bounds]
    settle: Callable[[ModelTraining, Sequence[str]], None]
    feedback: Callable[[ModelTraining], bool]
    job_kind: str
    forget: Callable[[ModelTraining], None] = _nothing
    stop: Callable[[ModelTraining], None] = _nothing


_kinds: dict[str, TrainingKind] = {}


def register(kind: str, how: TrainingKind) -> None:
    """Let models of `kind` (of `TrainedModel.Kind`) be trained; another entry for the same kind is a ValueError."""
    if _kinds.setdefault(kind, how) is not how:
        raise ValueError(f"two ways to train {kind} are registered")


def how_to_train(kind: str) -> TrainingKind:
    """The entry of `kind`. Raises `TrainingRefused` where there is none."""
    if kind not in _kinds:
        raise TrainingRefused(f"There is no training of “{kind[:60]}”; there are {', '.join(_kinds)}.", about="kind")
    return _kinds[kind]


def complete(kind: str, chosen: Mapping[str, Any]) -> dict[str, int | float]:
    """All hyperparameters of a training of `kind`: `chosen`, else the defaults. Raises `TrainingRefused`."""
    bounds = how_to_train(kind).hyperparameters
    for name, value in chosen.items():
        if name not in bounds:
            raise TrainingRefused(
                f"“{name[:60]}” is no hyperparameter of {kind}; choose among {', '.join(bounds)}.",
                about="hyperparameters",
            )
        problem = bounds[name].problem_of(value)
        if problem is not None:
            raise TrainingRefused(f"{name} {problem}; write {bounds[name].described}.", about="hyperparameters")
    return {name: (int if bound.whole else float)(chosen.get(name, bound.default)) for name, bound in bounds.items()}
