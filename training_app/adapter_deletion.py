"""Deleting an adapter at its owner's wish: the row and the files, not what was answered with it."""

import logging
from typing import Final

from django.db import transaction

from common.objects import ObjectStoreError, get_store
from jobs.models import UNFINISHED, Job
from training_app.adapters import job_key
from training_app.models import Adapter, Generation

logger = logging.getLogger(__name__)

_SHOWN: Final = 5


class AdapterInUse(Exception):
    """Generations that were asked of the adapter are not answered yet."""


def delete_adapter(*, adapter: Adapter) -> None:
    """Delete `adapter`, its files included; texts that it has written stay, and name it no longer.

    Raises `AdapterInUse` while an output is being made with it.
    """
    with transaction.atomic():
        Adapter.objects.select_for_update().filter(pk=adapter.pk).first()
        own = Generation.objects.filter(adapter=adapter)
        waiting = list(own.filter(finished_at__isnull=True).values_list("pk", flat=True)[:_SHOWN])
        if waiting:
            raise AdapterInUse(f"Generations still use adapter {adapter.pk}: {', '.join(map(str, waiting))}.")
        own.update(adapter=None)
        Adapter.objects.filter(pk=adapter.pk).delete()
        transaction.on_commit(lambda: _delete_files(adapter), robust=True)


def _delete_files(adapter: Adapter) -> None:
    """Delete the files unless others stand for them or will; what stays for now, the sweep deletes within a day."""
    others = Adapter.objects.filter(object_prefix=adapter.object_prefix, withdrawn_at__isnull=True)
    under_way = Job.objects.filter(dedupe_key=job_key(adapter.identity), state__in=UNFINISHED)
    if others.exists() or under_way.exists():
        return
    try:
        get_store().delete_prefix(adapter.object_prefix)
    except ObjectStoreError as problem:
        logger.warning("files of adapter %d stay for now: %s", adapter.pk, type(problem).__name__)
