"""Imports as pages lead through them: a draft, its files, their check, the import, the report.

Each step takes the row that the step before has left, so whoever leaves the page comes back to where it was.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.utils import timezone

from eval_app.import_checks import ORIGIN as CHECK_ORIGIN
from eval_app.import_requests import ARCHIVE, ORIGIN, check_names, enqueue_split, sources_of
from eval_app.kinds import CHECK_IMPORT
from eval_app.models import DatasetImport, ImportProblem, Upload
from eval_app.uploads import (
    Address,
    UploadInUse,
    UploadUnusable,
    create_upload,
    discard_upload,
    stored_sizes,
    take_uploads,
    upload_address,
)
from jobs.services import JobSpec, cancel_origin, enqueue
from lamp.archives import SPLITS
from lamp.catalogue import get_task
from lamp.reading import Separation
from users_app.audit import Actor
from users_app.models import Workspace

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    DatasetImport.Source.FILES: ("questions", "outputs", "truth"),
    DatasetImport.Source.ARCHIVE: (ARCHIVE,),
}
"""What files an import can have, the one that it must have first."""
# Between its checks and imports files may be changed; during them they may not.
_STANDS_STILL: Final = (
    DatasetImport.State.DRAFT,
    DatasetImport.State.CHECKED,
    DatasetImport.State.FAILED,
    DatasetImport.State.CANCELLED,
)


class ImportNotReady(Exception):
    """The import is not at the step that was asked for; the message says why, and what to do."""


@dataclass(frozen=True)
class Here:
    """A file of an import: whose upload it is, and how much of it the object store has."""

    place: str
    name: str
    size: int
    upload_id: int
    stored: int | None

    @property
    def whole(self) -> bool:
        """Whether it has come as it was declared."""
        return self.stored == self.size


def create_draft(
    *,
    workspace: Workspace,
    dataset: str,
    split: str,
    source: str,
    by: Actor,
    task: str = "",
    separation: str = "",
    keep_source: bool = False,
) -> DatasetImport:
    """Begin an import whose files are still to come; `split` is empty for every split of an archive.

    Raises `ImportRefused` for a name that is none.
    """
    check_names(workspace=workspace.slug, dataset=dataset, split=split or SPLITS[0])
    draft = DatasetImport(
        workspace=workspace,
        dataset=dataset,
        split=split,
        source=source,
        task=task,
        separation=separation,
        keep_source=keep_source,
        begun_by=by.name[:150],
    )
    draft.save()
    return draft


def files_here(*, dataset_import: DatasetImport) -> list[Here]:
    """The files of an import that does not read them now, as far as they have come. Raises `ObjectStoreError`."""
    named = {place: file for place, file in dataset_import.files.items() if "upload_id" in file}
    sizes = stored_sizes(workspace=dataset_import.workspace, upload_ids=[file["upload_id"] for file in named.values()])
    open_ones = set(
        Upload.objects.filter(
            workspace=dataset_import.workspace,
            pk__in=[file["upload_id"] for file in named.values()],
            import_id="",
            expires_at__gt=timezone.now(),
        ).values_list("pk", flat=True)
    )
    return [
        Here(place, file["name"], file["size"], file["upload_id"], sizes.get(file["upload_id"]))
        for place in PLACES[dataset_import.source]
        if (file := named.get(place)) is not None and file["upload_id"] in open_ones
    ]


@transaction.atomic
def place_for_upload(*, workspace: Workspace, dataset_import_id: int, place: str, name: str, size: int) -> Address:
    """Where a file of the import can be put, in place of what was there.

    One that was broken off and begins again has the same upload. Raises `DatasetImport.DoesNotExist`, `ImportNotReady`,
    `TooManyUploads` and `ObjectStoreError`.
    """
    held = _held(workspace, dataset_import_id, *_STANDS_STILL)
    if place not in PLACES[held.source]:
        raise ImportNotReady("This import has no such file. Load the page again.")
    upload = _upload_at(held, place)
    if upload is not None and (upload.name, upload.size) != (name, size):
        _discard(held, place)
        upload = None
    address = None if upload is None else upload_address(upload=upload)
    if upload is None or address is None:
        upload = create_upload(workspace=workspace, name=name, size=size)
        address = upload_address(upload=upload)
    assert address is not None
    _set_file(held, place, upload)
    return address


@transaction.atomic
def choose_upload(*, workspace: Workspace, dataset_import_id: int, place: str, upload_id: int) -> None:
    """Let an upload that is in the object store already be a file of the import.

    Raises `DatasetImport.DoesNotExist`, `ImportNotReady` and `Upload.DoesNotExist`.
    """
    held = _held(workspace, dataset_import_id, *_STANDS_STILL)
    if place not in PLACES[held.source]:
        raise ImportNotReady("This import has no such file. Load the page again.")
    upload = Upload.objects.get(workspace=workspace, pk=upload_id, import_id="", expires_at__gt=timezone.now())
    _set_file(held, place, upload)


@transaction.atomic
def remove_file(*, workspace: Workspace, dataset_import_id: int, place: str) -> None:
    """Delete a file of the import, and its upload. Raises `DatasetImport.DoesNotExist`, `ImportNotReady`."""
    held = _held(workspace, dataset_import_id, *_STANDS_STILL)
    _discard(held, place)
    held.files.pop(place, None)
    _unchecked(held)


def request_check(*, workspace: Workspace, dataset_import_id: int) -> None:
    """Have a job look at the files. Raises `DatasetImport.DoesNotExist`, `ImportNotReady` and `ObjectStoreError`."""
    uploads = _whole_uploads(workspace, dataset_import_id)
    with transaction.atomic():
        held = _held(workspace, dataset_import_id, *_STANDS_STILL)
        if {place: upload.pk for place, upload in uploads.items()} != _upload_ids(held):
            raise ImportNotReady("The files have just been changed. Look at them, and check them again.")
        enqueue(
            JobSpec(
                kind=CHECK_IMPORT.name,
                workspace_id=workspace.pk,
                origin=f"{CHECK_ORIGIN}:{held.pk}",
                payload={
                    "dataset_import": held.pk,
                    "dataset": held.dataset,
                    "split": held.split,
                    "task": held.task or None,
                    "separation": held.separation or None,
                    "uploads": sources_of(uploads),
                },
            )
        )
        _unchecked(held, state=DatasetImport.State.CHECKING)


def start_import(*, workspace: Workspace, dataset_import_id: int, by: Actor) -> None:
    """Import what was checked and found in order, one job a split.

    Raises `DatasetImport.DoesNotExist`, `ImportNotReady` and `ObjectStoreError`.
    """
    draft = DatasetImport.objects.get(workspace=workspace, pk=dataset_import_id)
    ids = _upload_ids(draft)
    stored = stored_sizes(workspace=workspace, upload_ids=ids.values())
    with transaction.atomic():
        held = _held(workspace, dataset_import_id, DatasetImport.State.CHECKED)
        findings = held.findings or []
        if not findings or any(finding["problems"] for finding in findings):
            raise ImportNotReady("The check found problems. Mend the files, upload them again, and check them again.")
        import_id = uuid.uuid4().hex
        try:
            taken = take_uploads(workspace=workspace, upload_ids=_upload_ids(held), stored=stored, import_id=import_id)
        except UploadUnusable as unusable:
            raise ImportNotReady(f"{unusable.message} Upload the file again, or wait for the other import.") from None
        for finding in findings:
            enqueue_split(
                workspace=workspace,
                import_id=import_id,
                dataset=held.dataset,
                split=finding["split"],
                task=get_task(held.task) if held.task else None,
                separation=_separation(held),
                sources={"keep_source": held.keep_source, "uploads": sources_of(taken)},
                by=by,
            )
        held.import_id = import_id
        held.state = DatasetImport.State.IMPORTING
        held.report, held.error, held.finished_at = None, "", None
        held.save(update_fields=["import_id", "state", "report", "error", "finished_at"])


def cancel_work(*, workspace: Workspace, dataset_import_id: int) -> None:
    """Stop the check or the import that is under way. Raises `DatasetImport.DoesNotExist`.

    Of an archive's import the splits that are done stay; of everything else nothing is kept.
    """
    found = DatasetImport.objects.get(workspace=workspace, pk=dataset_import_id)
    if found.state == DatasetImport.State.CHECKING:
        cancel_origin(f"{CHECK_ORIGIN}:{found.pk}")
    elif found.state == DatasetImport.State.IMPORTING and found.import_id:
        cancel_origin(f"{ORIGIN}:{found.import_id}")


@transaction.atomic
def delete_import(*, workspace: Workspace, dataset_import_id: int) -> None:
    """Forget an import, and delete the uploads that it did not use up; what it has imported stays.

    Raises `DatasetImport.DoesNotExist`, `ImportNotReady` and `ObjectStoreError`.
    """
    held = _held(workspace, dataset_import_id, *_STANDS_STILL, DatasetImport.State.DONE)
    for place in list(held.files):
        _discard(held, place)
    held.delete()


def _held(workspace: Workspace, dataset_import_id: int, *states: str) -> DatasetImport:
    held = DatasetImport.objects.select_for_update().get(workspace=workspace, pk=dataset_import_id)
    if held.state not in states:
        raise ImportNotReady(f"That cannot be done now: the import {held.get_state_display()}. Load the page again.")
    return held


def _separation(held: DatasetImport) -> Separation | None:
    return "user" if held.separation == "user" else "time" if held.separation == "time" else None


def _upload_ids(held: DatasetImport) -> dict[str, int]:
    return {place: file["upload_id"] for place, file in held.files.items() if "upload_id" in file}


def _upload_at(held: DatasetImport, place: str) -> Upload | None:
    upload_id = _upload_ids(held).get(place)
    if upload_id is None:
        return None
    return Upload.objects.filter(
        workspace=held.workspace, pk=upload_id, import_id="", expires_at__gt=timezone.now()
    ).first()


def _discard(held: DatasetImport, place: str) -> None:
    """Delete the upload, unless another import has a use for it too."""
    upload_id = _upload_ids(held).get(place)
    others = DatasetImport.objects.filter(workspace=held.workspace).exclude(pk=held.pk)
    named = [{f"files__{name}__upload_id": upload_id} for places in PLACES.values() for name in places]
    if upload_id is None or any(others.filter(**one).exists() for one in named):
        return
    with contextlib.suppress(Upload.DoesNotExist, UploadInUse):
        discard_upload(workspace=held.workspace, upload_id=upload_id)


def _set_file(held: DatasetImport, place: str, upload: Upload) -> None:
    held.files[place] = {"upload_id": upload.pk, "name": upload.name, "size": upload.size}
    _unchecked(held)


def _unchecked(held: DatasetImport, *, state: str = DatasetImport.State.DRAFT) -> None:
    """What was found before is of other files."""
    held.state = state
    held.findings = held.samples = held.report = held.finished_at = None
    held.error = ""
    held.save()
    ImportProblem.objects.filter(dataset_import=held).delete()


def _whole_uploads(workspace: Workspace, dataset_import_id: int) -> dict[str, Upload]:
    draft = DatasetImport.objects.get(workspace=workspace, pk=dataset_import_id)
    here = files_here(dataset_import=draft)
    for place in PLACES[draft.source][:1]:
        if place not in {file.place for file in here}:
            raise ImportNotReady(f"The {place} file is missing. Upload it first.")
    for file in here:
        if not file.whole:
            raise ImportNotReady(f"{file.name} has not come whole. Upload it again.")
    if len(here) < len(_upload_ids(draft)):
        raise ImportNotReady("A file has expired meanwhile. Upload it again, or remove it.")
    uploads = Upload.objects.filter(workspace=workspace).in_bulk([file.upload_id for file in here])
    return {file.place: uploads[file.upload_id] for file in here if file.upload_id in uploads}
