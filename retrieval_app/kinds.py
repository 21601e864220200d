"""The kinds of job this app asks for. The handler lives in `workers`, and is named because apps never import it."""

from jobs.kinds import Kind

EMBED_DOCUMENTS = Kind(
    name="embed_documents",
    queue="model",
    handler="workers.embedding.handle",
    lease_seconds=120,
)
