"""Uploads: files that clients put into the object store themselves, and that imports read there.

Nothing of a file passes through the web process: the client is given an address that one object can be put to.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from common.objects import get_store
from eval_app.models import Upload
from users_app.models import Workspace

PREFIX: Final = "uploads"
# An address works for so long; a transfer that has begun by then goes on.
ADDRESS_SECONDS: Final = 3600


class TooManyUploads(Exception):
    """The workspace has as many uploads as it may have at a time."""


class UploadInUse(Exception):
    """An import reads the upload."""


class UploadUnusable(Exception):
    """An upload that was named cannot be imported.

    `place` is what it was named as, `slug` the kind of problem for programs (empty: there is no such upload).
    """

    def __init__(self, place: str, slug: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.place = place
        self.slug = slug
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class Address:
    """Where the file can be put, by whoever knows it, and until when."""

    url: str
    expires_at: datetime


def create_upload(*, workspace: Workspace, name: str, size: int, sha256: str = "") -> Upload:
    """Make room for a file of exactly `size` bytes, at most `UPLOAD_MAX_BYTES`. Call it in a transaction.

    Raises `TooManyUploads`.
    """
    # Two at once count one after the other.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    if Upload.objects.filter(workspace=workspace).count() >= settings.UPLOADS_AT_ONCE:
        raise TooManyUploads(f"The workspace has {settings.UPLOADS_AT_ONCE} uploads already.")
    upload = Upload(
        workspace=workspace,
        object_key=f"{PREFIX}/{workspace.pk}/{secrets.token_hex(16)}",
        name=name,
        size=size,
        sha256=sha256,
        expires_at=timezone.now() + timedelta(hours=settings.UPLOAD_HOURS),
    )
    upload.save()
    upload.refresh_from_db(fields=["created_at"])
    return upload


def upload_address(*, upload: Upload) -> Address | None:
    """An address to put the file to; None where an import reads it, or its time is over. Raises `ObjectStoreError`."""
    seconds = min(ADDRESS_SECONDS, int((upload.expires_at - timezone.now()).total_seconds()))
    if upload.import_id or seconds < 1:
        return None
    store = get_store()
    store.ensure_bucket()
    expires_at = timezone.now() + timedelta(seconds=seconds)
    return Address(store.presigned_put(upload.object_key, seconds=seconds), expires_at)


def stored_bytes(*, upload: Upload) -> int | None:
    """How many bytes the object store has of it, None where nothing was put yet. Raises `ObjectStoreError`."""
    found = get_store().stat(upload.object_key)
    return None if found is None else found.size


@transaction.atomic
def discard_upload(*, workspace: Workspace, upload_id: int) -> None:
    """Delete an upload and its file.

    Raises `Upload.DoesNotExist`, `UploadInUse`, and `ObjectStoreError` where the store is away: all is then as before.
    """
    upload = Upload.objects.select_for_update().get(workspace=workspace, pk=upload_id)
    if upload.import_id:
        raise UploadInUse("An import reads it.")
    _delete([upload])


def stored_sizes(*, workspace: Workspace, upload_ids: Collection[int]) -> dict[int, int]:
    """How many bytes the object store has of each of these uploads, of those that it has anything of.

    Raises `ObjectStoreError`.
    """
    open_ones = Upload.objects.filter(workspace=workspace, pk__in=upload_ids, import_id="")
    sizes = {upload.pk: stored_bytes(upload=upload) for upload in open_ones}
    return {pk: size for pk, size in sizes.items() if size is not None}


def take_uploads(
    *, workspace: Workspace, upload_ids: Mapping[str, int], stored: Mapping[int, int], import_id: str
) -> dict[str, Upload]:
    """Hold these uploads for an import, by what each is to be imported as. Call it in a transaction.

    `stored` is what `stored_sizes` has said before it: nobody is kept waiting for the object store at a locked row.
    Whoever reads the file looks again. Raises `UploadUnusable`.
    """
    held = Upload.objects.select_for_update().filter(workspace=workspace, pk__in=upload_ids.values())
    found = {upload.pk: upload for upload in held.order_by("pk")}
    taken: dict[str, Upload] = {}
    for place, upload_id in upload_ids.items():
        upload = found.get(upload_id)
        if upload is None or (not upload.import_id and upload.expires_at <= timezone.now()):
            raise UploadUnusable(
                place, "", "There is no such upload here, or it has expired.", "Make one with POST /api/v1/uploads."
            )
        if upload in taken.values():
            raise UploadUnusable(place, "", "This upload is named twice.", "Name another upload here.")
        if upload.import_id:
            raise UploadUnusable(
                place,
                "upload-in-use",
                "Another import reads this upload.",
                "Wait for its job, which deletes the upload if it succeeds; else upload the file again.",
            )
        _require_whole(upload, place, stored.get(upload.pk))
        taken[place] = upload
    Upload.objects.filter(pk__in=found).update(import_id=import_id)
    return taken


def _require_whole(upload: Upload, place: str, stored: int | None) -> None:
    if stored is None:
        raise UploadUnusable(
            place,
            "upload-incomplete",
            "Nothing was put to the upload's address yet.",
            "PUT the file to the address that POST and GET /api/v1/uploads give, and import it then.",
        )
    if stored != upload.size:
        raise UploadUnusable(
            place,
            "upload-incomplete",
            f"{upload.size:,} bytes were declared, and {stored:,} were put.",
            "PUT the whole file again, or make an upload of its size.",
        )


def give_back_uploads(*, import_id: str) -> None:
    """The import has failed or was cancelled: its uploads may be imported again until they expire."""
    Upload.objects.filter(import_id=import_id).update(import_id="")


@transaction.atomic
def delete_imported(*, import_id: str) -> None:
    """The import stands: its uploads are not needed any more. Raises `ObjectStoreError`; all is then as before."""
    _delete(Upload.objects.select_for_update().filter(import_id=import_id).order_by("pk"))


def delete_expired() -> int:
    """Delete the uploads that expired before anybody imported them; how many. Raises `ObjectStoreError`."""
    expired = Upload.objects.filter(import_id="", expires_at__lte=timezone.now())
    deleted = 0
    for pk in list(expired.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            # Again, and held: an import may have taken it meanwhile.
            still = list(expired.select_for_update(skip_locked=True).filter(pk=pk))
            _delete(still)
        deleted += len(still)
    return deleted


def delete_strays() -> int:
    """Delete objects that no upload stands for, or that are larger than theirs may be; how many.

    An address works for a while after its upload has gone, and the store takes as much as is sent to it. Raises
    `ObjectStoreError`.
    """
    # The rows after the objects: whoever puts one has its row already.
    objects = {info.key: info.size for info in get_store().list(f"{PREFIX}/")}
    allowed = dict(Upload.objects.values_list("object_key", "size"))
    strays = [key for key, size in objects.items() if size > allowed.get(key, -1)]
    for key in strays:
        get_store().delete(key)
    return len(strays)


def _delete(uploads: Iterable[Upload]) -> None:
    # The object first: a row without one says so, an object without a row would wait for the sweep.
    for upload in uploads:
        get_store().delete(upload.object_key)
        upload.delete()
