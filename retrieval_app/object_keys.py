"""Where trained models lie in the object store: spread by hash, and named by no person."""

from typing import Final

TRAINED_MODELS: Final = "trained-models"


def trained_model_prefix(*, identity: str, digest: str) -> str:
    """A trained model's files: by their content too, so that no other training can overwrite them.

    >>> trained_model_prefix(identity="ab12", digest="c4")
    'trained-models/ab/ab12/c4/'
    """
    return f"{TRAINED_MODELS}/{identity[:2]}/{identity}/{digest}/"
