"""Numbers about answers and adapters. Workers count them; they are declared here, where the web knows them too."""

from collections.abc import Iterator
from typing import Final

from django.db import connection
from prometheus_client import Metric

from common.monitoring.counted import counter, histogram
from common.monitoring.exposition import gauge
from training_app.generations import Answer
from training_app.models import Generation

MOST_COUNTED: Final = 1_000_000

RETRIEVAL_SECONDS: Final = histogram(
    "retrieval_seconds",
    "Retrieving for one answer, building its prompt and choosing among candidates, by retriever.",
    ["retriever"],
    bounds=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
GENERATION_SECONDS: Final = histogram(
    "generation_seconds",
    "The base model's passes for one answer, as its share of its batch, by family of method.",
    ["family"],
    bounds=(0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
)
ADAPTER_SECONDS: Final = histogram(
    "adapter_seconds",
    "Until the adapter of an answer stood beside the base model, where it has one.",
    bounds=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
)
TOKENS: Final = counter("tokens", "Tokens that answers have read (input) and written (output).", ["direction"])
ADAPTER_USES: Final = counter(
    "adapter_uses",
    "Uses of an adapter, by where it was looked for (a process's memory, a slot beside the base model) and whether it "
    "was there (hit) or had to be brought (miss).",
    ["place", "outcome"],
)


def observe(generation: Generation, answer: Answer) -> None:
    """Count an answer that was recorded."""
    if generation.retriever:
        RETRIEVAL_SECONDS.labels(generation.retriever).observe(answer.retrieval_ms / 1000)
    TOKENS.labels("input").inc(answer.input_tokens)
    if answer.output_tokens is None:
        return
    TOKENS.labels("output").inc(answer.output_tokens)
    GENERATION_SECONDS.labels(generation.family).observe(answer.model_ms / 1000)
    if generation.adapter_id is not None:
        ADAPTER_SECONDS.observe(answer.adapter_ms / 1000)


def adapters() -> Iterator[Metric]:
    """How many adapters there are."""
    found = gauge("adapters", f"Adapters that were not withdrawn, counted up to {MOST_COUNTED}.")
    with connection.cursor() as cursor:
        # Within the index of identities, which holds no others.
        cursor.execute(
            "SELECT count(*) FROM (SELECT identity FROM training_app_adapter WHERE withdrawn_at IS NULL LIMIT %s) AS a",
            [MOST_COUNTED],
        )
        found.add_metric([], cursor.fetchone()[0])
    yield found
