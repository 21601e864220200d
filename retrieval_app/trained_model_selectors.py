"""What pages and programs of a workspace see of the models that were trained over many end users."""

from django.db.models import Q, QuerySet

from retrieval_app.models import TrainedModel
from users_app.models import Workspace


def trained_models_of(*, workspace: Workspace) -> QuerySet[TrainedModel]:
    """Its own and those that came with Lamppost, also such as nobody uses any more; without what is long of them."""
    seen = Q(workspace=workspace) | Q(workspace__isnull=True)
    return TrainedModel.objects.filter(seen).defer("loss_curve", "versions", "hardware")


def trained_model_by_id(*, workspace: Workspace, trained_model_id: int) -> TrainedModel | None:
    """One of them with all that is known of it; None where there is none of that number."""
    found = trained_models_of(workspace=workspace).defer(None).select_related("encoder")
    return found.filter(pk=trained_model_id).first()
