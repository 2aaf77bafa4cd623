"""What RecurrentPPO, MaskablePPO or a slip of the pen gives is refused with the line to write, and that line trains."""

from __future__ import annotations

import functools
import re
import sys
from typing import Any

import numpy as np
import pytest
import torch as th
from sb3_contrib import MaskablePPO, RecurrentPPO
from sb3_contrib.common.envs import InvalidActionEnvDiscrete
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer, RecurrentRolloutBuffer
from sb3_contrib.ppo_mask import CnnPolicy as MaskableCnnPolicy
from sb3_contrib.ppo_mask import MlpPolicy as MaskableMlpPolicy
from sb3_contrib.ppo_recurrent import CnnLstmPolicy, MlpLstmPolicy, MultiInputLstmPolicy
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv

from expirespan.agents import MemoryA2C, MemoryActorCriticPolicy, MemoryPPO
from expirespan.memory import LSTMMemory, TransformerMemory


class OwnLstmPolicy(MlpLstmPolicy):
    pass


class OwnMemoryPolicy(MemoryActorCriticPolicy):
    """Takes what its signature does not list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.colour = kwargs.pop("colour", "red")
        super().__init__(*args, **kwargs)


class OwnBuffer(RecurrentRolloutBuffer):
    pass


LSTM = {
    "lstm_hidden_size": 16,
    "n_lstm_layers": 2,
    "shared_lstm": True,
    "enable_critic_lstm": False,
    "lstm_kwargs": {"dropout": 0.1},
}
SPACES = {"CnnLstmPolicy": "image", "MultiInputLstmPolicy": "dict"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"policy": "MlpLstmPolicy"}, "policy 'MlpLstmPolicy': for sb3-contrib's RecurrentPPO only"),
    ({"policy": "CnnLstmPolicy"}, "policy 'CnnLstmPolicy': for"),
    ({"policy": "MultiInputLstmPolicy"}, "policy 'MultiInputLstmPolicy': for"),
    ({"policy": MlpLstmPolicy}, "policy RecurrentActorCriticPolicy: for"),
    ({"policy": CnnLstmPolicy}, "policy RecurrentActorCriticCnnPolicy: for"),
    ({"policy": MultiInputLstmPolicy}, "policy RecurrentMultiInputActorCriticPolicy: for"),
    ({"policy": OwnLstmPolicy}, "derive your class from expirespan.agents.MemoryActorCriticPolicy"),
    (
        {"policy": MlpLstmPolicy, "policy_kwargs": LSTM},
        "policy_kwargs lstm_hidden_size, n_lstm_layers, shared",
    ),
    *(({"policy_kwargs": {name: value}}, f"policy_kwargs {name}: for") for name, value in LSTM.items()),
    (
        {"policy_kwargs": LSTM | {"net_arch": [8], "activation_fn": th.nn.ReLU}},
        "with activation_fn in policy_kwargs",
    ),
    (
        {"policy_kwargs": {"memory": "fixed_window", "lstm_hidden_size": 30}},
        "for sb3-contrib's RecurrentPPO only",
    ),
    ({"policy": OwnMemoryPolicy, "policy_kwargs": {"lstm_hidden_size": 8}}, "(OwnMemoryPolicy, env"),
    (
        {"policy": ActorCriticPolicy, "policy_kwargs": {"lstm_hidden_size": 8}},
        "policy_kwargs lstm_hidden_size",
    ),
    (
        {"policy": ActorCriticPolicy, "policy_kwargs": {"memory": "lstm"}},
        "policy ActorCriticPolicy has no memory",
    ),
    ({"policy": MaskableMlpPolicy, "policy_kwargs": {"net_arch": [8]}}, "follow masks"),
    ({"policy": MaskableCnnPolicy}, "policy MaskableActorCriticCnnPolicy is for sb3-contrib's MaskablePPO"),
    *(
        ({"rollout_buffer_class": kind}, f"rollout_buffer_class {kind.__name__} is for sb3-contrib's")
        for kind in (
            RecurrentRolloutBuffer,
            RecurrentDictRolloutBuffer,
            MaskableRolloutBuffer,
            MaskableDictRolloutBuffer,
            OwnBuffer,
        )
    ),
    ({"lstm_hidden_size": 16}, "takes no lstm_hidden_size; a memory is chosen in policy_kwargs"),
    (
        {"memory": "gru", "memory_kwargs": {"width": 8}},
        "takes no memory, memory_kwargs; a memory is chosen in",
    ),
    (
        {"policy_kwargs": {"max_span": 32, "ramp": 4}},
        "policy_kwargs hold max_span, ramp, which are the memory's",
    ),
    (
        {"policy_kwargs": {"memory": "lstm", "memory_kwargs": {"hidden_size": 8, "num_layers": 2}}},
        "call hidden_size width, num_layers layers here",
    ),
]
"""Arguments, and words of the error."""


def a_line(error: BaseException) -> str:
    """The line that an error says to write."""
    assert "\n" not in str(error)
    found = re.findall(r"`([^`]+)`", str(error))
    assert len(found) == 1, error
    return str(found[0])


def small(agent_class: type[Any]) -> Any:
    more = {"batch_size": 8, "n_epochs": 1} if agent_class is MemoryPPO else {}
    return functools.partial(agent_class, n_steps=8, device="cpu", **more)


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
@pytest.mark.parametrize(("given", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_the_line_to_write_trains(
    given: dict[str, Any], words: str, agent_class: type[Any], make_envs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = given.get("policy", "MlpPolicy")
    text = getattr(policy, "__name__", policy)
    observation = "image" if "Cnn" in text else "dict" if "MultiInput" in text else "box"
    env = make_envs("Noise", 1, observation=observation)
    with monkeypatch.context() as patch:
        patch.setattr(env, "reset", lambda: pytest.fail("the environment was touched"))
        with pytest.raises(TypeError, match=re.escape(words)) as error:
            agent_class(policy, env, **{key: value for key, value in given.items() if key != "policy"})
    assert isinstance(error.value, ValueError)
    known = {agent_class.__name__: small(agent_class), "env": env, "OwnMemoryPolicy": OwnMemoryPolicy}
    agent = eval(a_line(error.value), known)
    agent.learn(16)
    assert agent.num_timesteps == 16 and agent._n_updates == 2


def test_sizes_come_over() -> None:
    with pytest.raises(TypeError) as error:
        MemoryPPO(MlpLstmPolicy, "CartPole-v1", policy_kwargs=LSTM | {"net_arch": [8]})
    memory = eval(a_line(error.value), {"MemoryPPO": small(MemoryPPO), "env": "CartPole-v1"}).policy.memory
    assert isinstance(memory, LSTMMemory) and (memory.width, memory.rnn.num_layers) == (16, 2)
    assert "actor and critic share one memory" in str(error.value) and "lstm_kwargs have no" in str(
        error.value
    )
    theirs = RecurrentPPO(
        "MlpLstmPolicy", "CartPole-v1", n_steps=8, batch_size=8
    ).policy.lstm_actor.hidden_size
    with pytest.raises(TypeError, match=f"width={theirs}"):
        MemoryPPO("MlpLstmPolicy", "CartPole-v1")


def test_contrib_is_recognised_without_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sb3_contrib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TypeError, match="RecurrentPPO only"):
        MemoryPPO(OwnLstmPolicy, "CartPole-v1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"policy_kwargs": {"memory_kwargz": 1}}, "MlpPolicy takes no memory_kwargz; it takes activation_fn, .*; the "
         "nearest name is memory_kwargs$"),
        ({"policy_kwargs": {"memory_kwargs": {"max_spam": 1}}}, "takes no max_spam; it takes attention, .*; the "
         "nearest name is max_span$"),
        ({"policy_kwargs": {"net_arch": [8], "zzz": 1}}, "takes no zzz; it takes activation_fn, .*use_expln$"),
        ({"policy_kwargs": {"n_steps": 1}}, "policy_kwargs hold n_steps: give that to MemoryPPO itself"),
        ({"policy_kwargs": {"use_sde": True}}, "policy_kwargs hold use_sde: give that to MemoryPPO itself"),
        ({"policy_kwargs": "lstm"}, "policy_kwargs must be a dict by argument or None, got 'lstm'"),
        ({"policy_kwargs": {"memory_kwargs": 8}}, "memory_kwargs must be a dict by argument or None, got 8"),
        ({"policy_kwargs": {"memory": ["lstm"]}}, "memory must be a name, one of expire_span, .*got .'lstm'"),
        ({"n_stepz": 8}, "MemoryPPO takes no n_stepz; it takes batch_size, .*; the nearest name is n_steps$"),
        ({"rollout_buffer_class": RolloutBuffer, "rollout_buffer_kwargs": {"x": 1}}, "RolloutBuffer with .*'x'"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_unknown_names(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message) as error:
        MemoryPPO("MlpPolicy", "CartPole-v1", **given)
    assert "\n" not in str(error.value)


def test_unknown_policies() -> None:
    with pytest.raises(
        ValueError, match=r"'MlpPoliy' is unknown; choose one of .*; the nearest name is MlpPolicy$"
    ):
        MemoryPPO("MlpPoliy", "CartPole-v1")


def test_a_buffer_that_holds_no_dictionaries(make_envs: Any) -> None:
    env = make_envs("Noise", 1, observation="dict")
    with pytest.raises(TypeError, match="RolloutBuffer holds no Dict observations; leave it out"):
        MemoryPPO("MultiInputPolicy", env, rollout_buffer_class=RolloutBuffer)
    small(MemoryPPO)("MultiInputPolicy", env, rollout_buffer_class=DictRolloutBuffer).learn(16)


def test_names_of_sb3_that_apply(make_envs: Any) -> None:
    """Among them policies that take more than their signature lists, and SB3's own, which have no memory."""
    env = make_envs("Noise", 1)
    kwargs = {
        "net_arch": {"pi": [8], "vf": [8]},
        "activation_fn": th.nn.ReLU,
        "optimizer_kwargs": {"eps": 1e-5},
    }
    assert isinstance(
        small(MemoryPPO)("MlpPolicy", env, policy_kwargs=kwargs).policy.memory, TransformerMemory
    )
    own = small(MemoryPPO)(OwnMemoryPolicy, env, policy_kwargs={**kwargs, "colour": "blue"})
    assert own.policy.colour == "blue"
    with pytest.warns(UserWarning, match="has no memory") as record:
        agent = small(MemoryPPO)(ActorCriticPolicy, env, policy_kwargs=kwargs)
    assert record[0].filename == __file__
    agent.learn(16)
    known = {"MemoryPPO": small(MemoryPPO), "env": env}
    eval(re.findall(r"`([^`]+)`", str(record[0].message))[0], known).learn(16)


