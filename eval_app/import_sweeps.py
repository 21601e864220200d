"""What imports leave in the object store where nobody was there to clear it away."""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from common.objects import ObjectStoreError, get_store
from eval_app.import_requests import KEPT, ORIGIN, import_ended, is_kept
from eval_app.models import Upload
from eval_app.uploads import delete_expired, delete_strays
from jobs.outcomes import unfinished_origins

logger = logging.getLogger(__name__)

# Kept files come before the split that they belong to is committed.
_KEPT_FOR: Final = timedelta(days=1)


def sweep_uploads() -> None:
    """Delete uploads that expired or were imported, stray objects, and kept files of no split.

    A sweep.
    """
    try:
        _end_imports()
        delete_expired()
        delete_strays()
        _delete_unkept()
    except ObjectStoreError as error:
        logger.warning("uploads were not swept: %s", type(error).__name__)


def _end_imports() -> None:
    """Do what `import_ended` would have, had its process not died."""
    read = Upload.objects.exclude(import_id="").values_list("import_id", flat=True).distinct()
    origins = {f"{ORIGIN}:{import_id}" for import_id in read}
    for origin in origins - unfinished_origins(origins):
        import_ended(origin)


def _delete_unkept() -> None:
    """Nobody would find them when one of the people in them is erased."""
    last: dict[str, datetime] = {}
    for info in get_store().list(f"{KEPT}/"):
        prefix = info.key.rpartition("/")[0] + "/"
        modified = info.modified or timezone.now()
        last[prefix] = max(last.get(prefix, modified), modified)
    for prefix, modified in last.items():
        if timezone.now() - modified > _KEPT_FOR and not is_kept(prefix):
            get_store().delete_prefix(prefix)
