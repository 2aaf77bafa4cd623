"""Acting: time limits, ends, scores, the order of callbacks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO
from expirespan.agents.on_policy import MemoryOnPolicyAlgorithm


def values_along(agent, buffer):
    """(N, T) value of each step, and of a terminal observation put after it, both by acting again."""
    state = buffer.snapshots[0]
    values, after = [], []
    with th.no_grad():
        for t in range(agent.n_steps):
            out = agent.policy.step(buffer.obs[:, t], state, buffer.starts[:, t])
            state = out.state
            values.append(out.values[:, 0])
            clock = buffer.obs[:, t, 0] * 10 + 1
            terminal = th.stack([clock / 10, clock % 2], 1)
            after.append(agent.policy.predict_values(terminal, state)[:, 0])
            fresh = agent.policy.predict_values(terminal)[:, 0]
            assert ((after[-1] - fresh).abs() > 1e-4).all(), "the memory matters here"
    return th.stack(values, 1), th.stack(after, 1)


@pytest.mark.parametrize("memory", ["expire_span", "lstm"])
@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_a_time_limit_bootstraps_from_what_is_remembered(make_agent, make_envs, collect, agent_class, memory):
    agent = make_agent(agent_class, env=make_envs("Clock", 2), memory=memory, n_steps=10, gamma=0.5)
    buffer = collect(agent)
    values, after = values_along(agent, buffer)
    expected = th.ones(2, 10)
    for last in (3, 7):
        expected[:, last] += 0.5 * after[:, last]
        assert buffer.starts[:, last + 1].all()
    th.testing.assert_close(buffer.data["reward"], expected, atol=1e-5, rtol=0)
    th.testing.assert_close(buffer.data["value"], values, atol=1e-5, rtol=0)


def test_only_the_environment_at_its_limit_bootstraps(make_agent, make_envs, collect):
    env = make_envs("Clock", 3)
    env.envs[1].unwrapped.length = 3
    agent = make_agent(env=env, n_steps=5, batch_size=5, gamma=0.5)
    buffer = collect(agent)
    _, after = values_along(agent, buffer)
    expected = th.ones(3, 5)
    expected[[0, 1, 2], [3, 2, 3]] += 0.5 * after[[0, 1, 2], [3, 2, 3]]
    th.testing.assert_close(buffer.data["reward"], expected, atol=1e-5, rtol=0)


def test_a_termination_does_not_bootstrap(make_agent, make_envs, collect):
    agent = make_agent(env=make_envs("Clock", 2, truncate=False), n_steps=10)
    buffer = collect(agent)
    assert (buffer.data["reward"] == 1).all()
    advantage = buffer.data["advantage"]
    th.testing.assert_close(advantage[:, 3], 1 - buffer.data["value"][:, 3])


@pytest.mark.parametrize("ended", [False, True])
def test_the_rollout_bootstraps_from_what_follows_it(make_agent, make_envs, collect, ended):
    n_steps = 8 if ended else 6
    agent = make_agent(env=make_envs("Clock", 2, truncate=False), n_steps=n_steps, batch_size=2, gamma=0.5)
    buffer = collect(agent)
    _, after = values_along(agent, buffer)
    bootstrap = 0.0 if ended else 0.5 * after[:, -1]
    expected = 1 + bootstrap - buffer.data["value"][:, -1]
    th.testing.assert_close(buffer.data["advantage"][:, -1], expected, atol=1e-5, rtol=0)


def test_memory_goes_on_into_the_next_rollout_under_the_new_weights(make_agent, make_envs, collect):
    env = make_envs("Clock", 2, length=100)
    agent = make_agent(env=env, n_steps=4, memory_kwargs={"max_span": 50}, span_penalty=1.0)
    first = collect(agent)
    agent.train()
    memory = agent._memory_state
    assert memory.time_B.tolist() == [4, 4]
    second = collect(agent)
    start = second.snapshots[0]
    assert start.time_B.tolist() == [4, 4]
    for layer, kept in zip(start.layers, memory.layers, strict=True):
        assert th.equal(layer.h_BSD, kept.h_BSD)
        assert not th.equal(layer.span_BS, kept.span_BS), "spans are those of the new weights"
    assert first is second


class Diary(BaseCallback):
    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.events, self.stop_at, self.seen = [], stop_at, []

    def note(self, event):
        self.events.append(event)

    def _on_training_start(self):
        self.note("training_start")

    def _on_rollout_start(self):
        self.note("rollout_start")

    def _on_step(self):
        self.note("step")
        self.seen.append(
            {name: self.locals[name] for name in ("actions", "clipped_actions", "rewards", "dones")}
        )
        assert self.locals["self"].num_timesteps == self.num_timesteps
        for name in ("infos", "new_obs", "obs_tensor", "values", "log_probs", "n_steps", "env"):
            assert name in self.locals
        return self.events.count("step") != self.stop_at

    def _on_rollout_end(self):
        self.note("rollout_end")
        assert self.locals["rollout_buffer"].full
        assert len(self.locals["values"]) == self.training_env.num_envs
        assert (self.model.rollout_buffer.data["advantage"] != 0).any(), "advantages are there"

    def _on_training_end(self):
        self.note("training_end")


def test_callbacks_are_called_in_sb3s_order(make_agent):
    diary = Diary()
    agent = make_agent(n_steps=4)
    train = agent.train
    agent.train = lambda: (diary.note("train"), train())
    agent.learn(24, diary)
    rollout = ["rollout_start", *["step"] * 4, "rollout_end", "train"]
    assert diary.events == ["training_start", *rollout, *rollout, "training_end"]
    assert agent.num_timesteps == 24


def test_a_callback_can_stop(make_agent):
    diary = Diary(stop_at=6)
    agent = make_agent(n_steps=4)
    before = agent._n_updates
    agent.learn(240, diary)
    rollout = ["rollout_start", *["step"] * 4, "rollout_end"]
    assert diary.events == ["training_start", *rollout, "rollout_start", "step", "step", "training_end"]
    assert agent.num_timesteps == 18 and agent._n_updates == before + 1
    agent.learn(12, reset_num_timesteps=False)
    assert agent.num_timesteps == 30


def test_box_actions_are_clipped_for_the_environment_only(make_agent, make_envs):
    diary = Diary()
    agent = make_agent(env=make_envs("Noise", action="box"), policy_kwargs={"log_std_init": 1.5})
    agent.learn(36, diary)
    raw = np.stack([step["actions"] for step in diary.seen])
    clipped = np.stack([step["clipped_actions"] for step in diary.seen])
    assert raw.min() < -2 and raw.max() > 1
    np.testing.assert_array_equal(clipped, raw.clip(-2, 1))
    np.testing.assert_array_equal(agent.rollout_buffer.acts.numpy(), raw.swapaxes(0, 1))


def test_scores_are_success_or_else_return(make_agent):
    agent = make_agent()
    infos = [
        {"is_success": True, "episode": {"r": 7.0, "l": 4}},
        {"episode": {"r": 3.0, "l": 9}},
        {"episode": {"r": 9.0, "l": 1}},
    ]
    agent._keep_scores(infos, np.array([True, True, False]), 0)
    agent._keep_scores([{}, {"is_success": False}, {}], np.array([True, True, True]), 0)
    assert list(agent._scores) == [(4, 1.0), (9, 3.0), (0, 0.0)]
    assert agent._scores.maxlen == agent._stats_window_size and not agent._full_scores


def test_scores_with_full_memory_are_kept_apart(make_agent):
    agent = make_agent(forgetting=Forgetting(0.34))
    assert agent.hard_score(full=True) is None
    agent._keep_scores([{"episode": {"r": r, "l": 5}} for r in (1.0, 2.0, 4.0)], np.ones(3, dtype=bool), 0)
    assert (agent.hard_score(), agent.hard_score(full=True)) == (1.5, 4.0)


def test_the_score_is_that_of_the_longest_quarter_if_worse(make_agent):
    agent = make_agent()
    assert agent.hard_score() is None
    agent._scores.extend([(5, 1.0), (9, 0.0), (2, 1.0), (8, 1.0), (3, 1.0), (4, 1.0), (1, 1.0), (6, 1.0)])
    assert agent.hard_score() == 0.5
    agent._scores.extend([(0, 0.0)] * 12)
    assert agent.hard_score() == 0.35
    agent._scores.clear()
    agent._scores.extend([(5, 1.0), (5, 1.0), (5, 0.0), (5, 0.0), *[(1, 1.0)] * 4])
    assert agent.hard_score() == 0, "among equally long episodes the latest, whatever they scored"


def test_early_stopping_by_target_kl(make_agent, capsys):
    agent = make_agent(n_epochs=5, target_kl=1e-9, learning_rate=1e-2, verbose=1)
    agent.learn(36)
    assert agent._n_updates == 1
    assert "Early stopping at step 0 due to reaching max kl" in capsys.readouterr().out


def test_objectives_by_hand(make_agent):
    """Ratio 1.5 with clip 0.2 and advantages 1, -1: min(1.5, 1.2) and min(-1.5, -1.2)."""
    old = th.zeros(1, 2)
    batch = SimpleNamespace(
        old_log_prob=old, old_values=th.tensor([[1.0, 1.0]]), returns=th.tensor([[2.0, 0.0]])
    )
    log_prob, advantages = old + np.log(1.5), th.tensor([[1.0, -1.0]])
    ppo = make_agent(clip_range=0.2, clip_range_vf=0.1)
    out = ppo.policy_loss(log_prob, batch, advantages)
    assert out.loss.item() == pytest.approx(-(1.2 - 1.5) / 2)
    assert out.logs["train/approx_kl"].item() == pytest.approx(0.5 - np.log(1.5))
    assert out.logs["train/clip_fraction"] == 1.0
    values = th.tensor([[3.0, 0.95]])
    clipped = ((1.1 - 2) ** 2 + 0.95**2) / 2
    assert ppo.value_loss(values, batch).item() == pytest.approx(clipped)
    a2c = make_agent(MemoryA2C)
    loss = a2c.policy_loss(th.tensor([[-1.0, -3.0]]), batch, advantages).loss
    assert loss.item() == pytest.approx(-(-1 + 3) / 2)
    assert a2c.value_loss(values, batch).item() == pytest.approx((1 + 0.95**2) / 2)
    with pytest.raises(NotImplementedError):
        MemoryOnPolicyAlgorithm.policy_loss(a2c, log_prob, batch, advantages)
