"""A real browser: Debian's Chromium, which asks nobody but the pages' own host."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.serving import Served

DESKTOP = {"width": 1360, "height": 900}
PHONE = {"width": 390, "height": 844}
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# A plot that is given no room, for a moment, is none of the page's faults.
_HARMLESS = re.compile(r"favicon")


@dataclass
class Watched:
    """A browser window in which somebody is logged in, and what went wrong in it."""

    context: BrowserContext
    page: Page
    address: str
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> int:
        """Open a page; the status of the answer."""
        answer = self.page.goto(self.address + path, wait_until="load")
        assert answer is not None
        return answer.status


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser. It is Debian's: what playwright would download is not needed."""
    path = shutil.which("chromium")
    assert path is not None, "The browser tests need Chromium: apt-get install chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def window(
    browser: Browser,
    lamppost: Served,
    *,
    size: dict[str, int] = DESKTOP,
    theme: str = "light",
    user: str | None = None,
    password: str | None = None,
) -> Iterator[Watched]:
    """A window in which the administrator, or somebody else, is logged in."""
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    watched = Watched(context, page, lamppost.address)
    hosts = {urlsplit(lamppost.address).hostname}

    def requested(request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in hosts:
            watched.elsewhere.append(request.url)

    def said(message) -> None:
        if message.type == "error" and not _HARMLESS.search(message.text):
            watched.complaints.append(f"{page.url}: {message.text}")

    context.on("request", requested)
    page.on("console", said)
    page.on("pageerror", lambda error: watched.complaints.append(f"{page.url}: {error}"))
    try:
        log_in(page, lamppost, user=user or lamppost.user, password=password or lamppost.password)
        yield watched
    finally:
        context.close()


def log_in(page: Page, lamppost: Served, *, user: str, password: str) -> None:
    """As a person does: open the first page, and be asked who one is."""
    page.goto(lamppost.address + "/")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.get_by_role("button", name="Log in").click()
    # Not the page's load, which is that of the form until the answer comes.
    page.wait_for_url(lambda url: "login" not in url)
