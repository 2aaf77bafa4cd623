"""Picture of the viewer's page for a run or trace, in a headless Chromium.

python -m expirespan.experiments.viewer.screenshot SOURCE [OTHER] OUTPUT.png [--width 1280] [--at STEP] [--select STEP]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.viewer.browser import opened
from expirespan.experiments.viewer.command import page_of, read_traces


def screenshot(page: Path, output: Path, width: int, at: int | None, select: int | None, whole: bool) -> Path:
    """Write the picture of a page as it opens, or at a step, or with another memory selected."""
    with opened(page, width) as browser:
        tab = browser.page
        if at is not None:
            tab.locator("#slider").fill(str(at))
        if select is not None:
            tab.locator(f'.card[data-t="{select}"]').click()
        tab.mouse.move(0, 0)
        tab.wait_for_timeout(500)
        tab.screenshot(path=str(output), full_page=whole)
    return output


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, nargs="+", help="two are compared")
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--at", type=int, help="timestep; by default the decisive one")
    parser.add_argument("--select", type=int, help="the memory of this timestep, which must be in view")
    parser.add_argument("--top", action="store_true", help="only what fits on a screen")
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            traces = [read_traces([source]) for source in args.source]
            page.write_text(page_of(args.source, traces), encoding="utf-8")
            print(screenshot(page, args.output, args.width, args.at, args.select, not args.top))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
