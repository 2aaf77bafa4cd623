"""rl-baselines3-zoo trains, shows and optimises the agents, by the commands of examples/zoo.py."""

from __future__ import annotations

import csv
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch as th
from rl_zoo3.hyperparams_opt import HYPERPARAMS_CONVERTER, HYPERPARAMS_SAMPLER
from rl_zoo3.utils import ALGOS

from expirespan.agents import MemoryA2C, MemoryPPO, register_zoo
from expirespan.memory import TransformerMemory

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = "-P --num-threads 1 --device cpu --seed 0 --eval-episodes 1 --vec-env dummy --verbose 0"
CONFIGURATION = """
CartPole-v1:
  policy: MlpPolicy
  n_envs: 2
  n_timesteps: 64
  n_steps: 16
  normalize: true
  policy_kwargs: "dict(memory_kwargs=dict(width=16, layers=1, max_span=16, ramp=4))"
"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``zoo("train --algo memory_ppo")``: the example's main, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    th.set_num_threads(1)
    (tmp_path / "zoo.yml").write_text(CONFIGURATION)
    main = runpy.run_path(str(EXAMPLES / "zoo.py"))["main"]

    def run(command: str) -> None:
        monkeypatch.setattr(sys, "argv", ["zoo.py", *shlex.split(command)])
        main()

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [("memory_ppo", MemoryPPO), ("memory_a2c", MemoryA2C)])
def test_train_enjoy_and_optimize(
    zoo: Any, name: str, kind: type[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = f"--algo {name} --env CartPole-v1"
    zoo(f"train {same} --conf-file zoo.yml --eval-freq 32 --save-freq 32 {QUICK}")
    folder = tmp_path / "logs" / name / "CartPole-v1_1"
    agent = kind.load(folder / "CartPole-v1.zip")
    assert agent.num_timesteps == 64 and agent.policy.memory.width == 16
    assert (folder / "rl_model_64_steps.zip").is_file() and (folder / "best_model.zip").is_file()

    zoo(f"enjoy {same} --folder logs --no-render --n-timesteps 100 --device cpu")
    assert "Mean reward:" in capsys.readouterr().out

    zoo(
        f"train -optimize {same} --conf-file zoo.yml --n-timesteps 64 --n-trials 2 --n-evaluations 1 "
        f"--n-startup-trials 1 --sampler random --pruner none --no-optim-plots {QUICK}"
    )
    assert "Number of finished trials:  2" in capsys.readouterr().out
    report = next((tmp_path / "logs" / name).glob("report_*.csv"))
    trials = list(csv.DictReader(report.open()))
    assert [trial["state"] for trial in trials] == ["COMPLETE"] * 2
    assert float(trials[0]["value"]) >= 1 and trials[0]["params_max_span_pow"] in "56789"


@pytest.mark.parametrize(("name", "kind"), [("memory_ppo", MemoryPPO), ("memory_a2c", MemoryA2C)])
def test_what_is_tried_can_be_made(name: str, kind: type[Any]) -> None:
    """The best trial's stored parameters, converted, are the settings that it ran with."""
    register_zoo()
    assert ALGOS[name] is kind
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(4):
        trial = study.ask()
        settings = HYPERPARAMS_SAMPLER[name](trial, 0, 2, {})
        assert settings == HYPERPARAMS_CONVERTER[name](trial.params)
        assert 0.97 <= settings["gamma"] < 1 and 16 <= settings["n_steps"] <= 512
        memory = kind("MlpPolicy", "CartPole-v1", device="cpu", **settings).policy.memory
        assert isinstance(memory, TransformerMemory)
        given = settings["policy_kwargs"]["memory_kwargs"]
        assert memory.rules[0].max_span == given["max_span"] and memory.width == given["width"]


def test_the_zoo_is_not_imported_until_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("rl_zoo3", "rl_zoo3.utils", "rl_zoo3.hyperparams_opt"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"rl_zoo3.* is not installed: pip install 'expirespan\[zoo\]'"):
        register_zoo()
