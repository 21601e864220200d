"""What beat's sweep does about erasures whose files are still in the object store: it asks for a job that deletes them.

An erasure deletes them itself as a rule. They are left where the store was away, or its process died in between.
"""

from datetime import timedelta
from typing import Final

from django.db.models.functions import Now

from jobs.services import JobSpec, enqueue_many
from users_app.kinds import FINISH_ERASURE
from users_app.models import ErasureReceipt

# Before that whoever erases may be at it.
_LEFT_AFTER: Final = timedelta(seconds=60)
_AT_ONCE: Final = 100


def sweep_erasures() -> None:
    """Ask for a job for each erasure that was left unfinished."""
    left = ErasureReceipt.objects.filter(finished_at__isnull=True, requested_at__lt=Now() - _LEFT_AFTER)
    enqueue_many(
        JobSpec(
            kind=FINISH_ERASURE.name,
            payload={"receipt_id": receipt_id},
            workspace_id=workspace_id,
            dedupe_key=f"erasure:{receipt_id}",
        )
        for receipt_id, workspace_id in left.order_by("pk").values_list("pk", "workspace_id")[:_AT_ONCE]
    )
