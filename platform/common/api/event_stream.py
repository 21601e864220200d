"""Server-sent events: one answer that tells what happens as it happens."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.conf import settings
from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer

from common.api.bounded_streams import BoundedStream, Place, Places

MEDIA_TYPE: Final = "text/event-stream"
_CONTENT_TYPE: Final = f"{MEDIA_TYPE}; charset=utf-8"
DESCRIBED: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Each event of the stream.",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "A JSON object."},
    },
}
"""For the API's description: what a client reads off such a stream, one after the other."""
# A comment, which clients ignore. Sent while nothing happens, so that nobody between takes the connection for dead.
KEEP_ALIVE: Final = b": still here\n\n"
KEEP_ALIVE_SECONDS: Final = 15.0


class EventStreamRenderer(JSONRenderer):
    """Lets a view accept `Accept: text/event-stream`. Its problems are documents as everywhere.

    A view of events has `renderer_classes = [EventStreamRenderer, JSONRenderer]`.
    """

    media_type = MEDIA_TYPE
    format = "events"


def event(name: str, data: Any, *, event_id: str | int | None = None) -> bytes:
    r"""One event as it goes over the wire.

    >>> event("state", {"state": "done"}, event_id=3)
    b'id: 3\nevent: state\ndata: {"state":"done"}\n\n'
    """
    head = "" if event_id is None else f"id: {event_id}\n"
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"{head}event: {name}\ndata: {text}\n\n".encode()


EVENT_STREAMS: Final = Places(
    settings.API_EVENT_STREAMS, busy="As many event streams are open as this server takes. Try again."
)


class EventStream(BoundedStream):
    """The answer that sends `events`, each made by `event` or `KEEP_ALIVE`, as they come.

    A generator given here is closed when the client has gone, at the next event at the latest. Each stream holds a
    thread of the server, so a process has `API_EVENT_STREAMS` of them at most. Raises `Problem` 503 beyond that. Who
    must know before anything is done takes a `place` of `EVENT_STREAMS` first.
    """

    def __init__(self, events: Iterable[bytes], *, place: Place | None = None) -> None:
        super().__init__(_at_once(events), place=place or EVENT_STREAMS.take(), content_type=_CONTENT_TYPE)
        self.headers["Cache-Control"] = "no-store"
        # nginx would collect events before it hands them on.
        self.headers["X-Accel-Buffering"] = "no"


class NoEvents(HttpResponse):
    """The answer to HEAD where GET is answered with an `EventStream`."""

    def __init__(self) -> None:
        super().__init__(content_type=_CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _at_once(events: Iterable[bytes]) -> Iterator[bytes]:
    """The answer's head goes out with its first bytes, so these do not wait for the first event."""
    yield b":\n\n"
    yield from events
