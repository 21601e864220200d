"""The official client of OpenAI's API, talking to this process's own application."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from openai import OpenAI


def openai_client(token: str, **options: Any) -> OpenAI:
    """A client with that key. It tries nothing twice, so that a test sees the first answer."""
    return OpenAI(
        base_url="http://localhost/v1",
        api_key=token,
        http_client=httpx2.Client(transport=httpx2.WSGITransport(app=_application)),
        **{"max_retries": 0, **options},
    )


def _application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    # Whole, since only so is the signal at a stream's end among those that are kept from the test's connection.
    with _one_connection():
        response = get_wsgi_application()(environ, start_response)
        try:
            return list(response)
        finally:
            response.close()


@contextmanager
def _one_connection() -> Iterator[None]:
    """A request ends with its connection, which here is the test's and holds its transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)
