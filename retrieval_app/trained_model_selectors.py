"""What pages and programs of a workspace see of the models that were trained over many end users."""

from typing import Final

from django.db.models import Q, QuerySet

from retrieval_app.models import TrainedModel
from retrieval_app.trained_models import lacks_an_encoder
from users_app.models import Workspace

READY: Final = "ready"
LACKS_ENCODER: Final = "lacks-encoder"
"""The pool of a selector names an encoder that was withdrawn, so that nothing uses it."""
WITHDRAWN: Final = "withdrawn"
STATES: Final = (READY, LACKS_ENCODER, WITHDRAWN)


def trained_models_of(*, workspace: Workspace) -> QuerySet[TrainedModel]:
    """Its own and those that came with Lamppost, also such as nobody uses any more; without what is long of them.

    `lacks_encoder` of each says whether it is in that state.
    """
    seen = Q(workspace=workspace) | Q(workspace__isnull=True)
    rows = TrainedModel.objects.filter(seen).defer("loss_curve", "versions", "hardware")
    return rows.annotate(lacks_encoder=lacks_an_encoder())


def in_state(rows: QuerySet[TrainedModel], state: str) -> QuerySet[TrainedModel]:
    """Those of `rows` that are in this one of `STATES`."""
    if state == WITHDRAWN:
        return rows.filter(withdrawn_at__isnull=False)
    standing = rows.filter(withdrawn_at__isnull=True)
    return standing.filter(lacks_an_encoder() if state == LACKS_ENCODER else ~lacks_an_encoder())


def trained_model_by_id(*, workspace: Workspace, trained_model_id: int) -> TrainedModel | None:
    """One of them with all that is known of it; None where there is none of that number."""
    found = trained_models_of(workspace=workspace).defer(None).select_related("encoder")
    return found.filter(pk=trained_model_id).first()
