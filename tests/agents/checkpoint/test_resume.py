"""A run that stops and is resumed is the run that never stopped: weights, logs and episodes, bit for bit."""

import random
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.utils import LinearSchedule

import expirespan.envs  # noqa: F401  registers the environments
from expirespan.agents import AdaptivePenalty, Forgetting, MemoryA2C, MemoryPPO

ENVS, STEPS, ROLLOUTS = 4, 8, 8
TOTAL = ENVS * STEPS * ROLLOUTS

CASES = {
    "ppo": (MemoryPPO, {}),
    "ppo with a lesson": (
        MemoryPPO,
        {
            "memory_kwargs": {"random_span": True},
            "forgetting": Forgetting(0.5),
            "span_penalty": AdaptivePenalty(1e-3, target=-1, growth=1.5, maximum=1),
            "policy_kwargs": {"predictor_lr": 0.3},
        },
    ),
    "ppo with an lstm": (MemoryPPO, {"memory": "lstm"}),
    "a2c": (MemoryA2C, {}),
    "a2c with a penalty": (MemoryA2C, {"span_penalty": 1e-3, "memory_kwargs": {"random_span": True}}),
}


def corridors(num_envs=ENVS):
    return gym.make_vec("ExpireSpan/Corridor-v0", num_envs=num_envs, max_length=5)


def everything(agent):
    """Weights, optimizer, what else learning keeps, and what the run shows."""
    lesson = None if agent._lesson is None else agent._lesson.state_dict()
    episodes = [(info["r"], info["l"]) for info in agent.ep_info_buffer]
    return {
        "weights": agent.policy.state_dict(),
        "optimizer": agent.policy.optimizer.state_dict(),
        "lesson": lesson,
        "penalty": vars(agent.span_penalty),
        "scores": (list(agent._scores), list(agent._full_scores)),
        "episodes": episodes,
        "successes": list(agent.ep_success_buffer),
        "counts": (agent.num_timesteps, agent._n_updates, agent._current_progress_remaining),
        "observation": agent._last_obs,
        "memory": agent._memory_state.without_cache().state_dict(),
        "random": (random.random(), np.random.random(), th.rand(3)),
    }


def assert_equal(a, b, where=""):
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}.{i}")
    elif isinstance(a, th.Tensor):
        assert a.dtype == b.dtype and th.equal(a, b), where
    else:
        np.testing.assert_array_equal(a, b, err_msg=where)


class StopAfter(BaseCallback):
    """Ends learning in the middle of a rollout."""

    def __init__(self, num_timesteps):
        super().__init__()
        self.limit = num_timesteps

    def _on_step(self):
        return self.num_timesteps < self.limit


class Memo(KVWriter):
    def __init__(self):
        self.rows = []

    def write(self, key_values, key_excluded, step=0):
        timed = ("time/fps", "time/time_elapsed", "time/iterations")
        self.rows.append((step, {k: v for k, v in key_values.items() if k not in timed}, dict(key_excluded)))

    def close(self):
        pass


def disturb():
    """What else may happen in a process."""
    random.seed(5)
    np.random.seed(6)
    th.manual_seed(7)


@pytest.mark.parametrize("case", CASES)
def test_a_run_stopped_three_times_is_the_run(make_agent, tmp_path, case):
    """Stopped within three rollouts, drawn at random; it goes on at the update before."""
    agent_class, kwargs = CASES[case]

    def make():
        penalty = kwargs.get("span_penalty", 0.0)
        given = {
            **kwargs,
            "span_penalty": AdaptivePenalty(**vars(penalty)) if hasattr(penalty, "coef") else penalty,
        }
        rate = LinearSchedule(2e-3, 1e-4, 1.0)
        return make_agent(agent_class, env=corridors(), n_steps=STEPS, learning_rate=rate, seed=1, **given)

    def log_to(agent):
        memo = Memo()
        agent.set_logger(Logger(None, [memo]))
        return memo.rows

    whole = make()
    expected_rows = log_to(whole)
    whole.learn(TOTAL, log_interval=1)
    expected = everything(whole)

    draw = np.random.default_rng([*case.encode()])
    stops = sorted(draw.choice(np.arange(1, ROLLOUTS), 3, replace=False).tolist())
    agent, rows = make(), []
    for stop in stops:
        recorded = log_to(agent)
        within = stop * ENVS * STEPS + ENVS * int(draw.integers(1, STEPS + 1))
        left = TOTAL - agent.num_timesteps
        agent.learn(left, StopAfter(within), log_interval=1, reset_num_timesteps=agent.num_timesteps == 0)
        assert agent.num_timesteps == within and agent.resumable_timesteps == stop * ENVS * STEPS
        agent.save(tmp_path / "agent")
        disturb()
        agent = agent_class.load(tmp_path / "agent", corridors(), device="cpu", resume=True)
        assert agent.num_timesteps == agent.resumable_timesteps == stop * ENVS * STEPS
        rows += recorded
    recorded = log_to(agent)
    agent.learn(TOTAL - agent.num_timesteps, log_interval=1, reset_num_timesteps=False)
    assert_equal(everything(agent), expected)
    rows += recorded
    assert [row[0] for row in rows] == [row[0] for row in expected_rows]
    for (_, ours, _), (_, theirs, _) in zip(rows, expected_rows, strict=True):
        assert ours.keys() == theirs.keys(), "what an update recorded is logged after the break"
        for key, value in theirs.items():
            if not key.endswith("/spans"):
                assert ours[key] == value or value != value, key


