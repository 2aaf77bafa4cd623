"""Checks of the built pages: every link leads somewhere, and nothing is taken from another host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "use": "href",
}
"""Elements that load something, and the attribute that says what."""
_OUTSIDE = re.compile(r"(?:@import\s+[\"']?|url\(\s*[\"']?)(?:https?:)?//[^)\"'\s]+")


class Page(HTMLParser):
    """Links, what is loaded (by elements, by styles), and anchors of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.styles: list[str] = []
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what an element refers to."""
        given = {key: value or "" for key, value in attrs}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and not {"canonical", "next", "prev", "alternate"} & set(
            given.get("rel", "").split()
        ):
            self.loads.append(given.get("href", ""))
        if tag in LOADS and LOADS[tag] in given:
            self.loads.append(given[LOADS[tag]])
        self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.styles += [found[0] for found in _OUTSIDE.finditer(given.get("style", ""))]


@cache
def read(path: Path) -> Page:
    """A page of the site."""
    return Page(path.read_text(encoding="utf-8"))


def faults(site: Path) -> Iterator[str]:
    """One sentence for each link that leads nowhere, and for each thing that another host would have to give."""
    for path in sorted(site.rglob("*.html")):
        page, name = read(path), path.relative_to(site)
        for url in [*page.styles, *(url for url in page.loads if urlsplit(url).netloc)]:
            yield f"{name} loads {url} from another host"
        if name.name == "404.html":
            continue  # a server shows it in place of any page, so that its links begin at the root
        for url in page.links + page.loads:
            if wrong := _dead(site, path, url):
                yield f"{name} links to {url}: {wrong}"
        if found := re.search(r"<p>[^<]*\n(?:- |\d+\. |\|)", path.read_text(encoding="utf-8")):
            yield f"{name} shows a list or table as text: {found[0][-60:]}"
    for path in sorted(site.rglob("*.css")):
        for found in _OUTSIDE.finditer(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads {found[0]} from another host"


def _dead(site: Path, path: Path, url: str) -> str:
    """Why a link leads nowhere, or nothing."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_relative_to(site.resolve()) or parts.path.startswith("/"):
        return "outside of the site"
    if not target.is_file():
        return "there is no such file"
    anchor = unquote(parts.fragment)
    if anchor and anchor != "__skip" and target.suffix == ".html" and anchor not in read(target).anchors:
        return "there is no such anchor"
    return ""


def summary(site: Path) -> str:
    """How many pages, files and bytes, in words."""
    files = [path for path in site.rglob("*") if path.is_file()]
    pages = [path for path in files if path.suffix == ".html"]
    own = [path for path in pages if path.relative_to(site).parts[0] not in ("source", "viewers")]
    size = sum(path.stat().st_size for path in files)
    others = f"{len(pages) - len(own)} of sources and the viewer"
    return f"{len(own)} pages, {others}, {size / 1e6:.1f} MB in {len(files)} files"
