"""On record, the selectors that came with Lamppost: every workspace may use them, and no end user took part in them."""

from collections.abc import Mapping
from typing import Any

from django.db.models.functions import Now

from retrieval_app.models import TrainedModel


def record_shipped_model(*, digest: str, fields: Mapping[str, Any]) -> TrainedModel:
    """The record of a model that came with Lamppost, made if it is new. It is named by its folder's digest."""
    made, _ = TrainedModel.objects.get_or_create(
        workspace=None,
        identity=digest,
        withdrawn_at=None,
        defaults={**fields, "content_digest": digest},
    )
    return made


def withdraw_shipped_models_before(standing: TrainedModel) -> int:
    """Withdraw the records of the models of the same kind that came with another version of Lamppost than `standing`
    did: their files are gone. How many.
    """
    shipped = TrainedModel.objects.filter(workspace__isnull=True, object_prefix="", withdrawn_at__isnull=True)
    return shipped.filter(kind=standing.kind).exclude(pk=standing.pk).update(withdrawn_at=Now())
