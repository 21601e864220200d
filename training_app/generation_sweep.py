"""What beat's sweep does for generations that clients asked for: ends those whose jobs are over, forgets old ones."""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import CharField, Exists, OuterRef, Value
from django.db.models.functions import Cast, Concat, Now

from jobs.models import UNFINISHED, Job
from training_app.generations import ORIGIN, asked_by_clients, conclude_all
from training_app.models import Generation

_CHUNK: Final = 1_000
_CHUNKS_AT_ONCE: Final = 20


def conclude_forsaken() -> int:
    """End the generations that wait for an answer while no job for them waits or runs; how many there were."""
    origin = Concat(Value(f"{ORIGIN}:"), Cast(OuterRef("pk"), CharField()))
    # The last condition is the index's own.
    under_way = Exists(Job.objects.filter(origin=origin, state__in=UNFINISHED).exclude(origin=""))
    forsaken = asked_by_clients().filter(~under_way, state=Generation.State.ASKED)
    return conclude_all(list(forsaken.order_by("pk").values_list("pk", flat=True)[:_CHUNK]))


def forget_old_generations() -> int:
    """Delete what ended more than `GENERATION_RETENTION_DAYS` ago, in short transactions; how many rows that were."""
    if not settings.GENERATION_RETENTION_DAYS:
        return 0
    old = asked_by_clients().filter(finished_at__lt=Now() - timedelta(days=settings.GENERATION_RETENTION_DAYS))
    forgotten = 0
    for _ in range(_CHUNKS_AT_ONCE):
        ids = list(old.order_by("finished_at").values_list("pk", flat=True)[:_CHUNK])
        if not ids:
            break
        Generation.objects.filter(pk__in=ids).delete()
        forgotten += len(ids)
    return forgotten
