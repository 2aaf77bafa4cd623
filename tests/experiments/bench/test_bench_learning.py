"""Recipes beside RecurrentPPO: both are trained, evaluated and told apart."""

from __future__ import annotations

import pytest

from expirespan.experiments.bench.learning import Options, run, table
from expirespan.experiments.settings.errors import UserError


def test_both_agents_are_trained_and_evaluated() -> None:
    rows = run(Options(("cartpole",), (3,), total_timesteps=200, episodes=4, progress=False))
    assert [(row.agent, row.seed, row.steps) for row in rows] == [
        ("MemoryPPO", 3, 1024),
        ("RecurrentPPO", 3, 256),
    ]
    for row in rows:
        assert 8 <= row.mean_return <= 500 and row.success is None, (
            "CartPole pays 1 a step and tells no success"
        )
        assert row.steps_per_second > 0
    memory, recurrent = table(rows).splitlines()[1:]
    ratio = rows[0].steps_per_second / rows[1].steps_per_second
    assert memory.split()[-1] == f"{ratio:.2f}" and recurrent.split()[-1] == "1.00"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(recipes=("cartpol",)), "unknown recipe"),
        (Options(recipes=("corridor-a2c",)), "not of PPO"),
        (Options(seeds=()), "at least one"),
    ],
)
def test_what_cannot_be_compared(options: Options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(options)
