"""Files of predictions in the form of LaMP's outputs, one file a task (LaMP reference §2)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lamp.golds import read_predictions
from lamp.tasks import Task

__all__ = ["read_predictions", "write_predictions"]

# The benchmark knows both versions of LaMP-2 by one name.
_NAME_IN_THE_BENCHMARK = {"LaMP-2N": "LaMP_2"}


def write_predictions(path: str | os.PathLike[str], *, task: Task, predictions: Iterable[tuple[str | int, str]]) -> int:
    """Write `{"task", "golds": [{"id", "output"}]}` in the order given, ids as str or int as given; return how many.

    Nothing is held in memory, and the file appears whole or not at all.
    """
    target = Path(path)
    written = 0
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as file:
        try:
            file.write(f'{{"task": {json.dumps(_NAME_IN_THE_BENCHMARK.get(task.key, task.file_key))}, "golds": [')
            for question_id, output in predictions:
                file.write((",\n" if written else "\n") + json.dumps({"id": question_id, "output": output}))
                written += 1
            file.write("\n]}\n")
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
    return written
