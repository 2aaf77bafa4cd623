"""`expirespan bench growth`: a training that keeps and one that forgets, each in its own process."""

from __future__ import annotations

import pytest

from expirespan.experiments.bench.growth import PRICES, Options, Row, config_of, run, table
from expirespan.experiments.training import process_memory


@pytest.mark.slow
def test_both_are_trained_and_their_process_measured() -> None:
    rows = run(Options(steps=512, num_envs=4, jobs=2))
    assert [row.agent for row in rows] == list(PRICES)
    for row in rows:
        assert row.steps[-1] == 512 and len(row.steps) == len(row.megabytes) == len(row.kept)
        assert all(50 < size < 5000 for size in row.megabytes)
        assert row.kept[-1] > 0


def test_the_table_by_hand() -> None:
    row = Row("keeps", [100 * i for i in range(1, 9)], [1, 5, 3, 2, 8, 4, 7, 6], [9.0] * 8)
    assert table([row]).splitlines()[1].split() == ["keeps", "9.0", "5", "3", "8", "7"]


def test_they_differ_in_the_price_alone(tmp_path) -> None:
    keeps, forgets = (config_of(agent, Options(), str(tmp_path)) for agent in PRICES)
    assert keeps.penalty.coef == 0 < forgets.penalty.coef and keeps.env == forgets.env


def test_where_malloc_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl and macOS have no mallopt."""
    monkeypatch.setattr(process_memory.ctypes, "CDLL", lambda _: object())
    process_memory.choose_malloc(process_memory.BOUNDED)
    assert process_memory.resident_bytes() >= 0
