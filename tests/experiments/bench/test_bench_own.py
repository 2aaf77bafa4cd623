"""The recipe own beside agents without it: all are trained with its settings, evaluated and told apart."""

from __future__ import annotations

import pytest

from expirespan.experiments.bench.own import Options, run, table
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.settings.errors import UserError


@pytest.mark.slow
def test_all_agents_are_trained_and_evaluated() -> None:
    rows = run(Options(("cartpole",), seeds=(3,), total_timesteps=200, episodes=4, progress=False))
    own = RECIPES["own"].config
    rollout = own.num_envs * own.algorithm.n_steps  # type: ignore[union-attr]
    assert [(row.agent, row.steps) for row in rows] == [
        ("MemoryPPO", rollout),
        ("PPO", rollout),
        ("RecurrentPPO", rollout),
    ]
    assert all(8 <= row.mean_return <= 500 for row in rows), "CartPole pays 1 a step"
    assert [bool(row.alive) for row in rows] == [True, False, False]
    assert rows[0].kept.startswith("The agent keeps")
    assert len(table(rows).splitlines()) == 4


def test_small_images_have_the_same_features_for_all() -> None:
    """MiniGrid's images are too small for NatureCNN, which SB3's agents would refuse."""
    rows = run(Options(("memory-s11",), ("PPO",), (0,), total_timesteps=100, episodes=1, progress=False))
    assert rows[0].steps > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(environments=("cartpol",)), "unknown environment 'cartpol': did you mean 'cartpole'"),
        (Options(("cartpole",), agents=("DQN",)), "unknown agent 'DQN'"),
        (Options(("cartpole",), seeds=()), "at least one"),
    ],
)
def test_what_cannot_be_compared(options: Options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(options)
