from __future__ import annotations

import json
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorWrapper

from expirespan.agents import SB3VecEnv
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    A2CSettings,
    Config,
    CorridorSettings,
    EvaluationSettings,
    ExpireSpanSettings,
    LSTMSettings,
    PPOSettings,
    TargetSettings,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import STEP, read_csv
from expirespan.experiments.training import train as module
from expirespan.experiments.training.callbacks import TrainingCallback
from expirespan.experiments.training.target import meets, rank
from expirespan.experiments.training.train import train

pytestmark = pytest.mark.usefixtures("no_drawing")


def test_what_a_run_leaves_behind(tiny: Config) -> None:
    result = train(tiny)
    run = result.run
    assert result.steps == 1024
    assert result.reached_target is None and not result.interrupted
    assert run.config == tiny
    assert [path.name for path in run.step_checkpoints()] == ["step-0000000512.zip", "step-0000001024.zip"]
    assert all(zipfile.is_zipfile(path) for path in (*run.step_checkpoints(), run.best))
    assert [entry["step"] for entry in run.evaluations()] == [512, 1024]
    assert result.picture == run.pictures / "retention.png"
    rows = read_csv(run.progress)
    assert {"rollout/success_rate", "expire/layer1/alive", "eval/success_rate", "train/loss"} <= set(rows[0])
    assert [row["time/total_timesteps"] for row in rows if row["eval/success_rate"]] == ["512", "1024"]
    assert json.loads((run.folder / "about.json").read_text())["machine"]["torch_threads"] == 1
    trace = EpisodeTrace.load(run.traces / "step-0000001024.npz")
    assert trace.layers == 2
    assert trace.cue[0] and trace.about["trained_steps"] == 1024
    assert (trace.alive <= np.arange(trace.steps) + 1).all()
    late = min(20, trace.steps - 1)
    on_time = np.minimum(late + np.ceil(trace.span[:, late] + 4), trace.steps)
    assert trace.death[:, late].tolist() == pytest.approx(on_time.tolist(), abs=1)


def test_the_same_seed_gives_the_same_weights_and_logs(tiny: Config) -> None:
    def facts(config: Config) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], list[dict[str, Any]]]:
        result = train(config)
        rows: list[dict[str, Any]] = [
            {k: v for k, v in row.items() if not k.startswith("time/") or k == "time/total_timesteps"}
            for row in read_csv(result.run.progress)
        ]
        timed = ("steps_per_second", "step_times")
        entries = [{k: v for k, v in entry.items() if k not in timed} for entry in result.run.evaluations()]
        return dict(result.agent.policy.state_dict()), rows, entries

    weights, rows, entries = facts(tiny)
    again, rows_again, entries_again = facts(tiny)
    assert list(rows[0]) == list(rows_again[0])
    assert rows == rows_again
    assert entries == entries_again
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    other, _, _ = facts(replace(tiny, seed=1))
    assert any(not torch.equal(weights[name], other[name]) for name in weights)


def test_evaluation_does_not_change_training(tiny: Config) -> None:
    often = train(tiny).agent.policy.state_dict()
    never = train(replace(tiny, evaluation=replace(tiny.evaluation, every=10**9))).agent.policy.state_dict()
    assert all(torch.equal(often[name], never[name]) for name in often)


@pytest.mark.parametrize(
    "changes",
    [{"memory": LSTMSettings(width=16)}, {"algorithm": A2CSettings(n_steps=16)}],
    ids=["lstm", "a2c"],
)
def test_other_memories_and_algorithms(tiny: Config, changes: dict[str, Any]) -> None:
    result = train(replace(tiny, **changes))
    assert result.picture is not None and result.picture.exists()
    assert result.kept.startswith("The agent keeps ") == ("memory" not in changes), "an LSTM has no spans"
    assert result.run.evaluations()[-1]["step"] == 1024


def test_training_ends_when_the_target_is_held(tiny: Config) -> None:
    easy = replace(tiny, total_timesteps=10_000, target=TargetSettings(success=0.0, evaluations=3))
    result = train(easy)
    assert result.reached_target
    assert len(result.run.evaluations()) == 3
    assert result.steps == 3 * 512 + tiny.num_envs, "one step of the next rollout shows that it is over"
    assert not train(
        replace(tiny, target=TargetSettings(success=0.0, alive=0.5, evaluations=1))
    ).reached_target


