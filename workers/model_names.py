"""What a name of a model stands for: the small ones in the repo, a folder, or a hub name."""

from pathlib import Path
from typing import NamedTuple

from retrieval_app.retrievers import RSPG_POST, RSPG_PRE
from workers import small_models
from workers.small_models import SMALL_ENCODER, SMALL_T5

SMALL = "small"
TRAINED = "trained/"
"""With it begins the name of an encoder that was fine-tuned here; the identity of its `TrainedModel` follows."""


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


def shipped_selector_folder(kind: str) -> Path | None:
    """The selector of this kind that came with Lamppost, for the small base model; None where none did."""
    folders = {RSPG_PRE: small_models.SMALL_SELECTOR_PRE, RSPG_POST: small_models.SMALL_SELECTOR_POST}
    folder = folders.get(kind)
    return folder if folder is not None and folder.is_dir() else None


def _source(name: str, *, small: Path) -> Source:
    if name == SMALL:
        # Recorded as "small": a worker elsewhere has the same folder in another place.
        return Source(str(small), None, SMALL)
    if Path(name).is_dir():
        folder = str(Path(name).resolve())
        return Source(folder, None, folder)
    location, at, revision = name.rpartition("@")
    return Source(location, revision, location) if at and location else Source(name, None, name)
