"""Asking for an import: the files go to the object store, a job does the rest, and afterwards the files go away."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.utils import timezone

from common.objects import ObjectStoreError, get_store
from eval_app.fetching import StoredFile, fetch, full_disk_is_no_room, take_room
from eval_app.import_records import begin, record_end
from eval_app.importing import ImportRefused as ImportRefused
from eval_app.importing import Order, Source, files_digest, require_standing
from eval_app.kinds import IMPORT_DATASET
from eval_app.models import Dataset, DatasetSplit, Upload
from eval_app.uploads import delete_imported, give_back_uploads, take_uploads
from jobs.models import FINISHED, UNFINISHED, Job, State
from jobs.selectors import jobs_of
from jobs.services import JobSpec, enqueue
from lamp.archives import splits_of_archive, take_out
from lamp.catalogue import get_task
from lamp.problems import LampProblem
from lamp.reading import Separation
from lamp.tasks import Task
from users_app.audit import INSTALLATION, Actor, record
from users_app.models import AuditEntry, Workspace

logger = logging.getLogger(__name__)

ORIGIN: Final = "import"
# Sources of imports are deleted when their job has ended; those that are to be kept stand elsewhere.
PASSING: Final = "imports"
KEPT: Final = "sources"
QUESTIONS: Final = "questions.json"
OUTPUTS: Final = "outputs.json"
TRUTH: Final = "truth.json"
_OBJECTS: Final = {"questions": QUESTIONS, "outputs": OUTPUTS, "truth": TRUTH}
# A zip of a task's folder, in place of the files.
ARCHIVE: Final = "archive"

_UPLOAD_AT_MOST: Final = timedelta(days=1)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def request_import(
    *,
    workspace: Workspace,
    dataset: str,
    split: str,
    questions: Path,
    outputs: Path | None = None,
    truth: Path | None = None,
    task: Task | None = None,
    separation: Separation | None = None,
    keep_source: bool = False,
    by: Actor = INSTALLATION,
) -> Job:
    """Store the files and enqueue their import; the same workspace's imports may run side by side.

    Raises `ImportRefused` for a name that is none or of a dataset that is being deleted, and `ObjectStoreError`.
    """
    check_names(workspace=workspace.slug, dataset=dataset, split=split)
    import_id = uuid.uuid4().hex
    prefix = f"{PASSING}/{import_id}/"
    if keep_source:
        prefix = _kept_prefix(workspace.pk, files_digest(questions, outputs))
    store = get_store()
    try:
        store.put_file(prefix + QUESTIONS, questions, content_type="application/json")
        if outputs is not None:
            store.put_file(prefix + OUTPUTS, outputs, content_type="application/json")
        if truth is not None:
            store.put_file(prefix + TRUTH, truth, content_type="application/json")
        return _enqueue_import(
            workspace=workspace,
            import_id=import_id,
            dataset=dataset,
            split=split,
            task=task,
            separation=separation,
            sources={
                "prefix": prefix,
                "questions_name": os.path.basename(questions),
                "outputs_name": os.path.basename(outputs) if outputs is not None else None,
                "truth_name": os.path.basename(truth) if truth is not None else None,
            },
            by=by,
        )
    except BaseException:
        if not is_kept(prefix):
            store.delete_prefix(prefix)
        raise


def request_import_of_uploads(
    *,
    workspace: Workspace,
    dataset: str,
    split: str,
    uploads: Mapping[str, int],
    stored: Mapping[int, int],
    task: Task | None = None,
    separation: Separation | None = None,
    keep_source: bool = False,
    by: Actor = INSTALLATION,
) -> Job:
    """Enqueue the import of files that were uploaded. Call it in a transaction, after `uploads.stored_sizes`.

    `uploads` are their ids by what each is: `questions`, and if there are any `outputs` and `truth`.

    Raises `ImportRefused` for a name that is none, `DatasetBeingDeleted`, and `UploadUnusable`.
    """
    check_names(workspace=workspace.slug, dataset=dataset, split=split)
    import_id = uuid.uuid4().hex
    taken = take_uploads(workspace=workspace, upload_ids=uploads, stored=stored, import_id=import_id)
    return _enqueue_import(
        workspace=workspace,
        import_id=import_id,
        dataset=dataset,
        split=split,
        task=task,
        separation=separation,
        sources={"keep_source": keep_source, "uploads": sources_of(taken)},
        by=by,
    )


def sources_of(uploads: Mapping[str, Upload]) -> dict[str, Any]:
    """What the payload of a job says of the uploads that it reads, by what each is."""
    return {
        place: asdict(StoredFile(upload.object_key, upload.name, upload.size, upload.sha256))
        for place, upload in uploads.items()
    }


@transaction.atomic
def _enqueue_import(
    *,
    workspace: Workspace,
    import_id: str,
    dataset: str,
    split: str,
    task: Task | None,
    separation: Separation | None,
    sources: Mapping[str, Any],
    by: Actor,
) -> Job:
    """Enqueue the import of the files that `sources` tells of, with the row that tells of it."""
    uploads = sources.get("uploads", {})
    begin(
        workspace=workspace,
        import_id=import_id,
        dataset=dataset,
        split=split,
        task=task,
        separation=separation,
        keep_source=bool(sources.get("keep_source")),
        files={place: {"name": stored["name"], "size": stored["size"]} for place, stored in uploads.items()}
        or {place: {"name": name} for place in _OBJECTS if (name := sources.get(f"{place}_name"))},
        by=by,
    )
    return enqueue_split(
        workspace=workspace,
        import_id=import_id,
        dataset=dataset,
        split=split,
        task=task,
        separation=separation,
        sources=sources,
        by=by,
    )


def enqueue_split(
    *,
    workspace: Workspace,
    import_id: str,
    dataset: str,
    split: str,
    task: Task | None,
    separation: Separation | None,
    sources: Mapping[str, Any],
    by: Actor,
) -> Job:
    """Enqueue the import of one split, and record who started it. Call it in a transaction.

    Raises `DatasetBeingDeleted`.
    """
    # Whoever asks for its deletion locks it likewise: one of the two sees the other.
    require_standing(Dataset.objects.select_for_update(no_key=True).filter(workspace=workspace, name=dataset).first())
    job = enqueue(
        JobSpec(
            kind=IMPORT_DATASET.name,
            workspace_id=workspace.pk,
            origin=f"{ORIGIN}:{import_id}",
            payload={
                "dataset": dataset,
                "split": split,
                "task": task.key if task else None,
                "separation": separation,
                **sources,
            },
        )
    )
    record(
        workspace=workspace,
        action=AuditEntry.Action.IMPORT_STARTED,
        by=by,
        subject=f"{dataset}/{split}",
        details={"job_id": job.pk},
    )
    return job


def kept_sources(*, workspace: Workspace, split_ids: Collection[int]) -> list[str]:
    """Where the files of these splits lie if they were kept: prefixes in the object store."""
    splits = DatasetSplit.objects.filter(pk__in=split_ids, dataset__workspace=workspace)
    return [_kept_prefix(workspace.pk, digest) for digest in splits.order_by("digest").values_list("digest", flat=True)]


def kept_prefixes() -> Iterator[str]:
    """Where the files of every split lie if they were kept."""
    for workspace_id, digest in DatasetSplit.objects.values_list("dataset__workspace_id", "digest").distinct():
        yield _kept_prefix(workspace_id, digest)


def sources_of_waiting_imports() -> Iterator[str]:
    """Where the files of imports lie that have not ended: prefixes. Uploads have none, but keys of their own."""
    unfinished = Job.objects.filter(kind=IMPORT_DATASET.name, state__in=UNFINISHED)
    for prefix in unfinished.values_list("payload__prefix", flat=True):
        if prefix:
            yield prefix


def _kept_prefix(workspace_id: int, digest: str) -> str:
    # By what is in them, so that whoever erases a person finds the files by the splits that the person is in.
    return f"{KEPT}/{workspace_id}/{digest}/"


def is_kept(prefix: str) -> bool:
    """Whether sources there are those of a split that stands, or of an import that has not ended."""
    if not prefix.startswith(f"{KEPT}/"):
        return False
    workspace_id, _, digest = prefix.removeprefix(f"{KEPT}/").rstrip("/").partition("/")
    return (
        DatasetSplit.objects.filter(dataset__workspace=int(workspace_id), digest=digest).exists()
        or Job.objects.filter(kind=IMPORT_DATASET.name, state__in=UNFINISHED, payload__prefix=prefix).exists()
    )


def check_names(*, workspace: str, dataset: str, split: str) -> None:
    """Raise `ImportRefused` unless these may be names of a workspace, a dataset and a split."""
    for what, name in (("workspace", workspace), ("dataset", dataset)):
        try:
            validate_slug(name)
        except ValidationError:
            raise ImportRefused(
                f"The {what}'s name may hold letters, digits, hyphens and underscores alone. Choose another."
            ) from None
        if len(name) > 100:
            raise ImportRefused(f"The {what}'s name is longer than 100 characters. Choose a shorter one.")
    if split not in DatasetSplit.Split.values:
        raise ImportRefused(f"A split is one of {', '.join(DatasetSplit.Split.values)}.")


def order_of(*, workspace: Workspace, payload: dict[str, Any], folder: Path) -> Order:
    """What a job's payload asks for, its files fetched into `folder`. Raises as `fetch`, and `LampProblem`."""
    # Not to its end, where the files go.
    return next(orders_of(workspace=workspace, payload=payload, folder=folder))