def test_training_goes_on_after_the_target_for_as_long_as_asked(tiny: Config) -> None:
    """Reached at 512; training ends with the first update 1,000 steps later or more. A resumed run knows it."""
    held = replace(
        tiny,
        total_timesteps=10_000,
        target=TargetSettings(success=0.0, evaluations=1, hold=1_000),
        checkpoints=9,
    )
    result = train(held)
    assert result.reached_target
    assert [entry["step"] for entry in result.run.evaluations()] == [512, 1024, 1536]
    assert result.steps == 1536 + tiny.num_envs
    longer = train(replace(held, target=replace(held.target, hold=1_200)), result.run)
    assert longer.reached_target
    assert [entry["step"] for entry in longer.run.evaluations()] == [512, 1024, 1536, 1792]
    assert [entry["step"] for entry in train(longer.run.config, longer.run).run.evaluations()][3:] == [1792]


def test_a_run_begins_with_the_weights_of_another(tiny: Config) -> None:
    first = train(tiny)
    still = replace(tiny, algorithm=replace(tiny.algorithm, learning_rate=0.0), seed=1)
    named = [str(first.run.folder), str(first.run.newest_checkpoint())]
    for result in [train(replace(still, trained_agent=name)) for name in named]:
        mine, theirs = result.agent.policy.state_dict(), first.agent.policy.state_dict()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
        assert result.run.config.trained_agent in named
    with pytest.raises(UserError, match="its policy is not that of these settings"):
        train(replace(still, trained_agent=named[0], memory=replace(tiny.memory, width=8)))
    with pytest.raises(UserError, match="is no run"):
        train(replace(still, trained_agent="nowhere"))


def test_targets_and_ranks() -> None:
    entry: dict[str, Any] = {"success": 0.96, "mean_return": 0.9, "alive_at_end": [20.0, 31.0]}
    assert meets(entry, TargetSettings(0.96, alive=31))
    assert not meets(entry, TargetSettings(0.96, alive=30))
    assert not meets(entry, TargetSettings(0.97))
    assert not meets(entry, TargetSettings())
    assert not meets(entry | {"success": None}, TargetSettings(0.5))
    assert meets(entry | {"alive_at_end": []}, TargetSettings(0.5, alive=1)), (
        "recurrent memories keep no states"
    )
    assert meets(entry, TargetSettings(mean_return=0.9)) and not meets(
        entry, TargetSettings(mean_return=0.91)
    )
    assert not meets(entry, TargetSettings(0.97, mean_return=0.9)) and not meets(
        entry, TargetSettings(0.96, mean_return=0.91)
    )
    assert meets(entry | {"success": None}, TargetSettings(mean_return=0.9, alive=31))
    richer = entry | {"mean_return": 2.0, "success": 0.1}
    assert rank(richer, TargetSettings()) < rank(entry, TargetSettings()), (
        "success comes first where it is told"
    )
    assert rank(richer, TargetSettings(mean_return=3)) > rank(entry, TargetSettings(mean_return=3)), (
        "unless the return is asked"
    )
    better = entry | {"success": 1.0, "alive_at_end": [100.0, 3.0]}
    assert rank(better, TargetSettings()) > rank(entry, TargetSettings())
    assert rank(better, TargetSettings(0.95)) < rank(entry, TargetSettings(0.95)), (
        "both good enough: less is better"
    )
    fewer = better | {"alive_at_end": [9.0, 3.0]}
    assert rank(fewer, TargetSettings(0.95, alive=100)) == rank(better, TargetSettings(0.95, alive=100)), (
        "few enough: a draw"
    )


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


def test_runs_begun_in_the_same_second_do_not_mix(tiny: Config) -> None:
    folders = {Run.create(tiny).folder for _ in range(3)}
    assert len(folders) == 3
    assert Run.open(tiny.runs + "/tiny").folder == max(folders)


@pytest.mark.slow
def test_corridors_of_three_to_five_cells_are_learned(tiny: Config) -> None:
    config = replace(
        tiny,
        seed=1,
        total_timesteps=200_000,
        num_envs=32,
        env=CorridorSettings(3, 5),
        eval_env=CorridorSettings(3, 5),
        memory=ExpireSpanSettings(width=32, layers=1, heads=2, max_span=64, ramp=8),
        algorithm=PPOSettings(
            learning_rate=1e-3, n_steps=32, batch_size=256, n_epochs=4, gamma=0.97, min_advantage_std=0.05
        ),
        evaluation=EvaluationSettings(every=20_000, episodes=100, num_envs=50),
        target=TargetSettings(success=0.95, evaluations=1),
    )
    result = train(config)
    assert result.reached_target
    assert result.score is not None and result.score.success is not None
    assert result.score.success >= 0.95
