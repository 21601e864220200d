"""Pictures of every page: light, dark, and as wide as a phone. `make screenshots` puts them into var/screenshots."""

import re
import sys
from pathlib import Path

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


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "var/screenshots"))
