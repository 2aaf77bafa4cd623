"""Text for people at the width of their terminal, and for files as it is."""

from __future__ import annotations

import io
import re
import sys

import pytest

from expirespan.experiments.terminal.text import facts, fitted, show_table

ROWS = [
    ("runs", "memory", "alive per layer", "each run"),
    ("corridor, seed 1", "lstm", "9.0", "1.000, 0.997"),
    ("window", "fixed_window", "64.0", "0.5"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> Terminal:
    """A screen in the place of the standard output."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    return screen


def test_paragraphs_break_on_a_terminal_and_paths_never_do(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch, 40)
    path = "runs/corridor/" + "x" * 40 + "-0"
    assert (
        fitted(f"see the picture in {path}, which is long") == f"see the picture in\n{path},\nwhich is long"
    )
    assert facts([("folder", "a b"), ("watch", "one " * 12)]) == (
        "folder  a b\nwatch   one one one one one one one one\n        one one one one"
    )


def test_files_get_lines_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert fitted("word " * 60) == "word " * 60
    assert facts([("a", "b" * 200), ("long", "c")]) == f"a     {'b' * 200}\nlong  c"
    show_table(ROWS, left=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| runs | memory | alive per layer | each run |"
    assert lines[2] == "| corridor, seed 1 | lstm | 9.0 | 1.000, 0.997 |"


@pytest.mark.parametrize(("columns", "spared"), [(40, True), (50, False), (120, False)])
def test_a_table_fits_its_terminal(columns: int, spared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_terminal(monkeypatch, columns)
    show_table(ROWS, left=2, spare=("each run",))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()  # without boldface
    assert all(len(line.rstrip()) <= columns for line in lines)
    assert ("0.997" not in screen.getvalue()) == spared
    assert "|" not in screen.getvalue()
    assert any("corridor, seed 1 lstm" in line and "9.0" in line for line in lines), "cells do not break"
