"""How far a model training is, for whoever waits for it at a terminal."""

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status

from eval_app.model_trainings import training_job
from eval_app.models import Experiment, ModelTraining, Run
from eval_app.runs import TERMINAL

_LINE_SECONDS = 15.0


class TrainingProgress:
    """A context in which `update` shows what is under way: in one line on a terminal, now and then a line elsewhere."""

    def __init__(self, training: ModelTraining, console: Console) -> None:
        self._training = training
        self._console = console
        self._last_line = time.monotonic()
        self._status = Status("", console=console) if console.is_terminal else None

    def __enter__(self) -> "TrainingProgress":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def update(self) -> None:
        """Read how far it is and show it."""
        line = standing_of(self._training)
        if self._status is not None:
            self._status.update(line)
        elif time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            self._console.print(line, highlight=False)


def standing_of(training: ModelTraining) -> str:
    """What the training does now, in a few words."""
    if training.state != ModelTraining.State.TRAINING:
        experiments = [one for one in (training.train_experiment_id, training.dev_experiment_id) if one is not None]
        runs = Run.objects.filter(columns__experiment__in=experiments).distinct()
        wanted = Experiment.objects.filter(pk__in=experiments, columns__refusal="").values("columns").count()
        ended = runs.filter(state__in=TERMINAL).count()
        return f"gathering feedback: {ended} of {wanted} runs have ended" if wanted else "gathering feedback"
    job = training_job(training)
    return f"training: {job.progress_message or job.state}" if job is not None else "training"
