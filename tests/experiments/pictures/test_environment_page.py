"""docs/environments.md is what the cards say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from expirespan.envs import ENVIRONMENTS
from expirespan.experiments.pictures.environment_page import COMMAND, PICTURES, main, markdown, page, picture
from expirespan.experiments.settings.errors import UserError

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "environments.md").read_text(encoding="utf-8") == page(), f"run {COMMAND}"


def test_every_environment_is_on_it_with_a_picture() -> None:
    text = page()
    assert all(f"`{name}`" in text for name in ENVIRONMENTS)
    classes = {listed.entry_point.partition(":")[2] for listed in ENVIRONMENTS.values()}
    assert classes == set(PICTURES)
    for name in classes:
        path = f"images/env-{name.lower()}.png"
        assert f"]({path})" in text
        with Image.open(DOCS / path) as image:
            image.verify()


def test_markdown_of_a_card() -> None:
    card = """``X-v0``: summary.

    Description
        Some text
        in ``two`` lines. A map::

            #.#

    Parameters
        a (1): first,
            of two.
        b (2): second.

        More.
    """
    assert list(markdown(card)) == [
        "`X-v0`: summary.",
        "**Description**",
        "Some text\nin `two` lines. A map:",
        "```text\n#.#\n```",
        "**Parameters**",
        "- a (1): first,\n  of two.\n- b (2): second.",
        "More.",
    ]


def test_writing(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "images").mkdir()
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "environments.md").read_text(encoding="utf-8") == page()
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(PICTURES)
    with Image.open(tmp_path / "images" / "env-portalrooms.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture(PICTURES["PortalRooms"]))
    with pytest.raises(UserError, match="expected the docs folder"):
        main([str(tmp_path / "images")])
