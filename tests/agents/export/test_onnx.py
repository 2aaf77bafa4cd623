"""ONNX files in onnxruntime against the policy, over whole episodes that begin at different steps."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import onnxruntime
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import VecNormalize

from expirespan.agents import DeployedPolicy, MemoryPPO, export_onnx
from expirespan.agents.export.check import compare, observation_arrays, onnx_player

CASES = {  # each memory, kind of action, and way of reading an observation is in one; a graph takes seconds to trace
    "expire_span": dict(memory="expire_span", observation="dict", action="multidiscrete", masks=True),
    "expire_span_continuous": dict(memory="expire_span", action="box"),
    "lstm": dict(memory="lstm", observation="multidiscrete", action="discrete"),
    "gru": dict(memory="gru", observation="discrete", action="integers"),
    "adaptive_span": dict(memory="adaptive_span", observation="image", action="multibinary", masks=True),
    "fixed_window": dict(memory="fixed_window", observation="multibinary", action="double", use_sde=True),
    "compressive": dict(memory="compressive", observation="number", action="discrete", masks=True),
}
SLOW = (  # that of an LSTM is also in tests/experiments/export
    "lstm",
    "adaptive_span",
    "fixed_window",
    "compressive",
    "expire_span_continuous",
)


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] * (c in SLOW)) for c in CASES])
def test_onnxruntime_answers_as_the_policy(make_policy, tmp_path, case):
    given = dict(CASES[case])
    masks = given.pop("masks", False)
    if given["memory"] not in ("lstm", "gru"):
        given["memory_kwargs"] = {"layers": 1}
    deployed = DeployedPolicy(make_policy(**given))
    about = export_onnx(deployed, tmp_path / "policy.onnx", action_masks=masks)
    for envs, seed in ((1, 0), (4, 1)):
        found = compare(onnx_player(tmp_path / "policy.onnx", envs), deployed, 120, seed)
        assert found.difference < 1e-5
        assert (found.actions, found.alive, found.overflowed) == (0, 0, 0)
    assert ("alive" in about["outputs"]) == (given["memory"] not in ("lstm", "gru"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A graph of two layers with 4 slots, and its policy, which keeps up to 8 memories."""
    from stable_baselines3.common.utils import ConstantSchedule

    from expirespan.agents import MemoryActorCriticPolicy

    th.manual_seed(0)
    kwargs = dict(width=8, heads=2, positions=3, max_span=6, ramp=3, init_fraction=0.9)
    policy = MemoryActorCriticPolicy(
        spaces.Box(-1, 1, (2,)), spaces.Discrete(3), ConstantSchedule(0.0), memory_kwargs=kwargs
    )
    deployed, path = (
        DeployedPolicy(policy, about={"seed": 3}),
        tmp_path_factory.mktemp("onnx") / "policy.onnx",
    )
    return deployed, path, export_onnx(deployed, path, capacity=4)


@pytest.mark.slow
def test_overflow_in_onnxruntime(small):
    """Spans of 0.9 * 6 and a ramp of 3 keep 8 memories; the fifth of an episode finds no free slot among 4."""
    deployed, path, about = small
    player, space = onnx_player(path, 2), deployed.observation_space
    said = []
    for t in range(12):
        seen = observation_arrays(np.stack([space.sample()] * 2), space, about)
        said.append(
            player.step(seen | {"episode_start": np.array([t == 0, t in (0, 6)])})["overflow"].tolist()
        )
    assert [first for first, _ in said] == [t >= 4 for t in range(12)]
    assert [second for _, second in said] == [t in (4, 5, 10, 11) for t in range(12)]
    found = compare(onnx_player(path, 3), deployed, 100)
    assert (found.difference < 1e-5, found.actions, found.alive) == (True, 0, 0)
    assert 0 < found.overflowed < 300


@pytest.mark.slow
def test_the_file_describes_itself(small):
    _, path, about = small
    session = onnxruntime.InferenceSession(str(path))
    meta = session.get_modelmeta()
    assert json.loads(meta.custom_metadata_map["expirespan"]) == about
    assert meta.producer_name == "expirespan"
    types = {"float32": "tensor(float)", "int64": "tensor(int64)", "bool": "tensor(bool)"}
    for ours, theirs in ((about["inputs"], session.get_inputs()), (about["outputs"], session.get_outputs())):
        assert {n: (e["shape"], types[e["dtype"]]) for n, e in ours.items()} == {
            v.name: (v.shape, v.type) for v in theirs
        }
        assert all(len(entry["meaning"]) > 10 for entry in ours.values())
    assert about["memory"] == {
        "kind": "expire_span",
        "layers": 2,
        "heads": 2,
        "width": 8,
        "max_span": [6.0, 6.0],
        "ramp": [3.0, 3.0],
        "capacity": 4,
    }
    assert about["spaces"]["action"] == {"kind": "Discrete", "n": 3, "start": 0, "dtype": "<i8"}
    assert about["about"] == {"seed": 3}
    assert about["state"]["keys"] == {"shape": [2, 2, 4, 4], "dtype": "float32", "output": "next_keys"}
    assert about["state"]["overflowed"]["output"] == "overflow"


def test_the_file_holds_no_paths_of_this_machine(small):
    assert b".py" not in small[1].read_bytes()


@pytest.mark.slow
def test_normalisation_is_in_the_graph(make_envs, make_agent, tmp_path):
    env = VecNormalize(make_envs("Noise", observation="dict"), norm_obs_keys=["vector"], clip_obs=0.5)
    agent = make_agent(MemoryPPO, "MultiInputPolicy", env=env, memory="gru")
    agent.learn(48)
    about = export_onnx(agent, tmp_path / "policy.onnx")
    assert about["normalized"]
    assert "before normalisation" in about["inputs"]["observation.vector"]["meaning"]
    found = compare(onnx_player(tmp_path / "policy.onnx", 3), DeployedPolicy.of(agent), 60)
    assert found.difference < 1e-5


def test_what_is_missing_is_named(make_policy, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    with pytest.raises(ModuleNotFoundError, match=r"needs onnxscript: pip install 'expirespan\[onnx\]'"):
        export_onnx(DeployedPolicy(make_policy()), tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ({"action": "box"}, {"action_masks": True}, "cannot be masked"),
        ({"memory": "lstm"}, {"capacity": 8}, "keeps no memories"),
        ({"memory": "fixed_window"}, {"capacity": 2}, "capacity=2: expected at least 3"),
    ],
)
def test_what_cannot_be_exported_is_refused_first(make_policy, tmp_path, given, options, words):
    with pytest.raises(ValueError, match=words):
        export_onnx(DeployedPolicy(make_policy(**given)), tmp_path / "policy.onnx", **options)
    assert list(tmp_path.iterdir()) == []


class Unwritable(FlattenExtractor):
    """Of an operation that ONNX does not have."""

    def forward(self, observations: th.Tensor) -> th.Tensor:
        return th.special.bessel_j0(super().forward(observations))


def test_an_operation_that_onnx_lacks(make_policy, tmp_path):
    policy = make_policy("gru", features_extractor_class=Unwritable)
    with pytest.raises(
        ValueError, match=r"with gru and Unwritable as ONNX: .*; export the policy's file instead"
    ):
        export_onnx(DeployedPolicy(policy), tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []
