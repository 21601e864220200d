"""What imports leave in the object store where nobody was there to clear it away."""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from common.objects import ObjectStoreError, get_store
from eval_app.import_checks import ORIGIN as CHECK_ORIGIN
from eval_app.import_checks import check_ended
from eval_app.import_requests import KEPT, ORIGIN, import_ended, is_kept
from eval_app.models import DatasetImport, Upload
from eval_app.uploads import delete_expired, delete_strays
from jobs.outcomes import unfinished_origins

logger = logging.getLogger(__name__)

# Kept files come before the split that they belong to is committed.
_KEPT_FOR: Final = timedelta(days=1)


def sweep_uploads() -> None:
    """Delete uploads that expired or were imported, stray objects, kept files of no split, and texts that were shown of
    uploads that are gone; end what has ended.

    A sweep.
    """
    try:
        _end_checks()
        _end_imports()
        delete_expired()
        delete_strays()
        _delete_unkept()
        _forget_samples()
    except ObjectStoreError as error:
        logger.warning("uploads were not swept: %s", type(error).__name__)


def _end_imports() -> None:
    """Do what `import_ended` would have, had its process not died."""
    read = Upload.objects.exclude(import_id="").values_list("import_id", flat=True).distinct()
    told = DatasetImport.objects.filter(state=DatasetImport.State.IMPORTING).values_list("import_id", flat=True)
    origins = {f"{ORIGIN}:{import_id}" for import_id in {*read, *told}}
    for origin in origins - unfinished_origins(origins):
        import_ended(origin)


def _end_checks() -> None:
    """Do what `check_ended` would have."""
    checking = DatasetImport.objects.filter(state=DatasetImport.State.CHECKING).values_list("pk", flat=True)
    origins = {f"{CHECK_ORIGIN}:{pk}" for pk in checking}
    for origin in origins - unfinished_origins(origins):
        check_ended(origin)


def _forget_samples() -> None:
    """What was shown of people's texts goes with the uploads that it was of."""
    showing = DatasetImport.objects.filter(samples__isnull=False).values_list("pk", "files")
    for pk, files in showing.iterator():
        uploads = [file["upload_id"] for file in files.values() if "upload_id" in file]
        if Upload.objects.filter(pk__in=uploads).count() < len(uploads):
            DatasetImport.objects.filter(pk=pk).update(samples=None)


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
