"""Progress bars of an experiment: one a task on a terminal, now and then a line elsewhere."""

import time
from collections import defaultdict
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from eval_app.models import Experiment
from eval_app.selectors import ColumnProgress, experiment_progress, questions_expected

_LINE_SECONDS = 15.0


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
            done, total = sum(column.done for column in columns), questions_expected(columns)
            self._progress.update(bar, completed=done, total=total, activity=_activity(columns))
        if not self._console.is_terminal and time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            columns = [column for own in by_task.values() for column in own]
            ended = sum(column.has_ended for column in columns)
            answers = sum(column.done for column in columns)
            line = f"{ended} of {len(columns)} runs have ended, {answers} questions answered"
            activity = _activity(columns)
            self._console.print(f"{line}; {activity}" if activity else line, highlight=False)


def _activity(columns: list[ColumnProgress]) -> str:
    busy = [column for column in columns if not column.has_ended and column.state != "pending"]
    # Trainings take longest, and say how far they are.
    busy.sort(key=lambda column: column.state != "preparing")
    return f"{busy[0].task} {busy[0].method}: {busy[0].activity}" if busy else ""
