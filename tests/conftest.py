"""What every test may use: two people of one workspace, and a third who must never see a thing of theirs."""

import pytest

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