def test_calls(make_envs: Any) -> None:
    env = make_envs("Noise", 1)
    model = small(MemoryPPO)("MlpPolicy", env)
    obs, state, episode_start = env.reset(), None, np.ones(1, bool)
    masks = np.ones((1, 3), bool)
    known = {
        "model": model,
        "obs": obs,
        "state": state,
        "episode_start": episode_start,
        "total_timesteps": 16,
    }
    known["action_masks"] = masks
    calls: list[Any] = [
        lambda: model.predict(obs, lstm_states=None, episode_start=episode_start),
        lambda: model.predict(obs, mask=episode_start),
        lambda: model.policy.predict(obs, episode_starts=episode_start),
        lambda: model.predict(obs, action_mask=masks),
        lambda: model.learn(16, use_masking=True),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="takes no") as error:
            call()
        exec(a_line(error.value), known)
    assert model.num_timesteps == 16
    tensor = th.as_tensor(obs)
    for method in ("forward", "get_distribution", "predict_values"):
        with pytest.raises(TypeError, match=r"takes no lstm_states; .*lstm_states is state here"):
            getattr(model.policy, method)(tensor, lstm_states=None)
    with pytest.raises(TypeError, match="episode_starts is episode_start here"):
        model.policy.evaluate_actions(tensor, th.zeros(1), episode_starts=None)
    with pytest.raises(ValueError, match="state must be a MemoryState, got tuple"):
        model.predict(obs, state=(np.zeros((1, 1, 8)), np.zeros((1, 1, 8))))


