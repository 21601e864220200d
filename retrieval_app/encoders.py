"""Which encoder dense retrieval uses where nobody names one; the process that asks needs no torch for it."""

from pathlib import Path

from django.conf import settings

from retrieval_app.models import Encoder

# The models kept in the repo, which go together.
_SMALL = "small"


def default_encoder_name() -> str:
    """The name of the encoder that goes with the installation's base model."""
    return _SMALL if settings.DEFAULT_BASE_MODEL == _SMALL else settings.DEFAULT_ENCODER


def default_initial_selector(base_model: str) -> str:
    """The name of the encoder from which the training of a selector for a base model of that name begins."""
    return _SMALL if base_model == _SMALL else settings.DEFAULT_SELECTOR_ENCODER


def default_encoder() -> Encoder | None:
    """The newest revision of it that a worker has loaded; None where none has been so far."""
    return encoder_named(default_encoder_name())


def encoder_named(name: str) -> Encoder | None:
    """The newest revision of what `name` stands for that a worker has loaded; None where none has been so far."""
    # A folder is recorded by its whole path, a model of the hub without the revision that was asked for.
    names = [name, str(Path(name).resolve()), name.rpartition("@")[0]]
    return Encoder.objects.filter(name__in=names).order_by("-pk").first()
