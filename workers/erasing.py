"""The job that ends an erasure whose files the object store still has."""

from collections.abc import Sequence

from jobs.batches import ClaimedJob
from users_app.erasure import finish_erasure
from users_app.models import ErasureReceipt


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Delete the files that each receipt still names."""
    for job in jobs:
        with job.isolated():
            receipt = ErasureReceipt.objects.filter(pk=job.payload["receipt_id"], finished_at__isnull=True).first()
            if receipt is not None:
                finish_erasure(receipt)
            with job.finishing():
                pass
