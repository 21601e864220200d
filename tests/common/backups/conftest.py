import pytest

from tests.backups import empty_the_store


@pytest.fixture
def silent():
    """Nobody watches."""
    return lambda what, done, total: None


@pytest.fixture
def clean_store(transactional_db):
    """The object store is emptied after the test."""
    empty_the_store()
    yield
    empty_the_store()


@pytest.fixture
def folder(tmp_path):
    """Where a backup is to be."""
    return tmp_path / "backup"
