"""Peers in `expirespan bench agents`: small checkouts of the same layout, served, interleaved and refused."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from expirespan.experiments.bench import agents, rivals, served
from expirespan.experiments.bench.peers import puffer, trxl
from expirespan.experiments.cli import main
from expirespan.experiments.settings.errors import UserError
from tests.experiments.bench.sizes import SMALL

TRXL, PUFFER = "CleanRL ppo_trxl", "PufferLib PPO, LSTM"
SCRIPT = """
import sys
from pathlib import Path

import gymnasium as gym
import memory_gym
import numpy as np
from pom_env import PoMEnv

if __name__ == "__main__":
    given = dict(option.lstrip("-").split("=") for option in sys.argv[1:] if "=" in option)
    assert given["num-minibatches"] == "2" and given["trxl-memory-length"] == "4" and "--no-cuda" in sys.argv
    N = int(given["num-envs"])
    envs = gym.vector.SyncVectorEnv([None] * N)
    assert envs.envs[0].spec.max_episode_steps == 4 * 5 + 16
    assert envs.reset(seed=1)[0].shape == (N, 54)
    while True:
        for _ in range(int(given["num-steps"])):
            envs.step(np.zeros((N, 1), int))
        print("a report")
        with open(Path(__file__).with_name("iterations"), "a") as file:
            file.write("one\\n")
"""
LOOP = """
from types import SimpleNamespace

import pufferlib
import pyximport
from c_gae import compute_gae

assert compute_gae == 7


def create(config, vecenv, policy):
    assert config.batch_size == 16 and config.minibatch_size == 8 and config.bptt_horizon == 8
    assert config.gamma == 0.9 and policy == ("recurrent", ("lstm", "encoder", 8, 8))
    vecenv.async_reset(1)
    return SimpleNamespace(vecenv=vecenv, config=config)


def evaluate(data):
    for _ in range(8):
        observations, rewards, dones, cuts, infos, who, present = data.vecenv.recv()
        assert observations.shape == (2, 3, 3, 6) and rewards.dtype == "float32" and sum(present) == len(who) == 2
        data.vecenv.send(who * 0)


def train(data):
    print("a dashboard")


def close(data):
    data.vecenv.close()
