"""What scripts for PPO and A2C rely on and SB3's own tests (tests/sb3) do not check on these agents."""

import pytest
import torch as th
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack, VecNormalize

from expirespan.agents import MemoryA2C, MemoryPPO


class Keys(KVWriter):
    """Collects what is logged, as a writer of SB3's logger."""

    def __init__(self):
        self.seen = {}

    def write(self, key_values, key_excluded, step=0):
        for key in key_values:
            self.seen.setdefault(key, []).append(key_values[key])

    def close(self):
        pass


def logged(agent, steps):
    keys = Keys()
    agent.set_logger(Logger(None, [keys]))
    agent.learn(steps, log_interval=1)
    agent.logger.dump()  # what the last update recorded
    return keys.seen


@pytest.mark.parametrize("ours, theirs", [(MemoryPPO, PPO), (MemoryA2C, A2C)])
def test_logged_names_are_those_of_sb3(make_agent, make_envs, ours, theirs):
    settings = {"n_steps": 12, "device": "cpu"} | ({"batch_size": 12} if theirs is PPO else {})
    expected = set(logged(theirs("MlpPolicy", make_envs("Noise", action="box"), **settings), 36))
    found = set(logged(make_agent(ours, env=make_envs("Noise", action="box")), 36))
    assert expected >= {"rollout/ep_rew_mean", "train/std", "train/explained_variance"}
    assert expected <= found
    more = {key for key in found - expected if not key.startswith("expire/")}
    assert more <= {"train/loss"}  # which SB3 logs for PPO only


def test_schedules_are_followed(make_agent):
    """After 2 of 4 rollouts, half of the progress remains; SB3 updates it before each update."""
    agent = make_agent(
        learning_rate=LinearSchedule(1e-3, 0.0, 1.0),
        clip_range=LinearSchedule(0.4, 0.0, 1.0),
        clip_range_vf=LinearSchedule(0.8, 0.0, 1.0),
    )
    seen = logged(agent, 4 * 36)
    for key, start in (
        ("train/learning_rate", 1e-3),
        ("train/clip_range", 0.4),
        ("train/clip_range_vf", 0.8),
    ):
        assert seen[key] == pytest.approx([start * left for left in (0.75, 0.5, 0.25, 0)]), key


def test_target_kl_ends_an_update(make_agent, capsys):
    agent = make_agent(target_kl=1e-9, n_epochs=50, learning_rate=1e-2, verbose=1)
    agent.learn(36)
    assert agent._n_updates < 50
    assert "Early stopping at step" in capsys.readouterr().out


def test_stacked_frames_and_normalised_rewards(make_agent, make_envs):
    env = VecFrameStack(VecNormalize(make_envs("Noise")), n_stack=2)
    agent = make_agent(env=env).learn(72)
    assert agent.policy.observation_space.shape == (6,)
    assert env.venv.obs_rms.count > 72


def test_environments_in_processes(make_agent):
    env = SubprocVecEnv([_cart_pole] * 2, start_method="fork")
    make_agent(env=env).learn(48)
    env.close()


def _cart_pole():
    import gymnasium as gym

    return gym.make("CartPole-v1")


def test_the_window_of_statistics(make_agent):
    agent = make_agent(stats_window_size=3).learn(72)
    assert len(agent.ep_info_buffer) == 3


def test_a_compiled_policy_learns_and_predicts(make_agent):
    agent = make_agent()
    agent.policy = th.compile(agent.policy, backend="eager")
    agent.learn(36)
    actions, state = agent.predict(agent.get_env().reset())
    assert actions.shape == (3,) and state.batch_size == 3
