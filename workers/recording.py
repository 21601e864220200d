"""The job that loads the installation's default models and records them, so that clients can name them."""

from collections.abc import Sequence

from django.conf import settings

from jobs.batches import ClaimedJob
from retrieval_app.encoders import default_encoder_name
from training_app.base_models import default_dtype
from workers import loaded
from workers.engine.sources import ModelUnavailable
from workers.shipped_selectors import record_shipped_selectors


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Record the default base model, the encoder that goes with it and the selectors that came for it, as of today.

    Without the encoder everything but dense retrieval works, so one that cannot be reached is only noted.
    """
    for job in jobs:
        with job.isolated():
            base_model = loaded.record_base_model(settings.DEFAULT_BASE_MODEL, dtype=default_dtype())
            recorded = {
                "base_model_id": base_model.pk,
                "encoder_id": _encoder_id(),
                "selector_ids": [selector.pk for selector in record_shipped_selectors(base_model)],
            }
            with job.finishing(result=recorded):
                pass


def _encoder_id() -> int | None:
    try:
        return loaded.record_encoder(default_encoder_name()).pk
    except ModelUnavailable:
        return None
