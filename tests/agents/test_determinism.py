"""The same seed gives the same weights, bit for bit; the same numbers are logged under the same names."""

import pytest
import torch as th
from stable_baselines3.common.logger import KVWriter, Logger

from expirespan.agents import Forgetting, Histogram, MemoryA2C, MemoryPPO
from expirespan.memory import MEMORIES


def weights(agent):
    return th.nn.utils.parameters_to_vector(agent.policy.parameters())


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_same_seed_same_weights(make_agent, make_envs, agent_class, memory):
    def train(seed):
        agent = make_agent(agent_class, env=make_envs("Noise", seed=None), memory=memory, seed=seed)
        return weights(agent.learn(108))

    first = train(1)
    assert th.equal(first, train(1))
    assert not th.equal(first, train(2))


def test_same_seed_same_weights_with_everything_random(make_agent, make_envs):
    def train():
        agent = make_agent(
            env=make_envs("Noise", action="box", seed=None),
            use_sde=True,
            sde_sample_freq=2,
            memory_kwargs={"random_span": True},
            forgetting=Forgetting(0.34),
            span_penalty=1e-2,
        )
        return weights(agent.learn(108))

    assert th.equal(train(), train())


class Memo(KVWriter):
    def __init__(self):
        self.rows = []

    def write(self, key_values, key_excluded, step=0):
        self.rows.append((dict(key_values), dict(key_excluded)))

    def close(self):
        pass


COMMON = {
    "rollout/ep_rew_mean", "rollout/ep_len_mean", "time/iterations", "time/fps", "time/time_elapsed",
    "time/total_timesteps", "train/learning_rate", "train/entropy_loss", "train/value_loss", "train/loss",
    "train/explained_variance", "train/n_updates",
}  # fmt: skip
PPO = {"train/policy_gradient_loss", "train/approx_kl", "train/clip_fraction", "train/clip_range"}
SPANS = {
    f"expire/layer{i}/{name}"
    for i in range(2)
    for name in ("span_mean", "span_max", "span_at_min", "span_at_max", "spans", "alive", "freed")
}
EXPIRE = {"expire/penalty", "expire/penalty_coef", "expire/score", *SPANS}

LESSON = {"expire/forgetting_kl", "expire/forgetting_memory", "expire/price_factor", "expire/price_share"}


@pytest.mark.parametrize(
    "agent_class, kwargs, expected",
    [
        (MemoryPPO, {"clip_range_vf": 0.2}, COMMON | PPO | EXPIRE | {"train/clip_range_vf"}),
        (MemoryPPO, {"memory": "gru"}, COMMON | PPO),
        (
            MemoryPPO,
            {"forgetting": Forgetting(), "span_penalty": 0.1},
            COMMON | PPO | EXPIRE | LESSON,
        ),
        (MemoryA2C, {}, COMMON | EXPIRE | {"train/policy_loss"}),
    ],
)
def test_logged_keys(make_agent, agent_class, kwargs, expected):
    agent, memo = make_agent(agent_class, **kwargs), Memo()
    agent.set_logger(Logger(None, [memo]))
    agent.learn(108, log_interval=1)
    values, excluded = memo.rows[-1]
    assert set(values) == expected
    for key, value in values.items():
        if key.endswith("/spans"):
            assert isinstance(value, Histogram) and set(excluded[key]) == {"stdout", "log", "json", "csv"}
        else:
            assert value == pytest.approx(float(value), nan_ok=False)


def test_logged_spans_and_memories_alive(make_agent, make_envs, collect):
    """All spans are 3 at first. With a ramp of 3 a memory is read until its age is 5: at most 6 are alive."""
    agent = make_agent(env=make_envs("Clock", 2, length=100), n_steps=10, batch_size=10)
    _, callback = agent._setup_learn(20)
    agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, 10)
    agent.train()
    logged = agent.logger.name_to_value
    for layer in ("expire/layer0", "expire/layer1"):
        assert logged[f"{layer}/span_mean"] == logged[f"{layer}/span_max"] == pytest.approx(3)
        assert logged[f"{layer}/alive"] == pytest.approx((1 + 2 + 3 + 4 + 5 + 5 * 6) / 10)
        histogram = logged[f"{layer}/spans"]
        assert histogram.counts.sum() == 20 and histogram.edges[[0, -1]].tolist() == [0, 6]


def test_histogram():
    histogram = Histogram.of(th.tensor([0.0, 0.9, 1.0, 3.9, 4.0, 5.0]), 0, 4, bins=4)
    assert histogram.counts.tolist() == [2, 1, 0, 2], "the upper end counts, what is beyond does not"
    assert histogram.edges.tolist() == [0, 1, 2, 3, 4]
