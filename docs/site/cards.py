"""A page for each environment: its card, from the docstring, and what it renders now."""

from __future__ import annotations

import io
import re

from PIL import Image

from expirespan.experiments.pictures.environment_page import PICTURES, classes, markdown, picture

FOLDER = "reference/environments"
PAGES = [f"{FOLDER}/{name.lower()}.md" for name in PICTURES]


def make() -> dict[str, str | bytes]:
    """The pages and pictures by their place."""
    made: dict[str, str | bytes] = {}
    for name, cls in classes().items():
        shown = PICTURES[name]
        pixels = io.BytesIO()
        Image.fromarray(picture(shown)).save(pixels, "png")
        drawn = (
            f"![{name}]({name.lower()}.png)\n\n*The oracle in `{shown.env_id}` after {shown.steps} steps.*"
        )
        summary, *sections = markdown(cls.__doc__ or "")
        body = [re.sub(r"^\*\*(.+)\*\*$", r"## \1", part) for part in sections]
        made[f"{FOLDER}/{name.lower()}.md"] = "\n\n".join([f"# {name}", summary, drawn, *body]) + "\n"
        made[f"{FOLDER}/{name.lower()}.png"] = pixels.getvalue()
    return made


def overview(page: str) -> str:
    """docs/environments.md with each card cut to its summary and picture, and a link to its page."""
    start, *cards = re.split(r"^(?=## )", page, flags=re.M)
    parts = [start]
    for card in cards:
        heading, drawn, summary = card.split("\n\n")[:3]
        link = f"[The card of {heading[3:]}]({FOLDER}/{heading[3:].lower()}.md)"
        parts.append("\n\n".join([heading, drawn, summary, link]) + "\n\n")
    return "".join(parts)
