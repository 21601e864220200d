"""What a workspace has, counted in the tables themselves."""

from django.db.models import F, Func, Sum, TextField
from django.db.models.functions import Cast

from training_app.models import Adapter, Generation
from users_app.models import Document, Quota, Usage, Workspace


def counted(workspace: Workspace) -> dict[str, int]:
    """As the tables have it. Generations are those that are still there."""
    documents = Document.objects.filter(end_user__workspace=workspace)
    adapters = Adapter.objects.filter(end_user__workspace=workspace, withdrawn_at=None)
    generations = Generation.objects.filter(end_user__workspace=workspace, kind="answer").exclude(asked_method="")
    size = Func(Cast(F("fields"), TextField()), function="octet_length")
    text = documents.aggregate(sum=Sum(size))["sum"] or 0
    files = adapters.aggregate(sum=Sum("size_bytes"))["sum"] or 0
    return {
        Quota.DOCUMENTS: documents.count(),
        Quota.ADAPTERS: adapters.count(),
        Quota.BYTES: int(text + files),
        Quota.GENERATIONS_A_DAY: generations.count(),
    }


def summed(workspace: Workspace) -> dict[str, int]:
    """As usage has it, over all days."""
    sums = Usage.objects.filter(workspace_id=workspace.pk).order_by().values_list("what").annotate(Sum("amount"))
    return {**dict.fromkeys(Quota.values, 0), **{what: int(amount) for what, amount in sums}}