def orders_of(
    *, workspace: Workspace, payload: dict[str, Any], folder: Path, check: Callable[[], None] = lambda: None
) -> Iterator[Order]:
    """`order_of` for one split after the other of an archive whose payload names none of them.

    The files of one are gone when the next is asked for. `check` is called now and then, and may raise to stop.
    """
    files = _stored_files(payload)
    if ARCHIVE in files:
        yield from _orders_of_archive(workspace, payload, files[ARCHIVE], folder, check)
        return
    fetch({_OBJECTS[place]: stored for place, stored in files.items()}, folder)
    sources = {place: Source(folder / _OBJECTS[place], stored.name) for place, stored in files.items()}
    yield _order(workspace, payload, payload["split"], sources)


def _orders_of_archive(
    workspace: Workspace, payload: dict[str, Any], stored: StoredFile, folder: Path, check: Callable[[], None]
) -> Iterator[Order]:
    fetch({ARCHIVE: stored}, folder)
    archive = folder / ARCHIVE
    splits = splits_of_archive(archive, name=stored.name, most_bytes=settings.UPLOAD_MAX_BYTES)
    wanted = payload["split"]
    if wanted and wanted not in splits:
        raise LampProblem(
            file=stored.name,
            message=f"holds no {wanted}_questions.json",
            remedy=f"Import one of its splits: {', '.join(splits)}",
        )
    for split, files in splits.items():
        if wanted in ("", split):
            targets = {what: folder / _OBJECTS[what] for what in files.members}
            take_room({target: files.sizes[what] for what, target in targets.items()}, folder)
            with full_disk_is_no_room(sum(files.sizes.values())):
                take_out(archive, files, targets, name=stored.name, check=check)
            sources = {what: Source(target, os.path.basename(files.members[what])) for what, target in targets.items()}
            yield _order(workspace, payload, split, sources)
            for target in targets.values():
                target.unlink()


