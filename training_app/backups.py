"""What backups need to know of adapters: which files they have."""

from collections.abc import Collection, Iterator

from django.db.models.functions import Now

from common.backups.contributions import Contribution, NamedObjects
from training_app.models import Adapter

_CHUNK = 5_000


def _objects() -> Iterator[NamedObjects]:
    # Checkpoints of unfinished trainings stay behind: they change under way, and a training does without them.
    usable = Adapter.objects.filter(withdrawn_at__isnull=True)
    for prefix, digest in usable.values_list("object_prefix", "content_digest").iterator(_CHUNK):
        yield NamedObjects(prefix, digest=digest)


def _withdraw(prefixes: Collection[str]) -> int:
    """As `withdraw_adapter`: whoever needs one has it trained anew."""
    lost = Adapter.objects.filter(object_prefix__in=prefixes, withdrawn_at__isnull=True)
    return lost.update(withdrawn_at=Now())


CONTRIBUTION = Contribution(name="training_app", objects=_objects, withdraw=_withdraw)
