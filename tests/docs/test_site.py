"""The site as far as it can be judged without a build: pages and navigation, links to sources, checks of the build."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from expirespan.agents import pretrained_names
from expirespan.experiments.cli import COMMANDS
from expirespan.experiments.pictures.environment_page import PICTURES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
sys.path.insert(0, str(DOCS / "site"))
import built  # noqa: E402
import sources  # noqa: E402

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
WRITTEN = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
MADE = {
    *(f"reference/commands/{name}.md" for name in ("index", *COMMANDS)),
    *(f"reference/environments/{name.lower()}.md" for name in PICTURES),
    *(f"tutorial/{path.stem}.md" for path in NOTEBOOKS),
    *("project/changelog.md", "project/contributing.md"),
    *(f"results/{name}.md" for name in pretrained_names()),
}
"""Pages that are made while the site is built."""


def in_nav(entry: Any = CONFIG["nav"]) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    for one in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from in_nav(one)


def test_every_page_is_in_the_navigation_once() -> None:
    found = list(in_nav())
    assert sorted(found) == sorted(WRITTEN | MADE), "a page needs a line under nav in mkdocs.yml"
    assert len(found) >= 25


@pytest.mark.parametrize("page", sorted(WRITTEN))
def test_pages_begin_with_their_title(page: str) -> None:
    text = re.sub(r"\A---\n.*?\n---\n+", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.S)
    titles = re.findall(r"^# (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    assert text.startswith("# ") and len(titles) == 1 and len(titles[0]) > 6


def test_nothing_is_asked_of_other_hosts() -> None:
    assert CONFIG["theme"]["font"] is False and "offline" in CONFIG["plugins"]
    assert any("iframe-worker" in path for path in CONFIG["extra"]["polyfills"])
    for path in [*CONFIG["extra"]["polyfills"], *CONFIG["extra_css"], CONFIG["theme"]["favicon"]]:
        assert (DOCS / path).is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_no_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_links_to_sources_become_links_to_pages() -> None:
    text = (
        "[a](../memory/core.py) [b](sb3.md#x) [c](../README.md) [d](images/fall.png) [e](../examples) [f](#g)"
    )
    text += " [site.md](project/site.md) <https://example.org>"
    assert sources.on_site(text, "docs/tour.md", "tour.md") == (
        "[a](source/memory/core.py.md) [b](sb3.md#x) [c](index.md) [d](images/fall.png) [e](source/examples/index.md) "
        "[f](#g) [How is this site built?](project/site.md) <https://example.org>"
    )
    moved = sources.on_site("[a](docs/tour.md)", "CHANGELOG.md", "project/changelog.md")
    assert moved == "[a](../tour.md)"
    pages = sources.source_pages({"docs/tour.md": text})
    assert "source/memory/core.py.md" in pages and "source/examples/ppo.py.md" in pages
    assert "class Memory(" in pages["source/memory/core.py.md"]


def test_faults_of_built_pages_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text('<p id="here">x</p>')
    (tmp_path / "style.css").write_text("@font-face { src: url(https://fonts.example/a.woff) }")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="//cdn.example/a.css"><script src="https://cdn.example/a.js"></script>'
        '<img src="gone.png"><a href="there.html#here">1</a><a href="there.html#away">2</a><a href="gone.html">3</a>'
        '<a href="https://example.org">4</a><a href="/there.html">5</a>'
        '<p style="background: url(//x.example/i)"></p><p>x\n- a</p>'
    )
    found = [fault.split(":")[0] for fault in built.faults(tmp_path)]
    assert len(found) == 9
    for name in ("cdn.example/a.css", "cdn.example/a.js", "x.example/i", "fonts.example"):
        assert sum(name in fault and "another host" in fault for fault in built.faults(tmp_path)) == 1
    for name in ("gone.png", "#away", "gone.html", "/there.html", "as text"):
        assert any(name in fault for fault in built.faults(tmp_path)), name
