"""predict: the memory is in the state that the caller keeps."""

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy

from expirespan.agents import MemoryA2C, MemoryPPO
from expirespan.memory import MEMORIES


def observations(n: int = 3, T: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(T, n, 3)).clip(-1, 1).astype(np.float32)


def probabilities(agent, obs, state, start=None):
    start = None if start is None else th.as_tensor(start)
    with th.no_grad():
        return agent.policy.get_distribution(th.as_tensor(obs), state, start).distribution.probs


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_state_carries_the_memory(make_agent, memory):
    """Acting step by step equals one unrolled pass; without the state the policy answers otherwise."""
    agent = make_agent(memory=memory)
    obs = observations()
    starts = np.zeros((8, 3), dtype=bool)
    starts[0], starts[4, 1] = True, True
    state, actions, seen = None, [], []
    for t in range(8):
        seen.append(probabilities(agent, obs[t], state, starts[t]))
        action, state = agent.predict(obs[t], state, starts[t], deterministic=True)
        actions.append(action)
    blocks = (th.as_tensor(obs).transpose(0, 1), th.as_tensor(np.stack(actions)).T[..., None])
    full = agent.policy.unroll(*blocks, agent.policy.initial_state(3), th.as_tensor(starts.T))
    th.testing.assert_close(th.stack(seen, 1).flatten(0, 1), full.distribution.distribution.probs)
    np.testing.assert_array_equal(np.stack(actions), th.stack(seen).argmax(-1).numpy())
    fresh = probabilities(agent, obs[7], None)
    assert (fresh - seen[7]).abs().max() > 1e-4


@pytest.mark.parametrize("n", [1, 2, 10])
def test_any_batch(make_agent, n):
    agent = make_agent()
    obs = observations(n)
    actions, state = agent.predict(obs[0], deterministic=True)
    assert actions.shape == (n,) and state.batch_size == n
    again, state = agent.predict(obs[1], state, np.zeros(n, dtype=bool))
    assert again.shape == (n,) and state.batch_size == n


def test_one_observation_without_batch(make_agent):
    agent = make_agent()
    obs = observations(1)[:, 0]
    action, state = agent.predict(obs[0])
    assert action.shape == () and state.batch_size == 1
    action, state = agent.predict(obs[1], state, False)
    assert agent.action_space.contains(int(action)) and state.time_B.tolist() == [2]
    _, state = agent.predict(obs[1], state, np.array([True]))
    assert state.time_B.tolist() == [1]


def test_a_state_can_be_continued_twice(make_agent):
    agent = make_agent()
    obs = observations()
    _, state = agent.predict(obs[0], deterministic=True)
    first = probabilities(agent, obs[1], state)
    agent.predict(obs[2], state)
    assert th.equal(probabilities(agent, obs[1], state), first)


def test_deterministic_is_the_mode_and_sampling_is_not(make_agent):
    agent = make_agent()
    obs = observations(1)[0]
    modes = {int(agent.predict(obs, deterministic=True)[0][0]) for _ in range(20)}
    assert modes == {int(probabilities(agent, obs, None).argmax())}
    assert len({int(agent.predict(obs)[0][0]) for _ in range(50)}) > 1


def test_predicting_changes_nothing_in_the_agent(make_agent, collect):
    agent = make_agent()
    collect(agent)
    weights = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    memory = agent._memory_state
    clock, spans = memory.time_B.clone(), [layer.span_BS.clone() for layer in memory.layers]
    rng = th.get_rng_state()
    state = None
    for obs in observations():
        _, state = agent.predict(obs, state, deterministic=True)
    assert all(th.equal(value, weights[name]) for name, value in agent.policy.state_dict().items())
    assert agent._memory_state is memory and th.equal(memory.time_B, clock)
    assert all(th.equal(layer.span_BS, span) for layer, span in zip(memory.layers, spans, strict=True))
    assert th.equal(th.get_rng_state(), rng)
    assert not any(p.requires_grad and p.grad is not None for p in agent.policy.parameters())


