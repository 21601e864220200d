"""One Lamppost and one browser for all tests of a process that need them."""

import pytest

from tests.browser import browsing, serving


@pytest.fixture(scope="session")
def lamppost():
    with serving.served() as one:
        serving.fill(one)
        yield one


@pytest.fixture(scope="session")
def browser():
    with browsing.chromium() as one:
        yield one
