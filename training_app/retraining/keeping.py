"""How many adapters of an end user stay to roll back to."""

from training_app.adapter_deletion import AdapterInUse, delete_adapter
from training_app.models import Adapter, Retraining


def delete_surpassed(retraining: Retraining, *, promoted: Adapter, keep: int) -> None:
    """Delete what retrainings made for the same end user, task and base model, but the `promoted` one and `keep`
    others: the one that served until now, and the newest.

    Adapters that somebody asked for stay, and so does one that an output is being made with, until the next promotion.
    """
    made = Retraining.objects.filter(
        end_user=retraining.end_user_id, task=retraining.task, base_model=retraining.base_model_id
    ).values("new_adapter")
    earlier = Adapter.objects.filter(pk__in=made).exclude(pk=promoted.pk).order_by("-pk")
    served_first = sorted(earlier, key=lambda adapter: adapter.pk != retraining.old_adapter_id)
    for adapter in served_first[keep:]:
        try:
            delete_adapter(adapter=adapter)
        except AdapterInUse:
            continue
