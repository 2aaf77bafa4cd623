"""What tests of the lesson share."""

import torch as th

from expirespan.agents import Forgetting
from expirespan.agents.forgetting.lesson import Lesson

SHORT = {"max_span": 64, "init_fraction": 0.02, "ramp": 2}  # spans of 1.28 steps
LONG = {"max_span": 1000, "init_fraction": 0.99}


def lessons(agent, buffer, alpha):
    """The lesson of each minibatch of teachers' segments."""
    lesson = Lesson(agent.forgetting, agent.policy, agent.n_envs)
    for batch in buffer.get(agent.batch_size, lesson.teachers):
        full = agent.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
        yield lesson.gradient(batch, full, alpha)


def forgetful_agent(make_agent, collect, **settings):
    """An agent whose short spans change what it would do, and a rollout of it."""
    agent = make_agent(memory_kwargs=SHORT, forgetting=Forgetting(0.34, **settings), batch_size=36)
    with th.no_grad():
        agent.policy.action_net.weight *= 300
    return agent, collect(agent)


def predictors(agent):
    return [p.detach().clone() for n, p in agent.policy.named_parameters() if ".predictor." in n]
