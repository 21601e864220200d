"""Every page there is, found as a person finds it: by following links from the first one."""

import re
from collections import deque
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Page

from tests.browser.serving import WORKSPACE

START = f"/w/{WORKSPACE}/experiments/"
# Files to keep, and what leaves the pages.
_NO_PAGE = re.compile(r"\.(csv|json|tex|latex|png|svg|pdf|md|zip|txt)(\?|$)|/(admin|api|logout)/|/download")
_PAGES_MOST = 400


def shape_of(path: str) -> str:
    """An address without what differs between two of a kind: numbers, and names after `methods` and the like."""
    return re.sub(r"/\d+(?=[,/]|$)", "/…", urlsplit(path).path)


def crawl(page: Page, address: str) -> dict[str, str]:
    """One address of each kind of page that can be reached, by its shape."""
    found = {shape_of(START): START}
    waiting = deque([START])
    while waiting and len(found) < _PAGES_MOST:
        here = waiting.popleft()
        answer = page.goto(address + here, wait_until="load")
        assert answer is not None
        assert answer.status == 200, f"{here}: {answer.status}"
        links = page.eval_on_selector_all("a[href]", "found => found.map(one => one.getAttribute('href'))")
        # The last of a list has more to show than the first, which is no personalization.
        for link in reversed(links):
            parts = urlsplit(urljoin(address + here, link))
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            if not path.startswith(f"/w/{WORKSPACE}/") or f"{parts.scheme}://{parts.netloc}" != address:
                continue
            if _NO_PAGE.search(path) or shape_of(path) in found:
                continue
            found[shape_of(path)] = path
            waiting.append(path)
    return found
