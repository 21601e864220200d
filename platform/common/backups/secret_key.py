"""Whether an installation has the SECRET_KEY with which a backup was made: the key itself is never in one."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

# Some tenths of a second: a key that people chose must not be found out by whoever has a backup.
_ROUNDS: Final = 400_000


def mark_of(secret_key: str, *, salt: bytes) -> str:
    """A mark that tells one key from another and gives neither away.

    >>> mark_of("a", salt=b"s") == mark_of("a", salt=b"s"), mark_of("a", salt=b"s") == mark_of("b", salt=b"s")
    (True, False)
    """
    return hashlib.pbkdf2_hmac("sha256", secret_key.encode(), b"lamppost backup" + salt, _ROUNDS).hex()


def is_known(mark: str, *, salt: bytes, secret_keys: Iterable[str]) -> bool:
    """Whether one of `secret_keys` has this mark."""
    return any(hmac.compare_digest(mark_of(key, salt=salt), mark) for key in secret_keys)
