"""Recording one episode of an agent as an `EpisodeTrace`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from expirespan.agents import vector_action_masks
from expirespan.experiments.episodes.playing import PlayingStopped, Stop, never
from expirespan.experiments.episodes.recorders import Kept, Seen
from expirespan.experiments.episodes.showing import image_of, render_mode, words_of
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.episodes.what_if import Removals
from expirespan.experiments.making.agents import Agent, max_spans, memory_policy, ramps, rules
from expirespan.experiments.making.envs import VectorEnvs, lent_envs
from expirespan.experiments.settings import Env
from expirespan.experiments.settings.errors import UserError


def record_episode(
    agent: Agent,
    env: Env,
    seed: int,
    recipe: str = "",
    deterministic: bool = True,
    what_if: bool = True,
    max_steps: int | None = None,
    stop: Stop = never,
) -> EpisodeTrace:
    """Play one episode, by default with the most likely actions, and keep what happens, within bounds (`TOP`, ...).

    ``what_if``: at each step also ask what the agent had done without the memories that it reads most (`what_if.py`).
    ``max_steps``: after so many it is cut off.

    Raises:
        PlayingStopped: ``stop`` said so.
        UserError: the environment failed.
    """
    training = agent.policy.training
    agent.policy.set_training_mode(False)
    try:
        return _record(agent, env, seed, recipe, deterministic, what_if, max_steps, stop)
    finally:
        agent.policy.set_training_mode(training)


def _record(
    agent: Agent,
    env: Env,
    seed: int,
    recipe: str,
    deterministic: bool,
    what_if: bool,
    max_steps: int | None,
    stop: Stop,
) -> EpisodeTrace:
    mode = render_mode(env)
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")  # pygame complains where there is no sound
    with lent_envs(env, 1, **({"render_mode": mode} if mode else {})) as envs:
        removals = Removals(memory_policy(agent)) if what_if else None
        rendered, most = mode is not None, math.inf if max_steps is None else max_steps
        return _record_in(envs, agent, env, seed, recipe, deterministic, removals, rendered, most, stop)


def _record_in(
    envs: VectorEnvs,
    agent: Agent,
    env: Env,
    seed: int,
    recipe: str,
    deterministic: bool,
    removals: Removals | None,
    rendered: bool,
    max_steps: float,
    stop: Stop,
) -> EpisodeTrace:
    policy = memory_policy(agent)
    state = policy.initial_state(1)
    seen, kept = Seen(envs.single_observation_space, image_of(env), words_of(env)), Kept()
    actions: list[Any] = []
    rewards: list[float] = []
    values: list[float] = []
    observation, infos = envs.reset(seed=seed)
    done, step = False, 0
    while not done and step < max_steps:
        if stop():
            raise PlayingStopped
        start = torch.tensor([step == 0], device=agent.device)
        with torch.no_grad():
            tensors, allowed = policy.obs_to_tensor(observation)[0], vector_action_masks(envs, infos)
            masks = None if allowed is None else torch.as_tensor(allowed, device=agent.device)
            out = policy.step(tensors, state, start, deterministic, need_attention=True, action_masks=masks)
        if removals is not None:
            removals.add(tensors, state, start, masks, out.trace, step)
        state = out.state
        action = policy.to_env(out.actions.cpu().numpy())
        seen.add(observation, infos, allowed, envs.render if rendered else None)
        kept.add(out.trace, step)
        actions.append(action[0])
        values.append(out.values[0].item())
        observation, reward, terminated, truncated, infos = envs.step(action)
        rewards.append(float(reward[0]))
        done, step = bool(terminated[0] or truncated[0]), step + 1
    names = getattr(envs.unwrapped, "ACTIONS", None)
    final = infos.get("final_info", {}) if done else {}
    return EpisodeTrace(
        action=np.stack(actions),
        reward=np.asarray(rewards, np.float32),
        value=np.asarray(values, np.float32),
        **seen.arrays(),
        **kept.arrays(step),
        **(removals.arrays() if removals is not None else {}),
        about={
            "env": env.gym_id,
            "settings": env.played,
            "seed": seed,
            "success": bool(final["is_success"][0]) if "is_success" in final else None,
            "ended": done,
            "ramp": ramps(agent)[0] if rules(agent) else None,
            "max_span": max_spans(agent),
            "trained_steps": agent.num_timesteps,
            "recipe": recipe,
            "actions": list(names) if names else None,
            "shapes": seen.shapes(),
        },
    )


def trace_paths(asked: str, folder: Path) -> list[Path]:
    """The files for ``asked`` episodes in a run's ``folder`` of traces; or the file asked.

    Raises:
        UserError: it is neither a number >= 1 nor an .npz file in an existing folder.
    """
    if asked.isdecimal() and int(asked) > 0:
        return [folder / f"evaluation{f'-{i}' if i > 1 else ''}.npz" for i in range(1, int(asked) + 1)]
    path = Path(asked)
    if path.suffix != ".npz" or not path.parent.is_dir():
        raise UserError(
            f"trace={asked!r}: expected a number of episodes >= 1, or the path of an .npz file in an existing folder"
        )
    return [path]
