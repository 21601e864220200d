"""How far a backup or a restore is, on the console."""

import time
from typing import Any, Final

_EVERY_SECONDS: Final = 2.0


class Progress:
    """Writes a line when something else begins, and every other second while it lasts."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._what = ""
        self._next = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what == self._what and now < self._next:
            return
        self._what, self._next = what, now + _EVERY_SECONDS
        share = f": {done:,} of {total:,} bytes" if total else f": {done:,} bytes" if done else ""
        self._output.write(f"{what}{share} …")
