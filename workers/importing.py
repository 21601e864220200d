"""The job that imports a dataset's files."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common.objects import ObjectMissing
from eval_app.fetching import NotAsDeclared
from eval_app.import_requests import keep_uploaded, order_of
from eval_app.importing import DatasetBeingDeleted, import_split
from jobs.batches import ClaimedJob, Permanent
from lamp.problems import LampProblem
from users_app.quotas import QuotaExceeded
from users_app.selectors import workspace_by_id


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Import what each job asks for; files that are not in order fail it at once, with the reason."""
    for job in jobs:
        with job.isolated():
            _import(job)


def _import(job: ClaimedJob) -> None:
    def report(done: int, total: int, doing: str) -> None:
        job.check()
        job.progress(done=done, total=total, message=doing)

    workspace = workspace_by_id(job.workspace_id)
    if workspace is None:
        raise Permanent("The workspace is gone.")
    with tempfile.TemporaryDirectory(prefix="lamppost-import-") as folder:
        job.progress(message="fetching the files")
        try:
            order = order_of(workspace=workspace, payload=job.payload, folder=Path(folder))
            with job.finishing() as result:
                keep = partial(keep_uploaded, order, payload=job.payload)
                result.update(import_split(order, report=report, keep=keep).as_dict())
        except (LampProblem, NotAsDeclared, DatasetBeingDeleted, QuotaExceeded) as problem:
            raise Permanent(str(problem)) from None
        except ObjectMissing:
            raise Permanent("The files to import are gone from the object store. Import them again.") from None
