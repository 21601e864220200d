"""Which addresses of other machines a request of ours may go to: none that lead back into our own network.

A client names a URL, and this installation asks it from where it stands, behind its firewalls. So only addresses that
are global are asked, and those networks that whoever runs the installation has named.
"""

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MOST_CHARACTERS: Final = 2_000
CONNECT_SECONDS: Final = 5.0
"""How long a lookup, and then a connection, may take."""
_MOST_IN_A_HOST: Final = 253
_LABEL: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_PORTS: Final = {"https": 443, "http": 80}

# Of IPv6 this part alone is handed out to machines of the internet. It leaves out, among others, all that stand for an
# IPv4 address behind a gateway (::/96, 64:ff9b::/96), which would have to be unwrapped as that gateway does it.
_UNICAST_IPV6: Final = IPv6Network("2000::/3")
# Special all the same, which Python's own list knows in part, more of it with each version: protocols' own networks,
# the 6to4 relays, Teredo, 6to4 (both stand for IPv4 addresses) and the younger network of documentation.
_SPECIAL: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")))
# Lookups cannot be ended: so many may be under way in a process, each in a thread that the lookup's end ends.
_lookups = threading.BoundedSemaphore(32)


class Refused(ValueError):
    """The URL is not one that is asked; the remedy says what to do. Neither quotes it."""

    safe_message = True

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class AddressRefused(Refused):
    """The host's address is none that may be asked."""


class NotResolved(Refused):
    """The host's name leads to no address now."""


@dataclass(frozen=True)
class Reach:
    """What an installation lets requests go to, beside what is global and asked by https."""

    networks: Sequence[Network] = ()
    """There http will do as well."""
    plain_http: bool = False
    """Whether http will do everywhere."""


@dataclass(frozen=True)
class Url:
    """An http(s) URL in its parts: as it was checked, so it is asked."""

    scheme: str
    host: str
    """A name, or an address without brackets."""
    port: int
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(text: str) -> Url:
    """The parts of `text`. Raises `Refused` for what is no http(s) URL, or one that programs read differently."""
    if len(text) > MOST_CHARACTERS:
        raise Refused(f"This has more than {MOST_CHARACTERS:,} characters.", "Send a shorter URL.")
    if not text or any(not "!" <= character <= "~" for character in text) or "\\" in text:
        raise Refused(
            "This is no URL: it holds a blank, a backslash or a character beyond ASCII.",
            "Percent-encode the path, and write the host's name as IDNA does (xn--…).",
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Refused("This is no URL.", "Send one such as https://example.com/hooks.") from None
    if parts.scheme not in _PORTS:
        raise Refused("This is no https URL.", "Send one such as https://example.com/hooks.")
    if "@" in parts.netloc:
        raise Refused("This holds a user name or a password.", "Leave them out: the signature says who is asking.")
    if "#" in text:
        raise Refused("This has a fragment, which is never sent.", "Leave out “#” and what follows.")
    if not _is_host(host) or port == 0:
        raise Refused("This names no host.", "Send one such as https://example.com/hooks.")
    path = parts.path or "/"
    return Url(parts.scheme, host, port or _PORTS[parts.scheme], f"{path}?{parts.query}" if parts.query else path)


def addresses_of(url: Url, *, reach: Reach, timeout_seconds: float) -> list[Address]:
    """Where `url` leads now, all of it checked: whoever connects to these connects to what was checked.

    Raises `NotResolved` where the name has no address or its servers keep silent, `AddressRefused` where one of its
    addresses is none that may be asked, and `Refused` for http where only https will do.
    """
    found = _resolved(url.host, timeout_seconds)
    if not all(may_be_asked(address, networks=reach.networks) for address in found):
        raise AddressRefused(
            "The host's address is none of the public internet.",
            "Send a URL whose host is public, or have its network added to WEBHOOK_ALLOWED_NETWORKS.",
        )
    if url.scheme == "http" and not reach.plain_http and not all(_within(one, reach.networks) for one in found):
        raise Refused("This is no https URL.", "Send one that begins with https://.")
    return found


def may_be_asked(address: Address, *, networks: Sequence[Network] = ()) -> bool:
    """Whether the address is global, of one machine, or in one of these networks.

    >>> [may_be_asked(ip_address(text)) for text in ("93.184.216.34", "10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::")]
    [True, False, False, False]
    """
    plain = _unmapped(address)
    if _within(plain, networks):
        return True
    if any(plain in network for network in _SPECIAL):
        return False
    if isinstance(plain, IPv6Address) and plain not in _UNICAST_IPV6:
        return False
    return plain.is_global and not (plain.is_multicast or plain.is_reserved)


def _within(address: Address, networks: Sequence[Network]) -> bool:
    plain = _unmapped(address)
    return any(plain in network for network in networks)


def _unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped IPv6 one is; another one as it is."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return IPv6Address(host).scope_id is None
        except ValueError:
            return False
    return 0 < len(host) <= _MOST_IN_A_HOST and _LABEL.issuperset(host) and not host.startswith(".")


def _resolved(host: str, timeout_seconds: float) -> list[Address]:
    unknown = NotResolved("The host's name leads to no address.", "Check the name, and whether it is known outside.")
    silent = NotResolved("The host's name could not be looked up in time.", "Try again later.")
    answers: list[list[Address]] = []
    lookups = _lookups

    def look_up() -> None:
        try:
            # Numbers in odd forms (0x7f.1, 2130706433) are read here too, and by nobody else after it.
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answers.append(list(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found)))
        except (OSError, ValueError):
            answers.append([])
        finally:
            lookups.release()

    if not lookups.acquire(timeout=timeout_seconds):
        raise silent
    thread = threading.Thread(target=look_up, name="lookup", daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if not answers:
        raise silent
    if not answers[0]:
        raise unknown
    return answers[0]
