"""`expirespan bench agents`: the bytes by hand, the numbers in the file."""

import json
from dataclasses import replace

import pytest

from expirespan.experiments.bench import agents
from expirespan.experiments.cli import main

SMALL = agents.Options(
    num_envs=2, n_steps=8, epochs=1, batch_size=8, width=8, layers=1, max_span=4, rounds=1, threads=1
)


def test_bytes_by_hand():
    """A rollout of PPO's kind, beside what each memory adds."""
    held = {}
    for name, make in agents.MAKERS["ppo"].items():
        agent = make(SMALL)
        agent.learn(16)
        held[name] = agents.bytes_per_step(agent)
    hidden_and_cell = 4 * 8 * 2 * 2  # float32, width 8, of actor and critic
    starts = 8  # RecurrentPPO also keeps where the sequences of its last minibatch begin, at most one a step
    assert 0 <= held["RecurrentPPO"] - held["PPO"] - hidden_and_cell <= starts
    assert held["MemoryPPO"] < held["PPO"] + hidden_and_cell


def test_the_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(agents, "LEAST_STEPS", 1)
    flags = "--num-envs 2 --n-steps 8 --epochs 1 --batch-size 8 --width 8 --layers 1 --rounds 2 --threads 1"
    assert main(["bench", "agents", *flags.split(), "--output", str(tmp_path / "bench.json")]) == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    rows = {row["agent"]: row for row in found["rows"]}
    assert list(rows) == ["MemoryPPO", "MemoryPPO, forgetful", "PPO", "RecurrentPPO"]
    reference = rows["RecurrentPPO"]
    assert reference["ratio"] == 1
    for row in rows.values():
        assert len(row["rounds"]) == 2 and min(row["rounds"]) <= row["steps_per_second"] <= max(row["rounds"])
        assert row["ratio"] == pytest.approx(row["steps_per_second"] / reference["steps_per_second"])
        assert row["predict_ms"] > 0 and row["reference"] == "RecurrentPPO"
    assert found["options"]["n_steps"] == 8 and "commit" in found
    assert "MemoryPPO" in capsys.readouterr().out


def test_a2c_beside_that_of_sb3(monkeypatch):
    monkeypatch.setattr(agents, "LEAST_STEPS", 1)
    rows = agents.run(replace(SMALL, algorithm="a2c"))
    assert [row.agent for row in rows] == ["MemoryA2C", "MemoryA2C, forgetful", "A2C"]
    assert rows[2].ratio == 1 and {row.reference for row in rows} == {"A2C"}


@pytest.mark.parametrize(
    "args, message",
    [
        (["agent"], "unknown bench 'agent': did you mean 'agents'? expected one of agents"),
        (["agents", "--rounds", "0"], "rounds=0: expected at least 1"),
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
