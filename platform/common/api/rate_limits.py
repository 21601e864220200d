"""How many requests a minute somebody may make, counted in Redis so that all web processes count together.

Where Redis is away everyone is let through: an API that stands still would be worse than one that counts nobody.
"""

import functools
import logging
import math
import time
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from common.api.problems import Problem
from common.described import describe

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = 0.25
# While Redis is away nobody waits for it but one request so often.
_PAUSE_SECONDS: Final = 5.0
_away_until = 0.0


@dataclass(frozen=True)
class Allowance:
    """What is left to somebody: of how many requests a minute how many, and the seconds until there is more."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """As every answer tells it."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


def count_request(who: str, *, per_minute: int) -> Allowance | None:
    """Count a request of `who`; what is left to them, or None where nobody is counted now.

    Raises `Problem` 429 where they have made `per_minute` within a minute (a sliding one, estimated from two counts).
    """
    global _away_until
    if time.monotonic() < _away_until:
        return None
    item = RateLimitItemPerMinute(per_minute, namespace="lamppost-api")
    try:
        limiter = _limiter(settings.API_RATE_LIMIT_STORAGE)
        allowed = limiter.hit(item, who)
        stats = limiter.get_window_stats(item, who)
    except (StorageError, RedisError, OSError) as error:
        _away_until = time.monotonic() + _PAUSE_SECONDS
        logger.error("requests are not counted, since Redis is away: %s", describe(error).type)
        return None
    left = Allowance(per_minute, int(stats.remaining), max(0, math.ceil(stats.reset_time - time.time())))
    if allowed:
        return left
    wait = max(1, left.reset_seconds)
    raise Problem(
        429,
        "rate-limited",
        f"This key may make {per_minute} requests a minute. Try again in {wait} s.",
        headers={**left.headers(), "Retry-After": str(wait)},
    )


@functools.cache
def _limiter(address: str) -> SlidingWindowCounterRateLimiter:
    options = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
    return SlidingWindowCounterRateLimiter(storage_from_string(address, **options))
