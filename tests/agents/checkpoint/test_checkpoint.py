"""Saving and loading agents: what was saved goes on where saving stopped."""

import copy

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.utils import LinearSchedule

from expirespan.agents import AdaptivePenalty, DeployedPolicy, MemoryA2C, MemoryPPO
from expirespan.agents.checkpoint.weights import raise_again, raised
from expirespan.memory import MEMORIES
from tests.agents.checkpoint.saved import one_paragraph, weights


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_a_loaded_agent_predicts_the_same(make_agent, tmp_path, agent_class, memory):
    agent = make_agent(agent_class, memory=memory).learn(72)
    agent.save(tmp_path / "agent")
    loaded = agent_class.load(tmp_path / "agent")
    assert loaded.num_timesteps == agent.num_timesteps >= 72 and loaded._n_updates == agent._n_updates
    assert th.equal(weights(loaded), weights(agent))
    state, same = None, None
    for obs in np.random.default_rng(0).normal(size=(10, 5, 3)).astype(np.float32):
        action, state = agent.predict(obs, state, deterministic=True)
        again, same = loaded.predict(obs, same, deterministic=True)
        np.testing.assert_array_equal(action, again)
        tensor = th.as_tensor(obs)
        assert th.equal(
            agent.policy.predict_values(tensor, state), loaded.policy.predict_values(tensor, same)
        )


def test_learning_goes_on(make_agent, make_envs, tmp_path):
    """Steps, schedules, optimiser, the predictors' rate, penalty and scores are those of before."""
    penalty = AdaptivePenalty(1e-4, target=-100, growth=2.0, maximum=1e-3)
    agent = make_agent(
        span_penalty=penalty,
        learning_rate=LinearSchedule(2e-3, 1e-3, 1.0),
        clip_range=LinearSchedule(0.2, 0.1, 1.0),
        policy_kwargs={"predictor_lr": 0.2},
    )
    agent.learn(108)
    agent.save(tmp_path / "agent.zip")
    loaded = MemoryPPO.load(tmp_path / "agent.zip", make_envs("Noise"))
    assert loaded.span_penalty.current == penalty.current == pytest.approx(4e-4)
    assert list(loaded._scores) == list(agent._scores) != []
    groups, same = agent.policy.optimizer, loaded.policy.optimizer
    assert [g["lr_scale"] for g in same.param_groups] == [1.0, 0.2]
    for old, new in zip(groups.state.values(), same.state.values(), strict=True):
        assert old["step"] == new["step"] == 9 and th.equal(old["exp_avg_sq"], new["exp_avg_sq"])
    loaded.learn(36, reset_num_timesteps=False)
    assert loaded.num_timesteps == 144
    assert [g["lr"] for g in same.param_groups] == pytest.approx([1e-3, 2e-4])
    assert loaded.clip_range(0.5) == pytest.approx(0.15)
    assert loaded.span_penalty.current == pytest.approx(8e-4)
    assert not th.equal(weights(loaded), weights(agent))


def test_with_force_reset_false_episodes_go_on(make_agent, make_envs, tmp_path):
    """The same environments and random numbers, once without a break, once from a file: the same weights."""
    env = make_envs("Noise", lengths=(20, 40))
    agent = make_agent(env=env, seed=None)
    agent.learn(72)
    agent.save(tmp_path / "agent")
    twin, rng = copy.deepcopy(env), th.get_rng_state()
    agent.learn(72, reset_num_timesteps=False)
    loaded = MemoryPPO.load(tmp_path / "agent", twin, force_reset=False)
    assert loaded._memory_state.time_B.tolist() == [24, 24, 24]
    th.set_rng_state(rng)
    loaded.learn(72, reset_num_timesteps=False)
    assert th.equal(weights(loaded), weights(agent))


def test_without_its_memory_a_resumed_episode_is_warned_of(make_agent, make_envs, tmp_path):
    agent = make_agent(seed=None).learn(36)
    agent.save(tmp_path / "agent", exclude=["_memory_state"])
    with pytest.warns(UserWarning, match="goes on in them with an empty one"):
        MemoryPPO.load(tmp_path / "agent", agent.env, force_reset=False)


def test_the_memory_of_other_environments_is_not_taken_over(make_agent, make_envs, tmp_path):
    make_agent().learn(36).save(tmp_path / "agent")
    loaded = MemoryPPO.load(tmp_path / "agent", make_envs("Noise", 5))
    assert loaded.n_envs == 5 and loaded._memory_state.time_B.tolist() == [0] * 5
    loaded.learn(60)