"""
PUFFERLIB = {
    "clean_pufferl.py": LOOP,
    "c_gae.pyx": "",
    "c_gae.py": "compute_gae = 7",
    "pyximport.py": "",
    "config.yaml": "default: {train: {gamma: 0.9, device: cuda}}",
    "pufferlib/__init__.py": "from types import SimpleNamespace as namespace",
    "pufferlib/models.py": "Default = lambda env, width: 'encoder'\nLSTMWrapper = lambda env, *rest: ('lstm', *rest)",
    "pufferlib/frameworks/cleanrl.py": "RecurrentPolicy = lambda policy: ('recurrent', policy)",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(served, "LEAST_STEPS", 1)
    monkeypatch.setattr(agents.ideal, "products_per_second", lambda: 1e9)


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def cleanrl(folder, script=SCRIPT):
    return write(folder, {"cleanrl/ppo_trxl/ppo_trxl.py": script})


@pytest.mark.slow
def test_both_take_part(tmp_path, capsys):
    """Under their names, a round at a time, with what is not known left out."""
    checkouts = cleanrl(tmp_path / "one"), write(tmp_path / "two", PUFFERLIB)
    flags = "--corridors 3-5 --batch-sizes 8 --num-envs 2 --n-steps 8 --epochs 1 --width 8 --layers 1 --max-span 4"
    flags += (
        f" --threads 1 --rounds 2 --output {tmp_path / 'bench.json'} --peers {checkouts[0]} {checkouts[1]}"
    )
    assert main(["bench", "agents", *flags.split()]) == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    rows = {row["agent"]: row for row in found["rows"]}
    assert found["options"]["peers"] == ["one", "two"] and list(rows)[2:4] == [TRXL, PUFFER]
    for name in (TRXL, PUFFER):
        assert len(rows[name]["rounds"]) == 2 and min(rows[name]["rounds"]) > 0
        assert rows[name]["ideal"] is rows[name]["predict_ms"] is rows[name]["bytes_per_step"] is None
    assert TRXL in capsys.readouterr().out


def test_it_waits_between_rounds(tmp_path, monkeypatch):
    """A round is as many iterations as have the least steps; none goes on before the next is asked for."""
    monkeypatch.setattr(served, "LEAST_STEPS", 3 * 2 * 8)
    log = cleanrl(tmp_path) / "cleanrl/ppo_trxl/iterations"
    peer = rivals.makers(replace(SMALL, peers=(tmp_path,)), (3, 5), 8)[TRXL]()
    try:
        for rounds in (1, 2):
            assert peer.round().ends == (rounds == 2)  # after 28 to 36 steps, of which a round has 24
            time.sleep(0.1)
            assert len(log.read_text().splitlines()) == 3 * rounds
    finally:
        peer.close()
    assert peer.process.returncode == 0


def given(**settings):
    """As `Rounds`, without waits."""
    sizes = {"corridor": (3, 3), "num_envs": 2, "n_steps": 8, **settings}
    return SimpleNamespace(settings=sizes, rollouts=1, ends=False, next=lambda: None)


def test_episodes_for_cleanrl():
    """Whoever turns all the time in a corridor of 3 cells is stopped after 28 steps, and once more after 28.

    An episode is also reported at the very first step, because the script expects one in its first rollout.
    """
    rounds = given()
    corridors = trxl.Corridors(rounds)
    corridors.reset(seed=0)
    told = {}
    for step in range(1, 57):
        observations, *_, infos = corridors.step(np.zeros((2, 1), int))
        assert observations.shape == (2, 54)
        assert rounds.ends == (step >= 28)
        if infos:
            told[step] = [info and info["episode"] for info in infos["final_info"]]
    stopped = {"r": 0, "l": 28}
    assert told == {1: [{"r": 0, "l": 1}, None], 28: [stopped, stopped], 56: [stopped, stopped]}


def test_steps_for_pufferlib():
    rounds = given()
    corridors = puffer.Corridors(rounds)
    corridors.async_reset(0)
    first = corridors.recv()[0]
    for _ in range(28):
        corridors.send(np.zeros(2, int))
    observations, rewards, terminated, truncated, *_ = corridors.recv()
    assert rounds.ends and truncated.all() and not terminated.any() and not rewards.any()
    assert (observations.shape, observations.dtype) == (first.shape, first.dtype)


def test_a_script_that_fails(tmp_path, capfd):
    cleanrl(tmp_path, "raise RuntimeError('no luck')")
    with pytest.raises(UserError, match=f"peers: {TRXL} ended; its error is above"):
        agents.run(replace(SMALL, peers=(tmp_path,)))
    assert "no luck" in capfd.readouterr().err


@pytest.mark.parametrize(
    "script, options, message",
    [
        (
            None,
            {},
            "expected a checkout of CleanRL, which has cleanrl/ppo_trxl/ppo_trxl.py, or of PufferLib 1.0",
        ),
        (
            "import numpy\nimport no_such.part\nfrom neither import one",
            {},
            "needs no_such, neither; pip install no_such neither",
        ),
        (SCRIPT, {"algorithm": "a2c"}, "peers: expected algorithm=ppo, got a2c"),
        (SCRIPT, {"batch_sizes": (8, 7)}, "batch-sizes=7: peers need a divisor of the rollout's 16 steps"),
    ],
)
def test_refused_before_any_training(script, options, message, tmp_path, monkeypatch):
    if script is not None:
        cleanrl(tmp_path, script)
    monkeypatch.setattr(agents, "_workload", lambda *_: pytest.fail("it trains"))
    with pytest.raises(UserError) as error:
        agents.run(replace(SMALL, peers=(tmp_path,), **options))
    assert message in str(error.value)


def test_one_of_each(tmp_path):
    with pytest.raises(UserError, match=f"expected a checkout of each project, got {TRXL}, {TRXL}"):
        agents.run(replace(SMALL, peers=(cleanrl(tmp_path / "a"), cleanrl(tmp_path / "b"))))
