"""The table of docs/sb3.md, "Line by line": both columns are run, each as one program."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from rl_zoo3.utils import ALGOS
from sb3_contrib.common.maskable.utils import get_action_masks
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from expirespan.agents import MemoryPPO, register_zoo
from tests.agents.masked_env import MaskedRecall

PAGE = Path(__file__).parents[2] / "docs" / "sb3.md"
SMALLER = (
    (r"\b100_000\b", "32"),
    (r"_steps=128\b", "_steps=16"),
    (r"_size=128\b", "_size=16"),
    (r"=64\b", "=8"),
)
SMALLER += ((r"(RecurrentPPO|MaskablePPO)\((.*_?env|.*masked)", r"\1(\2, n_steps=16, batch_size=16"),)
SMALLER += ((r'(MemoryPPO\("MlpPolicy", masked)', r"\1, n_steps=16, batch_size=16"),)
"""What is written for people, and what is run."""


def rows() -> list[tuple[str, str]]:
    """The code of the second and third column of each row, empty where there is none."""
    table = re.search(r"^### Line by line$.*?^\|---[^\n]*\n((?:\|[^\n]*\n)+)", PAGE.read_text(), re.M | re.S)
    assert table is not None
    cells = [re.split(r"(?<!\\) ?\| ?", line)[2:4] for line in table[1].splitlines()]
    code = [tuple(cell.strip().strip("`").replace(r"\|", "|") for cell in row) for row in cells]
    return [(theirs, ours) for theirs, ours in code]


class Seen(gym.ObservationWrapper[Any, Any, Any]):
    """CartPole observed as an image or a dictionary."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        super().__init__(gym.make("CartPole-v1"))
        self.observation_space = space

    def observation(self, observation: Any) -> Any:
        return self.observation_space.sample()


def known() -> dict[str, Any]:
    return {
        "vec_env": make_vec_env("CartPole-v1", n_envs=2, seed=0),
        "eval_env": make_vec_env("CartPole-v1", n_envs=2, seed=1),
        "image_env": Seen(spaces.Box(0, 255, (36, 36, 1), np.uint8)),
        "dict_env": Seen(spaces.Dict(place=spaces.Box(-1, 1, (2,)), room=spaces.Discrete(3))),
        "masked_env": MaskedRecall("info"),
        "masked_eval_env": make_vec_env(MaskedRecall, n_envs=2, seed=1),
        **{
            "np": np,
            "gym": gym,
            "ALGOS": ALGOS,
            "EvalCallback": EvalCallback,
            "evaluate_policy": evaluate_policy,
        },
        **{"make_vec_env": make_vec_env, "VecNormalize": VecNormalize, "get_action_masks": get_action_masks},
        **{"ActionMasker": ActionMasker, "register_zoo": register_zoo},
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Training and eval env are not of the same type")
@pytest.mark.parametrize("column", ["theirs", "ours"])
def test_every_line_runs(column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    th.set_num_threads(1)
    names, before = known(), MaskedRecall.forbidden
    for theirs, ours in rows():
        code = theirs if column == "theirs" else ours
        for pattern, smaller in SMALLER:
            code = re.sub(pattern, smaller, code)
        try:
            exec(code, names)
        except Exception as error:
            raise AssertionError(f"{code}: {error}") from error
    kind = {"theirs": "MaskablePPO", "ours": "MemoryPPO"}[column]
    assert type(names["model"]).__name__ == kind and names["model"].num_timesteps >= 32
    assert names["algorithm"].__name__ == {"theirs": "RecurrentPPO", "ours": "MemoryPPO"}[column]
    assert MaskedRecall.forbidden == before


def test_rows_are_complete() -> None:
    """Everything is there, and what is refused does not stand on our side."""
    text = PAGE.read_text()
    for name in ("lstm_hidden_size", "n_lstm_layers", "shared_lstm", "enable_critic_lstm", "lstm_kwargs"):
        assert any(name in theirs for theirs, _ in rows()), name
        assert all(name not in ours for _, ours in rows()), name
    assert len(rows()) > 25 and "MaskableEvalCallback" in text


def test_defaults_are_as_the_table_has_them() -> None:
    """RecurrentPPO's differ from PPO's, which are ours."""
    from sb3_contrib import RecurrentPPO

    model = RecurrentPPO("MlpLstmPolicy", "CartPole-v1", policy_kwargs={"lstm_hidden_size": 8})
    assert (model.n_steps, model.batch_size) == (128, 128)
    ours = MemoryPPO("MlpPolicy", "CartPole-v1")
    assert (ours.n_steps, ours.batch_size) == (2048, 64)


def test_the_identity_environments_are_quoted_as_measured() -> None:
    found = json.loads((PAGE.parent / "results" / "learning" / "identity.json").read_text())
    assert found["cells"]
    for cell in found["cells"]:
        assert len(cell["scores"]) == 10
        scores = f"{cell['mean']:.1f} ({min(cell['scores']):.1f}-{max(cell['scores']):.1f})"
        assert f"| `{cell['env']}`, gamma {cell['gamma']} | {cell['agent']} | {scores} |" in PAGE.read_text()
        assert cell["mean"] == pytest.approx(np.mean(cell["scores"]), abs=0.05)
