"""The kinds of job this app asks for. The handler lives in `workers`, and is named because apps never import it."""

from jobs.kinds import Kind

FINISH_ERASURE = Kind(
    name="finish_erasure",
    queue="cpu",
    handler="workers.erasing.handle",
    lease_seconds=120,
)

DELIVER_WEBHOOK = Kind(
    name="deliver_webhook",
    queue="cpu",
    handler="workers.delivering.handle",
    batch_size=64,
    lease_seconds=60,
)
