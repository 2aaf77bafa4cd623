"""Whatever stands in a file, loading runs nothing but what an agent is made of."""

import io
import pickle
import sys

import numpy as np
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.save_util import save_to_zip_file

from expirespan.agents import MemoryActorCriticPolicy, MemoryPPO
from expirespan.agents.checkpoint.archive import FORMAT
from tests.agents.checkpoint.changed_files import Extractor, refused, rewrite


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_refused(make_agent, tmp_path):
    agent, mark = make_agent(), tmp_path / "exploded"
    path = tmp_path / "sb3.zip"
    save_to_zip_file(path, {"seed": Bomb(str(mark))}, agent.get_parameters(), {})
    why = ("carries a pickle", "trust_pickle=True")
    for load in (MemoryPPO.load, agent.set_parameters):
        assert refused(path, *why, loader=load)
    th.save(Bomb(str(mark)), tmp_path / "policy.pt")
    assert refused(tmp_path / "policy.pt", *why, loader=MemoryActorCriticPolicy.load)
    agent.save(tmp_path / "agent.zip")
    for member in ("extra.pkl", "policy.pth"):
        rewrite(tmp_path / "agent.zip", pickle.dumps(Bomb(str(mark))), member)
        assert refused(tmp_path / "agent.zip", *why)
    assert not mark.exists()
    with pytest.raises(ValueError, match="cannot be loaded as MemoryPPO"):
        MemoryPPO.load(path, trust_pickle=True)
    assert mark.exists(), "trust is trust"


def test_trusted_files_of_old_are_loaded(make_agent, tmp_path):
    """Until now our own files were SB3's: attributes pickled, weights saved by torch."""
    agent = make_agent().learn(36)
    data = {name: value for name, value in vars(agent).items() if name not in agent._excluded_save_params()}
    del data["_memory_state"]
    save_to_zip_file(tmp_path / "old.zip", data, agent.get_parameters(), {})
    loaded = MemoryPPO.load(tmp_path / "old.zip", trust_pickle=True, device="cpu")
    assert loaded.num_timesteps == 36
    other = make_agent(seed=9)
    other.set_parameters(tmp_path / "old.zip", trust_pickle=True)
    for one in (loaded, other):
        assert all(th.equal(v, one.policy.state_dict()[n]) for n, v in agent.policy.state_dict().items())
    th.save(
        {"state_dict": agent.policy.state_dict(), "data": agent.policy._get_constructor_parameters()},
        tmp_path / "p",
    )
    assert isinstance(
        MemoryActorCriticPolicy.load(tmp_path / "p", trust_pickle=True), MemoryActorCriticPolicy
    )


def test_an_agent_without_memory(tmp_path):
    PPO("MlpPolicy", "Toy/Noise-v0", n_steps=8, batch_size=8, device="cpu").save(tmp_path / "sb3.zip")
    with pytest.raises(ValueError, match="carries a pickle"):
        MemoryPPO.load(tmp_path / "sb3")
    with pytest.warns(UserWarning, match="memory"):
        agent = MemoryPPO.load(tmp_path / "sb3", trust_pickle=True)
    theirs = PPO.load(tmp_path / "sb3", device="cpu")
    obs = theirs.observation_space.sample()
    assert np.array_equal(
        agent.predict(obs, deterministic=True)[0], theirs.predict(obs, deterministic=True)[0]
    )


EVIL = [
    ("policy_class", "os:system", "defines no such class"),
    ("policy_class", "subprocess:Popen", "does not belong there: expected a subclass of stable_baselines3"),
    ("policy_class", "builtins:eval", "defines no such class"),
    ("policy_class", "stable_baselines3.common.policies:partial", "defines no such class"),
    ("policy_class", "stable_baselines3.common.policies:th.optim.Adam", "defines no such class"),
    ("policy_class", "torch.optim.adam:Adam", "does not belong there"),
    ("policy_class", "expirespan.agents.core.policies:Gone", "defines no such class"),
    ("policy_class", "expirespan.gone:Gone", "is not imported"),
    ("policy_class", "", "is not imported"),
    ("rollout_buffer_class", "torch.nn.modules.linear:Linear", "expected a subclass of stable_baselines3"),
    ("rollout_buffer_class", "antigravity:Anything", "'antigravity' is not imported"),
]


@pytest.mark.parametrize("place, path, message", EVIL)
def test_classes_that_may_not_be_loaded(make_agent, tmp_path, place, path, message):
    make_agent().save(tmp_path / "agent.zip")
    rewrite(
        tmp_path / "agent.zip", lambda data: data["attributes"].update({place: {":": "class", "path": path}})
    )
    assert refused(tmp_path / "agent.zip", f"{place} is", message)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("place", ["features_extractor_class", "optimizer_class", "activation_fn"])
