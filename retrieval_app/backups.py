"""What backups need to know of trained models: which files they have."""

from collections.abc import Collection, Iterator

from django.db.models.functions import Now

from common.backups.contributions import Contribution, NamedObjects
from retrieval_app.models import TrainedModel


def _objects() -> Iterator[NamedObjects]:
    # Those without a prefix came with Lamppost.
    usable = TrainedModel.objects.filter(withdrawn_at__isnull=True).exclude(object_prefix="")
    for prefix, digest in usable.values_list("object_prefix", "content_digest"):
        yield NamedObjects(prefix, digest=digest)


def _withdraw(prefixes: Collection[str]) -> int:
    lost = TrainedModel.objects.filter(object_prefix__in=prefixes, withdrawn_at__isnull=True)
    return lost.update(withdrawn_at=Now())


CONTRIBUTION = Contribution(name="retrieval_app", objects=_objects, withdraw=_withdraw)
