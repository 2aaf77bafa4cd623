"""Runs: what they leave behind, the same seed twice, targets, the weights that a run begins with."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from expirespan.experiments.episodes.trace import EpisodeTrace
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
from expirespan.experiments.tracking.log_files import read_csv
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
    with pytest.raises(UserError, match=r"'memory\.layers\.0\.norm\.weight' has shape .* and 35 more"):
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
    unended = richer | {"success": None}
    assert rank(unended, TargetSettings(0.95)) < rank(entry, TargetSettings(0.95)), "none ended: no success"
    better = entry | {"success": 1.0, "alive_at_end": [100.0, 3.0]}
    assert rank(better, TargetSettings()) > rank(entry, TargetSettings())
    assert rank(better, TargetSettings(0.95)) < rank(entry, TargetSettings(0.95)), (
        "both good enough: less is better"
    )
    fewer = better | {"alive_at_end": [9.0, 3.0]}
    assert rank(fewer, TargetSettings(0.95, alive=100)) == rank(better, TargetSettings(0.95, alive=100)), (
        "few enough: a draw"
    )


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
