"""One Lamppost and one browser for all tests of a process that need them."""

import pytest
from playwright.sync_api import expect

from tests.browser import browsing, serving


@pytest.fixture(scope="session")
def lamppost():
    with serving.served() as one:
        serving.fill(one)
        yield one


@pytest.fixture(scope="session")
def browser():
    # For what no test says otherwise; a page with tests of significance takes a slow machine more than five.
    expect.set_options(timeout=30_000)
    with browsing.chromium() as one:
        yield one
