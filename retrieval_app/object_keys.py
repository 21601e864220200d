"""Where trained models and their unfinished trainings lie in the object store: named by no person."""

from typing import Final

TRAINED_MODELS: Final = "trained-models"
MODEL_CHECKPOINTS: Final = "model-checkpoints"


def trained_model_prefix(*, identity: str, digest: str) -> str:
    """A trained model's files: by their content too, so that no other training can overwrite them.

    >>> trained_model_prefix(identity="ab12", digest="c4")
    'trained-models/ab/ab12/c4/'
    """
    return f"{TRAINED_MODELS}/{identity[:2]}/{identity}/{digest}/"


def checkpoints_prefix(*, training_id: int) -> str:
    """All that is kept of a training while it is under way, whatever it learns from.

    >>> checkpoints_prefix(training_id=12)
    'model-checkpoints/12/'
    """
    return f"{MODEL_CHECKPOINTS}/{training_id}/"
