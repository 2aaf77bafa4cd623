"""Runs that are stopped, resumed, or come upon NaN."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorWrapper

from expirespan.agents import SB3VecEnv
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import A2CSettings, Config, PPOSettings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import STEP, read_csv
from expirespan.experiments.training import train as module
from expirespan.experiments.training.callbacks import TrainingCallback
from expirespan.experiments.training.train import train

pytestmark = pytest.mark.usefixtures("no_drawing")


def interrupting(monkeypatch: pytest.MonkeyPatch, at: int, number: signal.Signals) -> None:
    on_step = TrainingCallback._on_step

    def step(self: TrainingCallback) -> bool:
        if self.num_timesteps == at:
            signal.raise_signal(number)
        return on_step(self)

    monkeypatch.setattr(TrainingCallback, "_on_step", step)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_training_goes_on_later(
    tiny: Config, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        interrupting(patch, 800, number)
        result = train(tiny)
    assert result.interrupted
    assert result.picture is None
    assert signal.getsignal(number) is handler
    run = result.run
    assert run.newest_checkpoint().name == "step-0000000768.zip", "that of the last update"
    assert [entry["step"] for entry in run.evaluations()] == [512]

    resumed = train(tiny, Run.open(run.folder))
    assert not resumed.interrupted
    assert resumed.run.folder == run.folder
    assert resumed.steps == 1024
    steps = [int(row["time/total_timesteps"]) for row in read_csv(run.progress)]
    assert steps == sorted(steps)
    assert run.evaluations()[-1]["step"] == resumed.steps


def test_the_second_ctrl_c_stops_at_once(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: TrainingCallback) -> bool:
        signal.raise_signal(signal.SIGINT)
        return True

    monkeypatch.setattr(TrainingCallback, "_on_step", step)
    with pytest.raises(KeyboardInterrupt):
        train(tiny)
    run = Run.open(Path(tiny.runs) / "tiny")
    with pytest.raises(UserError, match="no checkpoint yet"):
        run.newest_checkpoint()


def test_resuming_loads_weights_optimiser_and_steps(tiny: Config) -> None:
    result = train(tiny)
    longer = replace(tiny, total_timesteps=1025)
    env = world_making.make_training_env(tiny)
    loaded = agent_making.load_agent(tiny, result.run.newest_checkpoint(), env)
    assert loaded.num_timesteps == 1024
    weights = result.agent.policy.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in loaded.policy.state_dict().items())
    momentum = loaded.policy.optimizer.state_dict()["state"]
    assert momentum and len(momentum) == len(result.agent.policy.optimizer.state_dict()["state"])
    assert train(longer, result.run).steps == 1024 + 128
    assert result.run.config == longer


def history(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All rows and evaluations, times aside."""
    rows = [
        {k: v for k, v in row.items() if k not in ("time/fps", "time/time_elapsed")}
        for row in read_csv(run.progress)
    ]
    timed = ("steps_per_second", "step_times")
    return rows, [{k: v for k, v in entry.items() if k not in timed} for entry in run.evaluations()]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [PPOSettings, A2CSettings])
def test_a_run_with_breaks_is_the_run_without(
    tiny: Config, monkeypatch: pytest.MonkeyPatch, algorithm: type[PPOSettings | A2CSettings]
) -> None:
    """Interrupted within a rollout, then killed after an evaluation, it leaves the same weights and logs."""
    given = {"batch_size": 64, "n_epochs": 1} if algorithm is PPOSettings else {}
    config = replace(
        tiny,
        tensorboard=True,
        standardize=64,
        reward_scale=0.5,
        normalize_reward=True,
        algorithm=algorithm(n_steps=16, lr_schedule="linear", **given),  # type: ignore[arg-type]
        evaluation=replace(tiny.evaluation, every=384),  # a row of the log for every third rollout
    )
    whole = train(config)
    with monkeypatch.context() as patch:
        interrupting(patch, 704, signal.SIGINT)  # two rollouts after the first evaluation
        interrupted = train(config)
    run = interrupted.run
    assert interrupted.interrupted and run.newest_checkpoint().name == "step-0000000640.zip"
    with monkeypatch.context() as patch:  # killed when the second evaluation is logged, but not yet saved

        def killed(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(Run, "save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, Run.open(run.folder))
    assert [int(row[STEP]) for row in read_csv(run.progress)][-1] == 768
    resumed = train(config, Run.open(run.folder))
    weights = whole.agent.policy.state_dict()
    assert all(torch.equal(weights[n], value) for n, value in resumed.agent.policy.state_dict().items())
    assert history(run) == history(whole.run)
    assert run.best.exists() and resumed.steps == whole.steps == 1024


class _Poisoned(VectorWrapper):
    """Rewards become nan after some steps."""

    taken = 0

    def step(self, actions: Any) -> Any:
        observations, rewards, *rest = self.env.step(actions)
        self.taken += 1
        return observations, rewards * (np.nan if self.taken > 70 else 1), *rest


def test_nan_is_explained_and_checkpoints_stay(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(config: Config) -> SB3VecEnv:
        return SB3VecEnv(_Poisoned(world_making.make_envs(config.env, config.num_envs)))

    monkeypatch.setattr(module, "make_training_env", poisoned)
    with pytest.raises(UserError) as caught:
        train(tiny)
    message = str(caught.value)
    assert "reward" in message and "nan" in message
    assert "step-0000000512.zip" in message
    assert "\n" not in message
    run = Run.open(Path(tiny.runs) / "tiny")
    assert run.newest_checkpoint().exists()
    assert "Traceback" in (run.folder / "error.txt").read_text()
    assert run.newest_checkpoint().name == "step-0000000512.zip"
