"""Links from pages to files of the repository that are no pages: each such file gets a page with its text.

So a link to ``../memory/core.py`` works in the repository, and on the site, also without a network.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
}
"""Pages outside of docs, and the pages of the site that stand for them."""
_LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
_NAMED = re.compile(r"\[(?:docs/)?[\w-]+\.md\](?=\(([^)#\s]+)[)#])")
_LANGUAGES = {
    ".py": "python",
    ".h": "c",
    ".c": "c",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".json": "json",
    ".toml": "toml",
}


def page_of(path: str) -> str:
    """The site's page or file for a path of the repository."""
    if path in PROJECT:
        return PROJECT[path]
    inside, place = path.removeprefix("docs/"), ROOT / path
    if inside != path and not place.is_dir() and not path.endswith(".py"):
        return inside  # a page, a picture, data; or a page that is made, which mkdocs checks
    return f"source/{path}/index.md" if place.is_dir() else f"source/{path}.md"


def targets(text: str, origin: str) -> set[str]:
    """Paths in the repository to which the text of ``origin`` links."""
    folder = posixpath.dirname(origin)
    return {posixpath.normpath(posixpath.join(folder, found[2])) for found in _LINK.finditer(text)}


def on_site(text: str, origin: str, page: str) -> str:
    """The text of a file of the repository as ``page`` of the site: links lead to its pages, and have their titles."""
    folder, here = posixpath.dirname(origin), posixpath.dirname(page)

    def there(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, found[2]))
        return found[1] + posixpath.relpath(page_of(path), here or ".") + (found[3] or "")

    def title(found: re.Match[str]) -> str:
        place = ROOT / posixpath.normpath(posixpath.join(folder, found[1]))
        heading = re.search(r"^# (.+)$", place.read_text(encoding="utf-8"), re.M) if place.is_file() else None
        return f"[{heading[1]}]" if heading else found[0]

    return _LINK.sub(there, _NAMED.sub(title, text))


def texts_in(folder: Path) -> list[Path]:
    """The files below a folder that are texts."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    return [file for file in files if b"\0" not in file.read_bytes()]


def source_page(path: str) -> str:
    """A page with the text of a file, or with the files of a folder."""
    head = "---\nsearch: {exclude: true}\n---\n\n"
    place = ROOT / path
    if place.is_dir():
        files = texts_in(place)
        rows = [f"- [`{file.relative_to(place)}`]({_relative(file, path)})" for file in files]
        return f"{head}# {path}/\n\n" + "\n".join(rows) + "\n"
    text = place.read_text(encoding="utf-8")
    fence = "`" * (max([2, *map(len, re.findall(r"`+", text))]) + 1)
    return f"{head}# {path}\n\n{fence}{_LANGUAGES.get(place.suffix, 'text')}\n{text}{fence}\n"


def _relative(file: Path, folder: str) -> str:
    return posixpath.relpath(page_of(file.relative_to(ROOT).as_posix()), f"source/{folder}")


def source_pages(texts: dict[str, str]) -> dict[str, str]:
    """All such pages by their place on the site, for ``texts`` by their place in the repository."""
    todo = {path for origin, text in texts.items() for path in targets(text, origin)}
    done: dict[str, str] = {}
    while todo:
        path = todo.pop()
        page = page_of(path)
        if not page.startswith("source/") or page in done or not (ROOT / path).exists():
            continue
        done[page] = source_page(path)
        if (ROOT / path).is_dir():
            todo |= {file.relative_to(ROOT).as_posix() for file in texts_in(ROOT / path)}
    return done
