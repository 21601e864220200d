"""The jobs that check a dataset's files, and that import them."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common.objects import ObjectMissing
from eval_app.fetching import NotAsDeclared
from eval_app.import_checks import check_files, record_check
from eval_app.import_requests import keep_uploaded, order_of
from eval_app.importing import DatasetBeingDeleted, import_split
from jobs.batches import ClaimedJob, Permanent
from lamp.problems import LampProblem
from users_app.quotas import QuotaExceeded
from workers.workspaces import workspace_of


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Import what each job asks for; files that are not in order fail it at once, with the reason."""
    for job in jobs:
        with job.isolated():
            _import(job)


def _import(job: ClaimedJob) -> None:
    workspace = workspace_of(job)
    with tempfile.TemporaryDirectory(prefix="lamppost-import-") as folder:
        job.progress(message="fetching the files")
        try:
            order = order_of(workspace=workspace, payload=job.payload, folder=Path(folder))
            with job.finishing() as result:
                keep = partial(keep_uploaded, order, payload=job.payload)
                result.update(import_split(order, report=job.report, keep=keep).as_dict())
        except (LampProblem, NotAsDeclared, DatasetBeingDeleted, QuotaExceeded) as problem:
            raise Permanent(str(problem)) from None
        except ObjectMissing:
            raise Permanent("The files to import are gone from the object store. Import them again.") from None


def check(jobs: Sequence[ClaimedJob]) -> None:
    """Look at the files of each import and note what is found; problems with the files are no failure of the job."""
    for job in jobs:
        with job.isolated():
            _check(job)


def _check(job: ClaimedJob) -> None:
    workspace = workspace_of(job)
    with tempfile.TemporaryDirectory(prefix="lamppost-check-") as folder:
        job.progress(message="fetching the files")
        try:
            checked = check_files(
                workspace=workspace, payload=job.payload, folder=Path(folder), report=job.report, check=job.check
            )
        except (LampProblem, NotAsDeclared) as problem:
            raise Permanent(str(problem)) from None
        except ObjectMissing:
            raise Permanent("The files are gone from the object store. Upload them again.") from None
    with job.finishing() as result:
        result.update(record_check(dataset_import_id=job.payload["dataset_import"], checked=checked))
