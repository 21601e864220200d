"""A network that breaks: a way to a server that is cut for good after so many bytes."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from embedded.ports import HOST

_WITHOUT_END = 1 << 62


@contextlib.contextmanager
def cut_after(endpoint: str, *, sent_bytes: int = _WITHOUT_END, received_bytes: int = _WITHOUT_END) -> Iterator[str]:
    """The address of a way to `endpoint`. Once more bytes than these have gone it is cut, and no other opens."""
    target = urlsplit(endpoint)
    left = {"sent": sent_bytes, "received": received_bytes}
    guard = threading.Lock()
    listener = socket.create_server((HOST, 0))

    def carry(direction: str, source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with guard:
                    left[direction] -= len(data)
                    cut = left[direction] < 0
                if cut:
                    break
                to.sendall(data)
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                if min(left.values()) < 0:
                    client.close()
                    continue
                server = socket.create_connection((target.hostname or HOST, target.port or 80))
                for way in (("sent", client, server), ("received", server, client)):
                    threading.Thread(target=carry, args=way, daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        listener.close()
