"""`expirespan bench agents`: the bytes by hand, the numbers in the file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from expirespan.experiments.bench import agents, rivals, served
from expirespan.experiments.cli import main
from expirespan.experiments.settings.errors import UserError
from expirespan.memory import MEMORIES
from tests.experiments.bench.sizes import SMALL

ROOT = Path(__file__).parents[3]


def test_bytes_by_hand():
    """A rollout of PPO's kind, beside what each memory adds."""
    held = {}
    for name, make in rivals.makers(SMALL, (3, 5), 8).items():
        agent = make().agent
        agent.learn(16)
        held[name] = agents.bytes_per_step(agent)
    hidden_and_cell = 4 * 8 * 2 * 2  # float32, width 8, of actor and critic
    starts = 8  # RecurrentPPO also keeps where the sequences of its last minibatch begin, at most one a step
    assert 0 <= held["RecurrentPPO"] - held["PPO"] - hidden_and_cell <= starts
    assert held["MemoryPPO"] < held["PPO"] + hidden_and_cell


@pytest.mark.slow
def test_the_file(tmp_path, capsys, monkeypatch):
    """Two workloads; in short corridors episodes end, in corridors of 90 cells none does within 8 steps."""
    monkeypatch.setattr(served, "LEAST_STEPS", 1)
    flags = "--corridors 3-3 90-90 --batch-sizes 8 --num-envs 2 --n-steps 8 --epochs 1 --width 8 --layers 1 --rounds 2"
    flags += " --threads 1"
    assert main(["bench", "agents", *flags.split(), "--output", str(tmp_path / "bench.json")]) == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    assert [row["agent"] for row in found["rows"]] == 2 * [
        "MemoryPPO",
        "MemoryPPO, forgetful",
        "PPO",
        "RecurrentPPO",
        "RecurrentPPO, shared LSTM",
    ]
    for row in found["rows"]:
        assert len(row["rounds"]) == 2 and min(row["rounds"]) <= row["steps_per_second"] <= max(row["rounds"])
        assert row["ratio"][1] <= row["ratio"][0] <= row["ratio"][2]
        assert row["predict_ms"] > 0 and row["reference"] == "RecurrentPPO"
        assert (row["ideal"] is None) == row["agent"].startswith("RecurrentPPO")
        if row["agent"] == "RecurrentPPO":
            assert row["ratio"] == [1, 1, 1]
        if row["corridor"] == "90-90":
            assert row["without_ends"] == row["ratio"] and not any(row["ends"])
    assert found["options"]["n_steps"] == 8 and "commit" in found
    shown = capsys.readouterr().out
    assert "corridors of 3-3 cells, batch 8" in shown and "corridors of 90-90 cells, batch 8" in shown
    lines = shown.splitlines()
    assert lines[1].endswith("  ideal") and lines[2].endswith(f"{found['rows'][0]['ideal']:,.0f}")


def test_a2c_beside_that_of_sb3(monkeypatch):
    monkeypatch.setattr(served, "LEAST_STEPS", 1)
    rows = agents.run(replace(SMALL, algorithm="a2c"))
    assert [row.agent for row in rows] == ["MemoryA2C", "MemoryA2C, forgetful", "A2C"]
    assert rows[2].ratio == (1, 1, 1) and {row.reference for row in rows} == {"A2C"}


@pytest.mark.slow
def test_every_memory(monkeypatch):
    monkeypatch.setattr(served, "LEAST_STEPS", 1)
    rows = agents.run(replace(SMALL, memories=True))
    assert {row.agent.removeprefix("MemoryPPO, ") for row in rows} >= MEMORIES.keys() - {"expire_span"}


@pytest.mark.slow
def test_another_checkout_takes_part(monkeypatch):
    """Here it is this one."""
    rows = agents.run(replace(SMALL, num_envs=250, n_steps=16, batch_sizes=(4000,), version=ROOT))
    other = {row.agent: row for row in rows if row.agent.endswith("of the checkout")}
    assert list(other) == ["MemoryPPO of the checkout", "MemoryPPO, forgetful of the checkout"]
    assert all(row.steps_per_second > 0 and row.predict_ms is row.ideal is None for row in other.values())


@pytest.mark.slow
def test_a_checkout_that_fails(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(served, "LEAST_STEPS", 1)
    for name in ("agents", "envs", "memory", "experiments", "expirespan"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="the other checkout's agent ended; its error is above"):
        agents.run(replace(SMALL, version=tmp_path))
    assert "Error" in capfd.readouterr().err


@pytest.mark.parametrize(
    "args, message",
    [
        (["agent"], "unknown bench 'agent': did you mean 'agents'? expected one of agents"),
        (["agents", "--rounds", "0"], "rounds=0: expected an integer >= 1"),
        (["agents", "--batch-sizes", "0"], "batch_sizes=(0,): expected a tuple, each item an integer >= 1"),
        (["agents", "--corridors", "2-9"], "corridors='2-9': expected LOW-HIGH, lengths of at least 3 cells"),
        (["agents", "--version", "/nowhere"], "version=/nowhere: expected a checkout of expirespan"),
        (["agents", "--algorithm", "dqn"], "dqn"),
        (["agents", "--output", "/nowhere/bench.json"], "expected a file in an existing folder"),
    ],
)
def test_errors(args, message, capsys):
    assert main(["bench", *args]) == 2
    assert message in capsys.readouterr().err


def test_help(capsys):
    assert main(["bench", "--help"]) == 0
    assert "agents" in capsys.readouterr().out
