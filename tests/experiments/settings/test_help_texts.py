"""The help of every number says what is accepted, in the words of its declaration, however wide the terminal is."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.sequence.recipes import RECIPES as SEQUENCES
from expirespan.parameters import Ramp, Rate, TargetKL, Width
from expirespan.ranges import accepted, hints_of

COMMANDS = {
    "train corridor": RECIPES["corridor"].config,
    "train own": RECIPES["own"].config,
    "sequence copy": SEQUENCES["copy"].config,
}


def numbers(part: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Options of numbers and what they accept."""
    for item in dataclasses.fields(part):
        value, name = getattr(part, item.name), f"{prefix}{item.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{name}.")
        elif words := accepted(hints_of(type(part))[item.name]):
            yield f"--{name}", words


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_says_what_it_accepts(command: str, columns: int) -> None:
    env = os.environ | {"COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
    line = [sys.executable, "-m", "expirespan", *command.split(), "--help"]
    output = subprocess.run(line, capture_output=True, encoding="utf-8", env=env, check=True).stdout
    boxes = [line for line in output.splitlines() if line.startswith(("│", "╭"))]
    assert {len(line) for line in boxes} == {columns}
    text = " ".join(" ".join(boxes).replace("│", " ").split())
    options = dict(re.findall(r"(--[a-z][\w.-]*) (.*?\(default: [^)]*\))", text))
    found = list(numbers(COMMANDS[command]))
    assert len(found) > 15
    for option, words in found:
        assert f" Accepts {words}. (default: " in options[option], option


def test_the_words() -> None:
    assert accepted(Width) == "an integer >= 1"
    assert accepted(Rate | None) == "a number within [0, 1] or None"
    assert accepted(tuple[Width, ...]) == "for each an integer >= 1"
    assert accepted(Ramp) == "a finite number of steps >= 1e-12 (near 0 is a hard cut)"
    assert accepted(TargetKL | None) == "a finite number > 0 or None"
    assert accepted(str | None) == accepted(int) == accepted(bool) == ""