def _order(workspace: Workspace, payload: dict[str, Any], split: str, sources: Mapping[str, Source]) -> Order:
    return Order(
        workspace=workspace,
        dataset=payload["dataset"],
        split=split,
        questions=sources["questions"],
        outputs=sources.get("outputs"),
        truth=sources.get("truth"),
        task=get_task(payload["task"]) if payload["task"] else None,
        separation=payload["separation"],
    )


def _stored_files(payload: dict[str, Any]) -> dict[str, StoredFile]:
    """Where a job's files lie, by what each of them is."""
    if "uploads" in payload:
        return {place: StoredFile(**stored) for place, stored in payload["uploads"].items()}
    # Jobs that were asked for before there were truths do not speak of one.
    names = {place: payload.get(f"{place}_name") for place in _OBJECTS}
    return {
        place: StoredFile(payload["prefix"] + _OBJECTS[place], name)
        for place, name in names.items()
        if name is not None
    }


def keep_uploaded(order: Order, *, payload: dict[str, Any]) -> None:
    """Keep the uploaded files of `order` beside its split, if that was asked for.

    Call it in the transaction that stores the split, when the split is stored. Files that no split stands for after
    all, because it was not committed, are swept. Raises `ObjectStoreError`.
    """
    if not payload.get("keep_source"):
        return
    outputs = order.outputs.path if order.outputs else None
    prefix = _kept_prefix(order.workspace.pk, files_digest(order.questions.path, outputs))
    for place, source in (("questions", order.questions), ("outputs", order.outputs), ("truth", order.truth)):
        if source is not None:
            get_store().put_file(prefix + _OBJECTS[place], source.path, content_type="application/json")


def import_ended(origin: str) -> None:
    """The listener of imports: delete the sources of one that will not run again. Safe to repeat.

    Sources that were to be kept go too where no split stands for them, by which they would be found again, and no
    other import is to read them.
    """
    jobs = jobs_of(origin=origin)
    if jobs.exclude(state__in=FINISHED).exists():
        return
    import_id = origin.partition(":")[2]
    if set(jobs.values_list("state", flat=True)) == {State.DONE}:
        delete_imported(import_id=import_id)
    else:
        give_back_uploads(import_id=import_id)
    record_end(import_id=import_id, jobs=jobs)
    get_store().delete_prefix(f"{PASSING}/{import_id}/")
    for prefix in jobs.exclude(state=State.DONE).values_list("payload__prefix", flat=True):
        # Uploads have no place of their own.
        if prefix and prefix.startswith(f"{KEPT}/") and not is_kept(prefix):
            get_store().delete_prefix(prefix)


def sweep_sources() -> None:
    """Delete what `import_ended` missed because its process died: a sweep."""
    try:
        stored: dict[str, datetime] = {}
        for info in get_store().list(f"{PASSING}/"):
            import_id = info.key.split("/")[1]
            stored[import_id] = max(stored.get(import_id, _LONG_AGO), info.modified or timezone.now())
    except ObjectStoreError as error:
        logger.warning("sources of imports were not swept: %s", type(error).__name__)
        return
    for import_id, last in stored.items():
        origin = f"{ORIGIN}:{import_id}"
        # Without a job it is still being uploaded, unless whoever was uploading has gone.
        if jobs_of(origin=origin).exists() or timezone.now() - last > _UPLOAD_AT_MOST:
            import_ended(origin)
