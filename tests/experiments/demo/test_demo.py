"""The demo: what a newcomer sees."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from PIL import Image

from expirespan.experiments.cli import main


def test_what_a_newcomer_sees(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    begun = time.perf_counter()
    assert main(["demo", "--output", str(tmp_path / "new" / "demo")]) == 0
    assert time.perf_counter() - begun < 20
    shown = capsys.readouterr().out
    kept = re.search(
        r"The agent keeps (\d+) of 201 observations: the red ball at step 0 for 200 steps", shown
    )
    assert kept and 9 <= int(kept[1]) <= 20
    assert "success" in shown
    assert max(map(len, shown.splitlines()[-3:])) <= 80 + len(str(tmp_path))
    assert Image.open(tmp_path / "new" / "demo" / "retention.png").width > 800
    page = (tmp_path / "new" / "demo" / "viewer.html").read_text(encoding="utf-8")
    assert "expirespan demo" in page
    assert all(str(tmp_path / "new" / "demo" / name) in shown for name in ("retention.png", "viewer.html"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--length 2", ["length=2", ">= 3"]),
        ("--length long", ["'long'"]),
        ("--lenth 5", ["--lenth", "did you mean --length"]),
        ("--output file", ["file", "--output FOLDER"]),
    ],
)
def test_mistakes(
    options: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["demo", *options.split()]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and all(word in message for word in words)
