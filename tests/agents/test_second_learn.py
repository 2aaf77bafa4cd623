"""A second `learn`, or one with other settings: nothing of the first that should not, and all that should, goes on."""

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback, StopTrainingOnMaxEpisodes

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO, PlateauPenalty

LESSON = {"forgetting": Forgetting(0.5), "span_penalty": 1e-3}


def floors(agent):
    floor = agent._memory_state.spans.floor_B
    return [] if floor is None else floor.tolist()


def test_a_loaded_agent_without_the_lesson_has_no_teachers(make_agent, make_envs, tmp_path):
    """Environments that kept everything forget again, and count."""
    agent = make_agent(**LESSON, env=make_envs("Recall", 4))
    agent.learn(24)
    assert max(floors(agent)) > 0
    agent.save(tmp_path / "agent")
    other = type(agent).load(tmp_path / "agent", env=make_envs("Recall", 4), forgetting=None)
    other.learn(48)
    assert not any(floors(other)) and other._rollout_spans.counted.all()


def test_a_lesson_can_be_ended_and_begun_between_two_runs(make_agent, make_envs):
    agent = make_agent(**LESSON, env=make_envs("Recall", 4))
    agent.learn(24)
    agent.forgetting = None
    agent.learn(24)
    assert agent._lesson is None and not any(floors(agent))
    agent.forgetting = Forgetting(0.25)
    agent.learn(24)
    assert agent._lesson.settings == Forgetting(0.25) and np.count_nonzero(floors(agent)) == 1


class Clocks(BaseCallback):
    """Of each step: whether an episode begins, and how many steps of it the memory has seen."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def _on_step(self):
        self.seen.append((bool(self.locals["starts"][0]), int(self.locals["out"].state.time_B[0])))
        return True


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_who_was_stopped_at_an_episodes_end_begins_the_next_one_afresh(make_agent, make_envs, agent_class):
    agent = make_agent(agent_class, env=make_envs("Clock", 1), n_steps=64)
    agent.learn(640, callback=StopTrainingOnMaxEpisodes(1))
    clocks = Clocks()
    agent.learn(64, callback=clocks, reset_num_timesteps=False)
    assert clocks.seen[:4] == [(True, 1), (False, 2), (False, 3), (False, 4)]


def test_who_was_stopped_within_an_episode_goes_on_in_it(make_agent, make_envs):
    """Each observation of the clock says how many steps there were; memory and environment agree."""
    agent = make_agent(env=make_envs("Clock", 1), n_steps=64)

    class Stop(BaseCallback):
        def _on_step(self):
            return self.n_calls < 2

    agent.learn(640, callback=Stop())
    clocks = Clocks()
    agent.learn(64, callback=clocks, reset_num_timesteps=False)
    assert clocks.seen[:3] == [(False, 3), (False, 4), (True, 1)]


def test_scores_of_another_run_are_forgotten(make_agent, make_envs):
    """As SB3 forgets its episodes, unless the steps go on."""
    agent = make_agent(MemoryA2C, env=make_envs("Recall", 2), **LESSON)
    agent.learn(120)
    assert agent._scores and agent._full_scores and agent.ep_info_buffer
    before = len(agent._scores)
    agent._setup_learn(1, reset_num_timesteps=False)
    assert len(agent._scores) == before
    agent._setup_learn(1)
    assert not agent._scores and not agent._full_scores and not agent.ep_info_buffer


def test_a_plateau_is_waited_for_anew():
    schedule = PlateauPenalty(1.0, wait=0.0, patience=30)
    for step, score in [(100, 0.0), (200, 10.0)]:
        schedule(step, score)
    assert [schedule(step, 10.0) for step in (5, 20, 34)] == [0, 0, 0] and schedule.marked_at == 5
    assert schedule(35, 10.0) == 1.0
