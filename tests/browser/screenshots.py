"""Pictures of every page: light, dark, and as wide as a phone. `make screenshots` puts them into var/screenshots."""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.browser import serving
from tests.browser.browsing import DESKTOP, PHONE, chromium, window
from tests.browser.crawling import crawl

_LOOKS = (("light", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light"))


def take(folder: Path) -> None:
    """Serve, fill, and take a picture of each page in each look."""
    folder.mkdir(parents=True, exist_ok=True)
    with serving.served() as lamppost, chromium() as browser:
        serving.fill(lamppost)
        with window(browser, lamppost) as watched:
            pages = crawl(watched.page, lamppost.address)
            pages[f"/w/{serving.WORKSPACE}/playground/…/"] = _ask(watched.page, lamppost.address)
        for look, size, theme in _LOOKS:
            with window(browser, lamppost, size=size, theme=theme) as watched:
                for shape, address in sorted(pages.items()):
                    watched.go(address)
                    watched.page.wait_for_timeout(400)
                    name = re.sub(
                        r"\W+", "-", shape.removeprefix(f"/w/{serving.WORKSPACE}/").replace("…", "one")
                    ).strip("-")
                    path = folder / f"{name}.{look}.png"
                    watched.page.screenshot(path=path, full_page=True)
                    print(path)


def _ask(page: Page, address: str) -> str:
    """Ask each method one question of somebody's, on the playground; where the answers stand."""
    page.goto(f"{address}/w/{serving.WORKSPACE}/playground/?user={serving.PERSON}&task=LaMP-7")
    page.locator("#task-fields textarea, #task-fields input").first.fill("I am very tired today, you know.")
    page.get_by_role("button", name="Ask all methods").click()
    expect(page.locator(".answer .badge.done")).to_have_count(4, timeout=60_000)
    parts = urlsplit(page.url)
    return f"{parts.path}?{parts.query}"


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "var/screenshots"))
