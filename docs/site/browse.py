"""Look at the built site in a browser, as a reader does: ``python docs/site/browse.py build/site``.

As files and under a sub-path of a server, the search finds something; no page is wider than a phone, none complains,
and none asks another host for anything.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from expirespan.experiments.viewer.browser import find_chromium

PHONE = {"width": 390, "height": 844}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *args: Any) -> None:
        """Nothing."""


def found(page: Page, start: str) -> int:
    """How many pages the search of a page finds."""
    page.goto(start)
    page.click("label[for=__search] >> visible=true")
    page.keyboard.type("retention")
    page.locator(".md-search-result__link").first.wait_for(timeout=60_000)
    return page.locator(".md-search-result__item").count()


def faults(page: Page, site: Path, server: str) -> Iterator[str]:
    """What a reader would not want to see."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: said.append(sent.url) if not sent.url.startswith(own) else None)
    own = ("file:", "data:", "about:", "blob:", server)
    for start in (f"{site.as_uri()}/guides/choose-a-memory.html", f"{server}/{site.name}/index.html"):
        if not (hits := found(page, start)) > 3:
            yield f"the search from {start} finds {hits} pages"
    for path in sorted(site.rglob("*.html")):
        if (
            path.relative_to(site).parts[0] not in ("source", "viewers")
            and path.with_suffix("").name != "404"
        ):
            page.goto(path.as_uri(), wait_until="domcontentloaded")
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > PHONE["width"] and 'class="md-' in path.read_text(encoding="utf-8"):
                yield f"{path.relative_to(site)} is {wide} pixels wide on a phone"
    yield from said


def main(site: Path) -> int:
    """0 if all is well."""
    handler = functools.partial(Quiet, directory=str(site.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport=PHONE)
        wrong = list(faults(page, site.resolve(), f"http://127.0.0.1:{server.server_port}"))
        browser.close()
        server.shutdown()
    print("\n".join(wrong) or "the site works as files and under a sub-path")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
