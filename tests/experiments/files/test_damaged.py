"""Damaged and foreign files give what was written or a clear error, within 2 s and bounded memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.experiments.files.kinds import KINDS
from tests.experiments.files.tries import Kind, attempts, generated


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_files(kind: Kind) -> None:
    tried, faults = attempts(kind, count=4)
    assert tried > 10 and not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_many_damaged_files(kind: Kind) -> None:
    _, faults = attempts(kind, count=100, seed=1)
    assert not faults, "\n".join(faults)


def test_the_files_are_the_same_every_time(tmp_path: Path) -> None:
    """No clock and no order of a hash table decides what is tried."""
    agent, seen = KINDS[0], set()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        total = hashlib.sha256()
        for what, content in generated(agent, tmp_path / name, 2, 0)[1]:
            total.update(what.encode() + hashlib.sha256(content).digest())
        seen.add(total.digest())
    assert len(seen) == 1