def test_classes_inside_policy_kwargs(make_agent, tmp_path, place):
    make_agent().save(tmp_path / "agent.zip")
    wrong = {
        ":": "class",
        "path": "torch.nn.modules.linear:Linear" if place != "activation_fn" else "torch.optim.adam:Adam",
    }
    rewrite(tmp_path / "agent.zip", lambda data: data["attributes"]["policy_kwargs"].update({place: wrong}))
    assert refused(tmp_path / "agent.zip", f"{place} is", "does not belong there")


STRANGE = [
    ({":": "code", "source": "1"}, "unknown kind 'code'"),
    ({":": "_call__"}, "unknown kind"),
    (
        {":": "data", "path": "subprocess:Popen", "fields": {"args": ["true"]}},
        "subprocess:Popen is no dataclass",
    ),
    ({":": "data", "path": "expirespan.agents.ppo:MemoryPPO", "fields": {}}, "is no dataclass"),
    (
        {":": "data", "path": "expirespan.agents.forgetting.penalty:AdaptivePenalty", "fields": {"coef": -1}},
        "is no data as it",
    ),
    ({":": "schedule", "kind": "FloatSchedule", "fields": {"value_schedule": "print"}}, "is no schedule"),
    ({":": "tensor", "name": "none"}, "is no tensor as it should be"),
    ({":": "dtype", "name": "os"}, "is no dtype"),
    ({":": "scalar", "dtype": "O", "value": 1}, "is no scalar"),
    ({":": "space", "data": {"kind": "Graph"}}, "Graph"),
    ({":": "memory", "path": "torch.nn.modules.linear:Linear", "tensors": {}}, "does not belong there"),
]


@pytest.mark.parametrize("value, message", STRANGE)
def test_values_that_may_not_be_loaded(make_agent, tmp_path, value, message):
    make_agent().save(tmp_path / "agent.zip")
    rewrite(tmp_path / "agent.zip", lambda data: data["attributes"].update(learning_rate=value))
    assert refused(tmp_path / "agent.zip", message)


@pytest.mark.parametrize("version", [FORMAT + 1, 99, None, "1"])
def test_a_format_from_the_future(make_agent, tmp_path, version):
    agent = make_agent()
    for save, load in ((agent.save, MemoryPPO.load), (agent.policy.save, MemoryActorCriticPolicy.load)):
        save(tmp_path / "agent.zip")
        rewrite(tmp_path / "agent.zip", lambda data: data.update(format=version))
        assert refused(
            tmp_path / "agent.zip", f"format version {version!r}", "update expirespan", loader=load
        )


def test_a_memory_of_another_architecture(make_agent, tmp_path):
    agent = make_agent().learn(36)
    agent._memory_state = make_agent(memory="gru").learn(36)._memory_state
    agent.save(tmp_path / "agent.zip")
    assert refused(tmp_path / "agent.zip", "needs a TransformerState of 2 layers", "got a RecurrentState")


def test_settings_of_the_wrong_kind(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent.zip")
    wrong = {
        ":": "data",
        "path": "expirespan.agents.forgetting.penalty:ConstantPenalty",
        "fields": {"coef": 0.1},
    }
    rewrite(tmp_path / "agent.zip", lambda data: data["attributes"].update(forgetting=wrong))
    assert refused(
        tmp_path / "agent.zip", "forgetting must be a Forgetting or None, got ConstantPenalty(coef=0.1)"
    )
    lesson = {":": "data", "path": "expirespan.agents.forgetting.lesson:Forgetting", "fields": {}}
    rewrite(
        tmp_path / "agent.zip", lambda data: data["attributes"].update(forgetting=None, span_penalty=lesson)
    )
    assert refused(
        tmp_path / "agent.zip", "span_penalty must be a number or a schedule of it, got Forgetting("
    )


def test_a_policy_is_safe_too(make_agent, tmp_path):
    policy = make_agent(policy_kwargs={"features_extractor_class": Extractor}).policy
    for target in (tmp_path / "policy.pt", str(tmp_path / "policy")):
        policy.save(target)
        assert type(MemoryActorCriticPolicy.load(target, "cpu").features_extractor) is Extractor
    memory = io.BytesIO()
    policy.save(memory)
    memory.seek(0)
    assert MemoryActorCriticPolicy.load(memory, device="cpu").memory_name == "expire_span"
    rewrite(
        tmp_path / "policy.pt",
        lambda data: data["arguments"].update(optimizer_class={":": "class", "path": "subprocess:Popen"}),
    )
    assert refused(tmp_path / "policy.pt", "does not belong there", loader=MemoryActorCriticPolicy.load)
    with pytest.raises(FileNotFoundError):
        MemoryActorCriticPolicy.load(tmp_path / "none")
