"""Whether the parts that the platform stands on answer, within a time that none of them can stretch.

Each app registers the parts that it knows when it starts. Each part is asked in a thread of its own; one that hangs is
left behind, and is not asked again before that thread has ended. So the answer comes in time whatever hangs, and
however often anybody asks, each part is asked once at a time, and once a second at most.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from django.conf import settings
from django.db import connections

from common.described import describe

logger = logging.getLogger(__name__)

# An answer of this age is given again: nobody needs a key to ask, so asking must cost little.
FRESH_SECONDS: Final = 1.0

State = Literal["up", "missing", "down", "timeout"]


@dataclass(frozen=True)
class Found:
    """What a part that answers says of itself; `missing` where something that it should have is not there.

    `details` go into a public answer: counts and names of ours, no addresses.
    """

    state: Literal["up", "missing"] = "up"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something the platform stands on. `ask` raises where it does not answer.

    Without a part that is `required` the platform is not ready; any other is reported alone.
    """

    name: str
    ask: Callable[[], Found]
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a part stands, and how long it took to say so."""

    name: str
    required: bool
    state: State
    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        return self.state == "up"


class Probe:
    """Asks one part, never twice at a time."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None
        self._begun_at = 0.0
        self._last: Standing | None = None
        self._last_at = float("-inf")
        self._logged: State = "up"

    def begin(self) -> None:
        """Ask, unless that is under way or was just done."""
        with self._lock:
            if self._asking is not None or time.monotonic() - self._last_at < FRESH_SECONDS:
                return
            self._asking = threading.Event()
            self._begun_at = time.monotonic()
            threading.Thread(target=self._ask, name=f"ask-{self.part.name}", daemon=True).start()

    def standing(self, *, until: float) -> Standing:
        """The answer, waited for until this moment of the monotonic clock."""
        with self._lock:
            asking, last = self._asking, self._last
        if asking is None:
            assert last is not None
            return last
        if asking.wait(max(0.0, until - time.monotonic())):
            with self._lock:
                assert self._last is not None
                return self._last
        return self._noted(self._standing("timeout"))

    def _ask(self) -> None:
        reason = ""
        try:
            found = self.part.ask()
            standing = self._standing(found.state, found.details)
        except Exception as error:  # noqa: BLE001 - whatever its client raises, the part does not answer
            standing, reason = self._standing("down"), describe(error).for_log()
        finally:
            connections.close_all()
        standing = self._noted(standing, reason)
        with self._lock:
            asking, self._asking = self._asking, None
            self._last, self._last_at = standing, time.monotonic()
        if asking is not None:
            asking.set()

    def _standing(self, state: State, details: Mapping[str, Any] | None = None) -> Standing:
        return Standing(
            name=self.part.name,
            required=self.part.required,
            state=state,
            seconds=time.monotonic() - self._begun_at,
            details=details or {},
        )

    def _noted(self, standing: Standing, reason: str = "") -> Standing:
        """`standing`, of which the log tells when it changes."""
        if standing.state != self._logged:
            self._logged = standing.state
            level = logging.INFO if standing.is_up else logging.WARNING
            logger.log(level, "%s is %s%s", standing.name, standing.state, f": {reason}" if reason else "")
        return standing


_probes: dict[str, Probe] = {}


def register(part: Part) -> None:
    """Ask this part too. The same again is fine, another one of the same name is a ValueError."""
    if _probes.setdefault(part.name, Probe(part)).part != part:
        raise ValueError(f"two parts are named {part.name}")


def standings(*, seconds: float | None = None) -> list[Standing]:
    """How every part stands, after READINESS_SECONDS at most unless told."""
    until = time.monotonic() + (settings.READINESS_SECONDS if seconds is None else seconds)
    probes = list(_probes.values())
    for probe in probes:
        probe.begin()
    return [probe.standing(until=until) for probe in probes]


def is_ready(parts: list[Standing]) -> bool:
    """Whether requests may be sent here."""
    return all(part.is_up for part in parts if part.required)