def test_settings_can_be_changed_while_loading(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent")
    loaded = MemoryPPO.load(tmp_path / "agent", make_agent().env, n_steps=6, batch_size=3, n_epochs=4)
    assert loaded.rollout_buffer.segment_length == 3 and loaded.rollout_buffer.buffer_size == 6
    loaded.learn(18)
    assert loaded._n_updates == 4


def test_custom_objects_and_system_info(make_agent, tmp_path, capsys):
    make_agent().save(tmp_path / "agent")
    loaded = MemoryPPO.load(
        tmp_path / "agent", custom_objects={"learning_rate": 0.5, "n_epochs": 7}, print_system_info=True
    )
    assert loaded.learning_rate == 0.5 and loaded.n_epochs == 7 and loaded.lr_schedule(1) == 0.5
    printed = capsys.readouterr().out
    assert "CURRENT SYSTEM INFO" in printed and "SAVED MODEL SYSTEM INFO" in printed


def test_set_parameters(make_agent, tmp_path):
    agent, other = make_agent(seed=1), make_agent(seed=2)
    agent.save(tmp_path / "agent")
    other.set_parameters(tmp_path / "agent")
    assert th.equal(weights(other), weights(agent))
    third = make_agent(seed=3)
    third.set_parameters(agent.get_parameters())
    assert th.equal(weights(third), weights(agent))
    encoder = {k: v * 2 for k, v in agent.policy.state_dict().items() if k.startswith("encoder.")}
    third.set_parameters({"policy": encoder}, exact_match=False)
    assert th.equal(third.policy.encoder.weight, 2 * agent.policy.encoder.weight)
    before = weights(third)
    policy, optimizer = agent.policy.state_dict(), agent.policy.optimizer.state_dict()
    for params, message in (
        ({"policy": encoder, "policy.optimizer": optimizer}, "policy lacks"),
        ({"policy": policy}, "policy.optimizer is missing"),
        ({"policy": policy, "policy.optimizer": optimizer, "critic": {}}, "an agent has no 'critic'"),
    ):
        with pytest.raises(RuntimeError, match=message):
            third.set_parameters(params)
        assert th.equal(weights(third), before)
    with pytest.raises(FileNotFoundError):
        third.set_parameters(tmp_path / "none")


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_the_same_policy_kwargs(make_agent, tmp_path, agent_class):
    """An agent adds nothing of its own to what the user gave, not even A2C its optimizer."""
    agent = make_agent(agent_class)
    given = copy.deepcopy(agent.policy_kwargs)
    agent.learn(36).save(tmp_path / "agent")
    loaded = agent_class.load(tmp_path / "agent", policy_kwargs=given)
    assert loaded.policy_kwargs == given
    assert type(loaded.policy.optimizer) is type(agent.policy.optimizer)
    assert loaded.policy.optimizer.defaults == agent.policy.optimizer.defaults


def test_optimizers_of_a2c(make_agent):
    rms = make_agent(MemoryA2C, rms_prop_eps=1e-3).policy.optimizer
    assert isinstance(rms, th.optim.RMSprop) and rms.defaults["eps"] == 1e-3 and rms.defaults["alpha"] == 0.99
    assert isinstance(make_agent(MemoryA2C, use_rms_prop=False).policy.optimizer, th.optim.Adam)
    chosen = {"optimizer_class": th.optim.SGD}
    assert isinstance(make_agent(MemoryA2C, policy_kwargs=chosen).policy.optimizer, th.optim.SGD)


def test_other_policy_kwargs(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent")
    with pytest.raises(ValueError, match="policy kwargs do not equal") as error:
        MemoryPPO.load(tmp_path / "agent", policy_kwargs={"memory": "gru"})
    assert one_paragraph(error, tmp_path / "agent.zip", "gru")


def test_a_policy_alone(make_agent, tmp_path):
    agent = make_agent(policy_kwargs={"predictor_lr": 0.5}).learn(36)
    agent.policy.save(str(tmp_path / "policy.pt"))
    policy = type(agent.policy).load(str(tmp_path / "policy.pt"))
    obs = np.zeros((2, 3), np.float32)
    assert th.equal(policy.predict_values(th.as_tensor(obs)), agent.policy.predict_values(th.as_tensor(obs)))
    assert policy.memory_name == "expire_span" and policy.predictor_lr == 0.5


def test_spans_that_were_raised_stay_so(make_agent, make_envs, tmp_path):
    """In files of agents, of policies and of deployed policies, in proportion or the long ones alone."""
    agent = make_agent(memory_kwargs={"max_span": 64, "ramp": 2}, env=make_envs("Recall", 3))
    trained = agent.policy.memory.rules
    for steps, stretch, expected in (
        (640, "long", (640, 10)),
        (320, "long", (320, 5)),
        (1000, "all", (1000, 5)),
    ):
        for rule in trained:
            rule.raise_max_span(steps, stretch)
        agent.save(tmp_path / "agent")
        agent.policy.save(tmp_path / "policy.zip")
        DeployedPolicy.of(agent).save(tmp_path / "deployed.zip")
        for policy in (
            type(agent).load(tmp_path / "agent").policy,
            type(agent.policy).load(tmp_path / "policy.zip"),
            DeployedPolicy.load(tmp_path / "deployed.zip").policy,
        ):
            assert [(rule.max_span, rule.stretch) for rule in policy.memory.rules] == [expected] * len(
                trained
            )
            state, obs = policy.initial_state(1), th.zeros(1, *agent.observation_space.shape)
            found, own = (p.step(obs, state, th.ones(1, dtype=th.bool)) for p in (policy, agent.policy))
            assert [span.item() for span in found.trace.spans] == [span.item() for span in own.trace.spans]


def test_raised_spans_that_cannot_be(make_agent):
    memory = make_agent().policy.memory
    for saved in ([], [{"max_span": 5.0, "stretch": 1.0}] * 3, [{"max_span": 5.0, "stretch": 0.0}] * 2):
        with pytest.raises(ValueError, match=r"raised spans must be|stretch must be"):
            raise_again(memory, saved)
    before = raised(memory)
    raise_again(memory, before)
    assert raised(memory) == before and raised(None) == []
