"""Code blocks and commands in README and docs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```", re.M | re.S
)
_INLINE = re.compile(r"`((?:\.venv/bin/)?expirespan [a-z][^`]*|python -m expirespan[^`]*)`")


@dataclass(frozen=True)
class Block:
    """``reason``: why it cannot be run here, None if it is run."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    """Fenced blocks of all pages, those of language ``text`` and of mathematics apart."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            if found["language"] == "text" or (not found["language"] and "expirespan" not in found["text"]):
                continue
            line = text[: found.start()].count("\n") + 1
            yield Block(page.name, line, found["language"], found["text"], found["reason"])


def commands(block: str) -> Iterator[list[str]]:
    """The ``expirespan`` commands in a block of shell, as arguments; comments, ``&&`` and [optional] parts resolved."""
    joined = block.replace("\\\n", " ")
    for line in joined.splitlines():
        for part in re.sub(r"\s#.*", "", line).split("&&"):
            words = shlex.split(part.replace("[", "").replace("]", ""))
            if words and words[0].removeprefix(".venv/bin/") == "expirespan":
                yield words[1:]


def inline() -> Iterator[tuple[str, str]]:
    """Commands within the text, with the page they stand on."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for found in _INLINE.finditer(text):
            yield page.name, " ".join(found[1].split())
