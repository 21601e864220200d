from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stacks import open_folder


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder."""
    with open_folder() as path:
        yield path


@pytest.fixture
def empty_root(place: Path) -> Path:
    """Where no stack has ever been."""
    return place / "var"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """The root that tests share which do not care what was there: making a database is what costs time."""
    with open_folder() as path:
        yield path / "var"
