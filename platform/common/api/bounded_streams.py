"""Answers that hold a thread of the server while they are sent: so many of a kind at once in a process."""

import threading
from collections.abc import Iterable
from typing import Any

from django.http import StreamingHttpResponse

from common.api.problems import Problem

_RETRY_SECONDS = 5


class Place:
    """Room for one answer, or for the work on one, until it is given back."""

    def __init__(self, room: threading.Semaphore) -> None:
        self._room: threading.Semaphore | None = room

    def release(self) -> None:
        """Give the place back. Doing so again changes nothing."""
        room, self._room = self._room, None
        if room is not None:
            room.release()


class Places:
    """`most` places of one kind; `busy` tells a client that all are taken."""

    def __init__(self, most: int, *, busy: str) -> None:
        self._room = threading.BoundedSemaphore(most)
        self._busy = busy

    def take(self) -> Place:
        """One of them; raises `Problem` 503 `busy` where none is left."""
        if not self._room.acquire(blocking=False):
            raise Problem(503, "busy", self._busy, headers={"Retry-After": str(_RETRY_SECONDS)})
        return Place(self._room)


class BoundedStream(StreamingHttpResponse):
    """The answer that sends `content` piece by piece, and gives `place` back when it is closed."""

    def __init__(self, content: Iterable[bytes], *, place: Place, **options: Any) -> None:
        super().__init__(content, **options)
        self._place = place

    def close(self) -> None:
        self._place.release()
        super().close()
