"""What a name of a base model or encoder stands for: the small ones in the repo, a folder, or a hub name."""

from pathlib import Path
from typing import NamedTuple

from workers.small_models import SMALL_ENCODER, SMALL_T5

SMALL = "small"


class Source(NamedTuple):
    """Where a model is loaded from, the hub revision asked for, and the name it is recorded by."""

    location: str
    revision: str | None
    name: str


def base_model_source(name: str) -> Source:
    """The place of the base model `name`: "small", a folder, or "NAME[@REVISION]" on the hub."""
    return _source(name, small=SMALL_T5)


def encoder_source(name: str) -> Source:
    """The place of the encoder `name`: "small", a folder, or "NAME[@REVISION]" on the hub."""
    return _source(name, small=SMALL_ENCODER)


def _source(name: str, *, small: Path) -> Source:
    if name == SMALL:
        # Recorded as "small": a worker elsewhere has the same folder in another place.
        return Source(str(small), None, SMALL)
    if Path(name).is_dir():
        folder = str(Path(name).resolve())
        return Source(folder, None, folder)
    location, at, revision = name.rpartition("@")
    return Source(location, revision, location) if at and location else Source(name, None, name)
