"""What pages of a workspace see of its imports."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet
from django.utils import timezone

from eval_app.import_checks import ORIGIN as CHECK_ORIGIN
from eval_app.import_requests import ORIGIN
from eval_app.models import Dataset, DatasetImport, DatasetSplit, ImportProblem, Upload
from jobs.models import Job
from jobs.selectors import jobs_of
from users_app.models import Workspace


def imports_of(*, workspace: Workspace) -> QuerySet[DatasetImport]:
    """Every import of the workspace, without what was found and reported, which is long."""
    return DatasetImport.objects.filter(workspace=workspace).defer("findings", "samples", "report")


def import_by_id(*, workspace: Workspace, dataset_import_id: int) -> DatasetImport | None:
    """An import of the workspace; None where there is none of that number."""
    found = DatasetImport.objects.filter(workspace=workspace, pk=dataset_import_id).first()
    if found is not None:
        found.workspace = workspace
    return found


def problems_of(*, dataset_import: DatasetImport) -> QuerySet[ImportProblem]:
    """What its check found to be wrong, in the order of the files."""
    return ImportProblem.objects.filter(dataset_import=dataset_import).order_by("position")


def jobs_under_way(*, dataset_import: DatasetImport) -> list[Job]:
    """The jobs of the check or the import that its state speaks of, in their order."""
    if dataset_import.state == DatasetImport.State.CHECKING:
        return list(jobs_of(origin=f"{CHECK_ORIGIN}:{dataset_import.pk}").order_by("-pk")[:1])
    if dataset_import.state == DatasetImport.State.IMPORTING and dataset_import.import_id:
        return list(jobs_of(origin=f"{ORIGIN}:{dataset_import.import_id}").order_by("pk"))
    return []


def open_uploads(*, workspace: Workspace) -> QuerySet[Upload]:
    """The uploads that an import could read now, the newest first."""
    return Upload.objects.filter(workspace=workspace, import_id="", expires_at__gt=timezone.now()).order_by("-pk")


def dataset_of_name(*, workspace: Workspace, name: str) -> Dataset | None:
    """The workspace's dataset of that name."""
    return Dataset.objects.filter(workspace=workspace, name=name).first()


def newest_of_splits(*, datasets: Collection[Dataset]) -> dict[int, list[DatasetSplit]]:
    """By dataset, the newest version of each of its splits."""
    newest = DatasetSplit.objects.filter(dataset__in=datasets)
    newest = newest.order_by("dataset_id", "task", "split", "-version").distinct("dataset_id", "task", "split")
    found: dict[int, list[DatasetSplit]] = {dataset.pk: [] for dataset in datasets}
    for split in newest:
        found[split.dataset_id].append(split)
    return found
