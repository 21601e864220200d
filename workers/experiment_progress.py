"""Progress bars of an experiment: one a task on a terminal, now and then a line elsewhere."""

import time
from collections import defaultdict
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from eval_app.models import Experiment
from eval_app.selectors import ColumnProgress, experiment_progress

_LINE_SECONDS = 15.0
_ENDED = {"done", "failed", "cancelled", "refused"}


class ExperimentProgress:
    """A context in which `update` shows how far the experiment is."""

    def __init__(self, experiment: Experiment, console: Console) -> None:
        self._experiment = experiment
        self._console = console
        self._last_line = time.monotonic()
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[activity]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "ExperimentProgress":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self) -> None:
        """Read how far it is and show it."""
        by_task: dict[str, list[ColumnProgress]] = defaultdict(list)
        for column in experiment_progress(experiment=self._experiment):
            by_task[column.task].append(column)
        for task, columns in by_task.items():
            if task not in self._bars:
                self._bars[task] = self._progress.add_task(task, activity="")
            bar = self._bars[task]
            done, total = sum(column.done for column in columns), _expected(columns)
            self._progress.update(bar, completed=done, total=total, activity=_activity(columns))
        if not self._console.is_terminal and time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            columns = [column for own in by_task.values() for column in own]
            ended = sum(column.state in _ENDED for column in columns)
            answers = sum(column.done for column in columns)
            line = f"{ended} of {len(columns)} runs have ended, {answers} questions answered"
            activity = _activity(columns)
            self._console.print(f"{line}; {activity}" if activity else line, highlight=False)


def _expected(columns: list[ColumnProgress]) -> int:
    """Questions to answer in all; a column that still waits for its run will have as many as the others."""
    most = max((column.total for column in columns), default=0)
    return sum(column.total or (most if column.state not in _ENDED else 0) for column in columns)


def _activity(columns: list[ColumnProgress]) -> str:
    busy = [column for column in columns if column.state not in _ENDED | {"pending"}]
    # Trainings take longest, and say how far they are.
    busy.sort(key=lambda column: column.state != "preparing")
    return f"{busy[0].task} {busy[0].method}: {busy[0].activity}" if busy else ""
