"""One POST to a URL that a client has named: to a checked address, within a time that nothing can stretch.

The name is looked up once, and the connection goes to the address that was checked (a second lookup might lead
elsewhere). The certificate is checked for the name all the same. Redirects are answers like any other.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from common.addresses import CONNECT_SECONDS, Address, AddressRefused, NotResolved, Reach, Refused, Url, addresses_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TOTAL_SECONDS: Final = 10.0
# What is read of an answer's body, so that whoever writes one is not cut off. Nobody looks at it.
_BODY_BYTES: Final = 4_096


@dataclass(frozen=True)
class Answer:
    """What came of a request: the status, or why there is none."""

    status: int | None
    error: str = ""
    """A word that stays: "timeout", "not-connected", "certificate", "tls", "not-resolved", "address-refused",
    "url-refused" or "no-answer"."""


def post(url: Url, *, body: bytes, headers: Mapping[str, str], reach: Reach) -> Answer:
    """Send `body`, and wait for the status; never raises for what the other side does.

    Names are looked up and connections made within `CONNECT_SECONDS` each, all of it ends after `TOTAL_SECONDS`.
    """
    deadline = _Deadline(TOTAL_SECONDS)
    try:
        addresses = addresses_of(url, reach=reach, timeout_seconds=deadline.at_most(CONNECT_SECONDS))
        with _connected(url, addresses, deadline) as connection:
            return Answer(_exchange(connection, url, body, headers, deadline))
    except NotResolved:
        return Answer(None, "not-resolved")
    except AddressRefused:
        return Answer(None, "address-refused")
    except Refused:
        return Answer(None, "url-refused")
    except TimeoutError:
        return Answer(None, "timeout")
    except ssl.SSLCertVerificationError:
        return Answer(None, "certificate")
    except ssl.SSLError:
        return Answer(None, "tls")
    except _NotConnected:
        return Answer(None, "not-connected")
    except (OSError, http.client.HTTPException, ValueError):
        return Answer(None, "no-answer")


class _NotConnected(OSError):
    """No address took the connection."""


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds left; raises TimeoutError where there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def at_most(self, seconds: float) -> float:
        """`seconds`, or what is left of the whole."""
        return min(seconds, self.left())


class _Incoming(io.RawIOBase):
    """What comes from a socket until the deadline: a timeout of the socket's own begins anew with each byte."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What `http.client` reads from."""
        return io.BufferedReader(self)


def _connected(url: Url, addresses: list[Address], deadline: _Deadline) -> socket.socket:
    connecting = _Deadline(deadline.at_most(CONNECT_SECONDS))
    connection = _first_connection([str(address) for address in addresses], url.port, connecting)
    if url.scheme == "http":
        return connection
    try:
        connection.settimeout(connecting.left())
        # The handshake's timeout is one for all of it.
        return _tls().wrap_socket(connection, server_hostname=url.host)
    except BaseException:
        connection.close()
        raise


def _first_connection(hosts: list[str], port: int, deadline: _Deadline) -> socket.socket:
    """A connection to the first of them that takes one; each has its share of the time that is left."""
    failed: OSError = _NotConnected()
    for at, host in enumerate(hosts):
        try:
            return socket.create_connection((host, port), timeout=deadline.left() / (len(hosts) - at))
        except TimeoutError as error:
            failed = error
        except OSError:
            failed = _NotConnected()
    raise failed


@cache
def _tls() -> ssl.SSLContext:
    """Certificates as the machine trusts them; `SSL_CERT_FILE` and `SSL_CERT_DIR` count."""
    return ssl.create_default_context()


def _exchange(connection: socket.socket, url: Url, body: bytes, headers: Mapping[str, str], deadline: _Deadline) -> int:
    connection.settimeout(deadline.left())
    client = http.client.HTTPConnection(url.host, url.port)
    client.auto_open = 0
    client.sock = connection
    own = {"Host": url.authority, "Connection": "close", "Accept": "*/*"}
    client.request("POST", url.target, body=body, headers={**own, **headers})
    answer = http.client.HTTPResponse(cast(socket.socket, _Incoming(connection, deadline)), method="POST")
    answer.begin()
    # The status is what counts.
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        answer.read(_BODY_BYTES)
    return answer.status