@pytest.mark.parametrize("wrap", [lambda env: env, RecordEpisodeStatistics])
def test_saving_between_updates(make_agent, tmp_path, wrap):
    """After learn(), and saving changes nothing for the run that goes on."""
    agent = make_agent(env=wrap(corridors())).learn(TOTAL // 2)
    agent.save(tmp_path / "agent")
    agent.save(tmp_path / "again")
    agent.learn(TOTAL // 2, reset_num_timesteps=False)
    expected = everything(agent)
    for name in ("agent", "again"):
        disturb()
        twin = MemoryPPO.load(tmp_path / name, wrap(corridors()), device="cpu", resume=True)
        twin.learn(TOTAL // 2, reset_num_timesteps=False)
        assert_equal(everything(twin), expected)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from test_resume import corridors
from expirespan.agents import MemoryPPO
agent = MemoryPPO.load({path!r}, corridors(), device="cpu", resume=True)
agent.learn({steps}, reset_num_timesteps=False)
torch.save(agent.policy.state_dict(), {out!r})
"""


@pytest.mark.slow
def test_in_another_process(make_agent, tmp_path, request):
    agent = make_agent(env=corridors()).learn(TOTAL // 2)
    agent.save(tmp_path / "agent")
    agent.learn(TOTAL // 2, reset_num_timesteps=False)
    script = SCRIPT.format(
        tests=str(request.path.parent),
        path=str(tmp_path / "agent"),
        steps=TOTAL // 2,
        out=str(tmp_path / "out"),
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    assert_equal(th.load(tmp_path / "out"), dict(agent.policy.state_dict()))


def test_foreign_environments_begin_new_episodes(make_agent, make_envs, tmp_path):
    """Everything else goes on, and the new episodes are not those of the run's start."""
    agent = make_agent(env=make_envs("Noise", seed=None), seed=3).learn(108)
    first = make_envs("Noise", seed=3).reset()
    agent.save(tmp_path / "agent")
    rng = th.get_rng_state()
    disturb()
    with pytest.warns(UserWarning, match="new episodes begin") as warned:
        loaded = MemoryPPO.load(tmp_path / "agent", make_envs("Noise", seed=None), device="cpu", resume=True)
    assert len(warned) == 1 and th.equal(th.get_rng_state(), rng)
    assert loaded.num_timesteps == 108 and list(loaded._scores) == list(agent._scores)
    loaded.learn(36, reset_num_timesteps=False)
    assert loaded.num_timesteps == 144
    again = make_envs("Noise", seed=3 + 108).reset()
    assert not np.array_equal(first, again)


class Odd(gym.vector.VectorWrapper):
    """Keeps its state to itself."""


def test_a_wrapper_without_state_is_named(make_agent, tmp_path):
    make_agent(env=Odd(corridors())).learn(48).save(tmp_path / "agent")
    with pytest.warns(UserWarning, match="new episodes begin"):
        MemoryPPO.load(tmp_path / "agent", Odd(corridors()), device="cpu", resume=True)
    make_agent(env=corridors()).learn(48).save(tmp_path / "agent")
    with pytest.warns(UserWarning, match=r"Odd has no set_state\(\)"):
        MemoryPPO.load(tmp_path / "agent", Odd(corridors()), device="cpu", resume=True)


def test_other_environments(make_agent, tmp_path):
    make_agent(env=corridors()).learn(48).save(tmp_path / "agent")
    for arguments in ({"resume": True}, {"force_reset": False}):
        with pytest.raises(
            ValueError, match="saved with n_envs=4, and the environment given has n_envs=5"
        ) as error:
            MemoryPPO.load(tmp_path / "agent", corridors(5), **arguments)
        assert "agent.zip cannot be loaded as MemoryPPO" in str(error.value) and "\n" not in str(error.value)
    assert MemoryPPO.load(tmp_path / "agent", corridors(5)).learn(60).n_envs == 5
    with pytest.raises(
        ValueError, match="VecMonitor around SB3VecEnv, and the environment given is SB3VecEnv"
    ):
        MemoryPPO.load(tmp_path / "agent", RecordEpisodeStatistics(corridors()), device="cpu", resume=True)
    with pytest.raises(ValueError, match="takes the environments to go on in; pass env"):
        MemoryPPO.load(tmp_path / "agent", device="cpu", resume=True)


@pytest.mark.parametrize("excluded", ["_memory_state", "_last_obs", "num_timesteps"])
def test_a_file_without_the_position(make_agent, tmp_path, excluded):
    make_agent(env=corridors()).learn(48).save(tmp_path / "agent", exclude=[excluded])
    with pytest.raises(ValueError, match="the file lacks"):
        MemoryPPO.load(tmp_path / "agent", corridors(), device="cpu", resume=True)
    assert MemoryPPO.load(tmp_path / "agent", corridors()).learn(48)


def test_loading_to_predict_leaves_random_numbers_alone(make_agent, tmp_path):
    make_agent(seed=None).learn(36).save(tmp_path / "agent")
    th.manual_seed(0)
    python, numpy = random.getstate(), np.random.get_state()[1].copy()
    MemoryPPO.load(tmp_path / "agent")
    assert random.getstate() == python and np.array_equal(np.random.get_state()[1], numpy)
