"""What beat's sweep deletes of model trainings from the object store: files that no row stands for any more.

A job deletes its checkpoints when it ends. Those of a process that died, of a training that was cancelled while it
waited, of a workspace or dataset that is gone, are found here. A model's files are uploaded before it is recorded, so
those of a training that was cancelled between the two have no row either. A withdrawn model's files are of no use.
"""

import logging
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection
from django.utils import timezone

from common.objects import ObjectStoreError, get_store
from eval_app.model_trainings import OPEN
from eval_app.models import ModelTraining
from jobs import errors
from retrieval_app.models import TrainedModel
from retrieval_app.object_keys import MODEL_CHECKPOINTS, TRAINED_MODELS, checkpoints_prefix, trained_model_prefix

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 60
# From upload to record takes seconds.
_UNRECORDED_AT_MOST: Final = timedelta(days=1)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
# Models are few beside adapters: all are looked through once in so many sweeps.
_SWEEPS_A_ROUND: Final = 60
_under_way = threading.Lock()


def sweep_model_objects() -> None:
    """Begin a sweep.

    In a thread of its own: a store that does not answer must not keep beat from looking after leases and bells.
    """
    if _under_way.acquire(blocking=False):
        threading.Thread(target=_sweep_in_thread, name="model-sweep", daemon=True).start()


def _sweep_in_thread() -> None:
    try:
        sweep_now(models=int(time.time() // EVERY_SECONDS) % _SWEEPS_A_ROUND == 0)
    finally:
        connection.close()
        _under_way.release()


def sweep_now(*, models: bool) -> None:
    """Delete unwanted checkpoints and, if asked for, the files of unrecorded and withdrawn models."""
    try:
        sweep_checkpoints()
        if models:
            sweep_models()
    except ObjectStoreError as error:
        logger.warning("checkpoints and files of trained models were not swept: %s", type(error).__name__)
    except Exception as error:  # noqa: BLE001 - the next sweep tries again
        logger.error("the sweep of trained models failed: %s", errors.describe(error).for_log())


def sweep_checkpoints() -> None:
    """Delete the checkpoints of every training that is not open any more."""
    store = get_store()
    parts = (info.key.split("/") for info in store.list(f"{MODEL_CHECKPOINTS}/"))
    found = {int(part[1]) for part in parts if len(part) == 3 and part[1].isdecimal()}
    if not found:
        return
    wanted = set(ModelTraining.objects.filter(pk__in=found, state__in=OPEN).values_list("pk", flat=True))
    for training_id in sorted(found - wanted):
        store.delete_prefix(checkpoints_prefix(training_id=training_id))


def sweep_models() -> None:
    """Delete the files that are older than a day and that no model in use is recorded for."""
    store = get_store()
    newest: dict[tuple[str, str], datetime] = {}
    for info in store.list(f"{TRAINED_MODELS}/"):
        parts = info.key.split("/")
        if len(parts) != 5:
            continue
        version = (parts[2], parts[3])
        newest[version] = max(newest.get(version, _LONG_AGO), info.modified or timezone.now())
    long_ago = timezone.now() - _UNRECORDED_AT_MOST
    left = {version for version, modified in newest.items() if modified < long_ago}
    for identity, digest in sorted(left - _recorded(identity for identity, _ in left)):
        # Looked up again, and last: it may have been recorded since the files were listed.
        if (identity, digest) not in _recorded([identity]):
            store.delete_prefix(trained_model_prefix(identity=identity, digest=digest))


def _recorded(identities: Iterable[str]) -> set[tuple[str, str]]:
    """(identity, digest of the content) of those that can be used."""
    standing = TrainedModel.objects.filter(identity__in=set(identities), withdrawn_at__isnull=True)
    return set(standing.values_list("identity", "content_digest"))
