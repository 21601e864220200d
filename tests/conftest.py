"""What every test may use: two people of one workspace, and a third who must never see a thing of theirs."""

import pytest

# Of these an experiment is made.
KINDS = ("advance_experiment", "embed_documents", "train_adapter", "generate", "score_run")

# What needs Django is imported where it is used: pure tests run without it.


@pytest.fixture
def workspace(db):
    from tests import people

    return people.workspace("acme")


@pytest.fixture
def alice(workspace):
    from tests import people

    return people.person(workspace, "alice", people.OF_ALICE)


@pytest.fixture
def bob(workspace):
    from tests import people

    return people.person(workspace, "bob", people.OF_BOB)


@pytest.fixture
def mallory(db):
    """Somebody of another workspace."""
    from tests import people

    return people.person(people.workspace("elsewhere"), "mallory", people.OF_MALLORY)


@pytest.fixture
def dev(alice, bob):
    """The dev split of Alice's and Bob's tweets."""
    from tests import people

    return people.split_of(people.questions_of(alice, bob))


@pytest.fixture
def in_process(db, settings):
    """Run every waiting job of these kinds here, until none is left; how many batches there were. No broker needed."""
    from jobs.runner import run_waiting
    from workers import embedding, generating, training  # noqa: F401 (loaded before a lease counts)

    # A heart sees nothing of what the test's transaction has not committed.
    settings.JOBS_HEARTBEAT_SECONDS = settings.JOBS_PROGRESS_SECONDS = 3600
    settings.JOBS_BACKOFF_SECONDS = 0

    def drive(*kinds: str) -> int:
        return run_waiting(kinds or KINDS)

    return drive
