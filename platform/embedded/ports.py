"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket

from embedded.errors import StackError

HOST = "127.0.0.1"

# Below the range from which systems take the ports of outgoing connections, so that a stopped server's port is
# still free when it is started again.
_RANGE = range(15_000, 32_000)


def is_free(port: int, *, host: str = HOST) -> bool:
    """True if a server could listen on `port` of `host` now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port with connections in TIME_WAIT is free to listen on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None, *, host: str = HOST) -> int:
    """`preferred` if nobody listens there, else some free port."""
    if preferred is not None and is_free(preferred, host=host):
        return preferred
    dice = random.SystemRandom()
    for port in (dice.choice(_RANGE) for _ in range(200)):
        if is_free(port, host=host):
            return port
    raise StackError(f"No free port was found on {host} among {len(_RANGE)}. Is {host} an address of this machine?")