def contrib_files(folder: Any) -> dict[str, str]:
    recurrent = {"lstm_hidden_size": 8, "n_lstm_layers": 2, "net_arch": [8]}
    settings: dict[str, Any] = {"n_steps": 8, "batch_size": 8}
    RecurrentPPO("MlpLstmPolicy", "CartPole-v1", policy_kwargs=recurrent, **settings).save(folder / "plain")
    recurrent["activation_fn"] = th.nn.ReLU
    RecurrentPPO(OwnLstmPolicy, "CartPole-v1", policy_kwargs=recurrent, **settings).save(folder / "own")
    MaskablePPO("MlpPolicy", InvalidActionEnvDiscrete(), **settings).save(folder / "masked")
    return {"plain": "RecurrentPPO", "own": "RecurrentPPO", "masked": "MaskablePPO"}


def test_files_of_contrib(tmp_path: Any) -> None:
    env = DummyVecEnv([InvalidActionEnvDiscrete])
    for file, name in contrib_files(tmp_path).items():
        for trust in (False, True):
            with pytest.raises(ValueError, match=f"{file}.* holds an agent of sb3-contrib's {name}") as error:
                MemoryPPO.load(tmp_path / file, trust_pickle=trust)
        agent = eval(a_line(error.value), {"MemoryPPO": small(MemoryPPO), "env": env})
        agent.learn(16)
        if name == "RecurrentPPO":
            assert (agent.policy.memory.width, agent.policy.memory.rnn.num_layers) == (8, 2)
            assert agent.policy.net_arch == [8]
