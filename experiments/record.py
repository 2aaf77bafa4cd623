"""Recording one episode of an agent as an `EpisodeTrace`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import load_env_creator

from expirespan.experiments.build import Agent, make_envs, memory_policy
from expirespan.experiments.config import Env
from expirespan.experiments.evaluate import max_spans, rules
from expirespan.experiments.retention import ImageOf
from expirespan.experiments.trace import EpisodeTrace


def record_episode(agent: Agent, env: Env, seed: int, recipe: str = "") -> EpisodeTrace:
    """Play one episode with the most likely actions and keep everything that happens in it."""
    training = agent.policy.training
    agent.policy.set_training_mode(False)
    try:
        return _record(agent, env, seed, recipe)
    finally:
        agent.policy.set_training_mode(training)


def _record(agent: Agent, env: Env, seed: int, recipe: str) -> EpisodeTrace:
    envs = make_envs(env, 1)
    policy = memory_policy(agent)
    state = policy.initial_state(1)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("observation", "action", "reward", "value", "cue", "span", "alive")
    }
    death: list[dict[int, int]] = []
    living: list[set[int]] = []
    observation, infos = envs.reset(seed=seed)
    done, step = False, 0
    while not done:
        start = torch.tensor([step == 0], device=agent.device)
        with torch.no_grad():
            out = policy.step(policy.obs_to_tensor(observation)[0], state, start, deterministic=True)
        state, trace = out.state, out.trace
        action = policy.to_env(out.actions.cpu().numpy())
        columns["observation"].append(np.array(observation[0]))
        columns["action"].append(action[0])
        columns["value"].append(out.values[0].item())
        columns["cue"].append(bool(infos["cue"][0]) if "cue" in infos else False)
        columns["span"].append([span[0, 0].item() for span in trace.spans])
        columns["alive"].append([alive[0, 0].item() for alive in trace.alive])
        present = [set(births[0].tolist()) - {-1} for births in trace.births]
        living, death = living or [set() for _ in present], death or [{} for _ in present]
        for before, now, died in zip(living, present, death, strict=True):
            died.update(dict.fromkeys((before | {step}) - now, step))
        living = present
        observation, rewards, terminated, truncated, infos = envs.step(action)
        columns["reward"].append(rewards[0])
        done, step = bool(terminated[0] or truncated[0]), step + 1
    envs.close()
    final = infos.get("final_info", {})
    layers = len(death)
    return EpisodeTrace(
        observation=np.stack(columns["observation"]),
        action=np.stack(columns["action"]),
        reward=np.asarray(columns["reward"], np.float32),
        value=np.asarray(columns["value"], np.float32),
        cue=np.asarray(columns["cue"], bool),
        span=np.asarray(columns["span"], np.float32).T.reshape(layers, step),
        alive=np.asarray(columns["alive"], np.int32).T.reshape(layers, step),
        death=np.asarray([[died.get(t, step) for t in range(step)] for died in death], np.int32).reshape(
            layers, step
        ),
        about={
            "env": env.gym_id,
            "settings": env.parameters,
            "seed": seed,
            "success": bool(final["is_success"][0]) if "is_success" in final else None,
            "ramp": getattr(rules(agent)[0], "ramp", 0) if layers else None,
            "max_span": max_spans(agent),
            "trained_steps": agent.num_timesteps,
            "recipe": recipe,
        },
    )


def image_of(env: Env) -> ImageOf | None:
    """What draws an observation of the environment, or None if it cannot be drawn."""
    creator = load_env_creator(str(gym.spec(env.gym_id).entry_point))
    drawer: ImageOf | None = getattr(creator, "observation_image", None)
    return drawer
