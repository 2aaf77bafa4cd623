"""A headless Chromium that opens a page and reaches no network: for screenshots, measurements and tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expirespan.experiments.settings.errors import UserError

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

READY = "document.body.dataset.ready"
"""Whether a page of the viewer can be used."""


def find_chromium() -> str:
    """Path of the browser.

    Raises:
        UserError: there is none.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise UserError(f"none of {', '.join(CHROMIUM)} is installed; on Debian: apt-get install chromium")
    return found


@dataclass
class Opened:
    """A page of the browser, what it wrote to the console as warnings or errors, and what it tried to request."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def launched() -> Iterator[Any]:
    """A browser. Only one can run in a thread at a time.

    Raises:
        UserError: there is none, or playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError("playwright is not installed; pip install 'expirespan[dev]' brings it") from None
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    path: Path, width: int = 1280, height: int = 900, ready: str = READY, browser: Any = None
) -> Iterator[Opened]:
    """The page in the file, in a window of that many pixels, once the expression ``ready`` is true.

    ``browser``: one that is `launched`, which stays; by default a new one.

    Raises:
        UserError: there is no browser, or playwright is not installed.
    """
    with nullcontext(browser) if browser is not None else launched() as used:
        context = used.new_context(viewport={"width": width, "height": height}, offline=True)
        try:
            result = Opened(context.new_page())
            page = result.page
            page.on(
                "console",
                lambda m: result.complaints.append(m.text) if m.type in ("error", "warning") else None,
            )
            page.on("pageerror", lambda error: result.complaints.append(str(error)))
            page.on("request", lambda request: result.requests.append(request.url))
            page.goto(path.resolve().as_uri())
            page.wait_for_function(ready, timeout=60_000)
            yield result
        finally:
            context.close()