def test_the_flags_are_not_kept(make_agent):
    """evaluate_policy writes into the array it gave."""
    agent = make_agent()
    obs, flags = observations(), np.ones(3, dtype=bool)
    _, state = agent.predict(obs[0], None, flags)
    flags[:] = False
    assert agent.predict(obs[1], state, flags)[1].time_B.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "give, message",
    [
        (lambda obs, state: ((obs, {}), None, None), "mixing Gym API"),
        (lambda obs, state: (obs, 3, None), "state must be a MemoryState, got int"),
        (lambda obs, state: (obs, (np.zeros(3),), None), "state must be a MemoryState, got tuple"),
        (lambda obs, state: (obs[:2], state, None), "holds 3 environments, but there are 2 observations"),
        (lambda obs, state: (obs, state[[0]], None), "holds 1 environments, but there are 3 observations"),
        (lambda obs, state: (obs, state, [True]), "episode_start must have a flag .* got \\[True\\]"),
        (lambda obs, state: (obs, state, np.full(3, 0.5)), "episode_start must have a flag"),
    ],
)
def test_wrong_arguments(make_agent, give, message):
    agent = make_agent()
    obs = observations()[0]
    observation, state, start = give(obs, agent.predict(obs)[1])
    with pytest.raises(ValueError, match=message) as error:
        agent.predict(observation, state, start)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "other",
    [
        {"memory": "lstm"},
        {"memory": "gru"},
        {"memory_kwargs": {"layers": 3}},
        {"memory_kwargs": {"width": 8}},
    ],
    ids=str,
)
def test_a_state_of_another_architecture(make_agent, other):
    obs = observations()[0]
    state = make_agent(**other).predict(obs)[1]
    with pytest.raises(ValueError, match=r"needs a TransformerState of 2 layers of width 16, got a"):
        make_agent().predict(obs, state)
    with pytest.raises(ValueError, match=r"needs a RecurrentState of shape \(4, 16\), got a"):
        make_agent(memory="lstm", memory_kwargs={"layers": 2}).predict(obs, state)


def test_sb3_methods_take_the_state(make_agent):
    agent = make_agent()
    policy, obs = agent.policy, th.as_tensor(observations())
    fresh = policy(obs[0])
    assert len(fresh) == 3
    with th.no_grad():
        *_, state = policy(obs[0], state=policy.initial_state(3))
        actions, values, log_prob, _ = policy(obs[1], state=state)
    again, log_again, entropy = policy.evaluate_actions(obs[1], actions, state)
    th.testing.assert_close(again, values)
    th.testing.assert_close(log_again, log_prob)
    th.testing.assert_close(policy.predict_values(obs[1], state), values)
    assert entropy.shape == (3,) and values.shape == (3, 1)
    start = th.ones(3, dtype=th.bool)
    th.testing.assert_close(policy.predict_values(obs[0], state, start), fresh[1])
    log_again.sum().backward()
    assert policy.encoder.weight.grad.abs().max() > 0


def test_evaluate_policy(make_agent, make_envs):
    """SB3's evaluation hands state and flags along: the memory's clock is that of each episode."""
    agent = make_agent()
    ages = []

    def watch(local, _):
        i = local["i"]
        if local["episode_counts"][i] < local["episode_count_targets"][i]:
            age = local["states"].time_B[i].item()
            ages.append(age)
            assert age == local["current_lengths"][i]

    _, lengths = evaluate_policy(
        agent, make_envs("Noise", 3, seed=1), 10, callback=watch, return_episode_rewards=True
    )
    assert len(lengths) == 10 and len(set(lengths)) > 2
    assert max(ages) == max(lengths) and len(ages) == sum(lengths)


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_evaluation_during_training_does_not_disturb_it(make_agent, make_envs, agent_class):
    weights = []
    for evaluate in (False, True):
        agent = make_agent(agent_class, env=make_envs("Noise", 2))
        if evaluate:
            callback = EvalCallback(make_envs("Noise", 3, seed=5), n_eval_episodes=4, eval_freq=5, verbose=0)
        agent.learn(96, callback if evaluate else None)
        weights.append(th.nn.utils.parameters_to_vector(agent.policy.parameters()))
    assert callback.n_calls == 48 and callback.last_mean_reward != -np.inf
    assert th.equal(*weights)
