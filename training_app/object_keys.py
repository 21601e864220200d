"""Where adapters and unfinished trainings lie in the object store: spread by hash, and named by no person."""

from typing import Final

ADAPTERS: Final = "adapters"
CHECKPOINTS: Final = "checkpoints"


def adapter_prefix(*, identity: str, digest: str) -> str:
    """An adapter's files: by their content too, so that no other training can overwrite them."""
    return f"{ADAPTERS}/{identity[:2]}/{identity}/{digest}/"


def versions_prefix(*, identity: str) -> str:
    """All files of adapters of that identity, recorded or not."""
    return f"{ADAPTERS}/{identity[:2]}/{identity}/"


def checkpoint_prefix(*, identity: str) -> str:
    """All that is kept of trainings of that adapter while they are under way."""
    return f"{CHECKPOINTS}/{identity[:2]}/{identity}/"


def identity_of(key: str) -> str:
    """The adapter that an object belongs to.

    >>> identity_of(checkpoint_prefix(identity="ab12") + "000000003-c4")
    'ab12'
    """
    return key.split("/")[2]


def is_of_adapter(key: str) -> bool:
    """Whether an object lies where one of an adapter does: below a folder of its identity.

    >>> is_of_adapter("checkpoints/notes.txt")
    False
    """
    return key.count("/") >= 3
