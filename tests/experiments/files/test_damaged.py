"""Damaged and foreign files give what was written or a clear error, within 2 s and bounded memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from kinds import KINDS
from tries import Kind, attempts


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_files(kind: Kind) -> None:
    tried, faults = attempts(kind, count=4)
    assert tried > 10 and not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_many_damaged_files(kind: Kind, seed: int) -> None:
    _, faults = attempts(kind, count=100, seed=seed)
    assert not faults, "\n".join(faults)
