"""What holds for each page: who cannot see or use a mouse can use it, it fits a phone, and it asks no other host."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.browsing import DESKTOP, PHONE, window
from tests.browser.crawling import crawl
from tests.browser.serving import WORKSPACE
from tests.routes import routes

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.timeout(1800)]

_SERIOUS = ("serious", "critical")
# Files to keep, parts of pages that htmx fetches, where only forms lead, and what is there once somebody has asked
# (`test_playground`).
_NO_PAGES = re.compile(r"\.|/(progress|status|estimate|comparison|upload|fragments/\w+|search)/$|/playground/…/$")


@pytest.fixture(scope="module")
def pages(lamppost, browser):
    with window(browser, lamppost) as watched:
        return crawl(watched.page, lamppost.address)


def findings(page, where):
    """What axe finds that is serious or worse, in words."""
    return [
        f"{where}: {violation['id']} at {[node['target'] for node in violation['nodes']][:3]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in _SERIOUS
    ]


def test_links_lead_to_every_page(pages):
    shown = [str(route) for route in routes(("w/",)) if "GET" in route.methods()]
    named = {re.sub(r"<[^>]+>", "…", one).replace("/w/…/", f"/w/{WORKSPACE}/") for one in shown}
    missing = {one for one in named - set(pages) if not _NO_PAGES.search(one)}
    assert missing == set()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault_and_nothing_is_asked_of_another_host(lamppost, browser, pages, theme):
    with window(browser, lamppost, size=DESKTOP, theme=theme) as watched:
        found = []
        for address in pages.values():
            assert watched.go(address) == 200
            found += findings(watched.page, address)
        assert found == []
        assert watched.elsewhere == []
        assert watched.complaints == []


def test_nothing_is_wider_than_a_phone(lamppost, browser, pages):
    with window(browser, lamppost, size=PHONE) as watched:
        wide = []
        for address in pages.values():
            watched.go(address)
            width = watched.page.evaluate("document.documentElement.scrollWidth")
            if width > PHONE["width"] + 1:
                wide.append(f"{address}: {width}")
        assert wide == []
