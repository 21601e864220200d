"""Experiments that run in the test's own process: real jobs, the small models, no broker."""

import pytest

KINDS = ("advance_experiment", "embed_documents", "train_adapter", "generate", "score_run")


@pytest.fixture
def in_process(db, settings):
    """Run every waiting job of an experiment here, until none is left; how many batches that were."""
    from jobs.runner import run_waiting
    from workers import embedding, generating, training  # noqa: F401 (loaded before a lease counts)

    # A heart sees nothing of what the test's transaction has not committed.
    settings.JOBS_HEARTBEAT_SECONDS = settings.JOBS_PROGRESS_SECONDS = 3600
    settings.JOBS_BACKOFF_SECONDS = 0

    def drive(*kinds: str) -> int:
        return run_waiting(kinds or KINDS)

    return drive


@pytest.fixture
def dev(alice, bob):
    """The dev split of Alice's and Bob's tweets."""
    from tests.people import questions_of, split_of

    return split_of(questions_of(alice, bob))
