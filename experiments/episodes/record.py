"""Recording one episode of an agent as an `EpisodeTrace`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces

from expirespan.agents import vector_action_masks
from expirespan.experiments.episodes.frames import Frames, ImageOf, as_picture
from expirespan.experiments.episodes.playing import PlayingStopped, Stop, never, select
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.episodes.what_if import Removals
from expirespan.experiments.making.agents import Agent, max_spans, memory_policy, ramps, rules
from expirespan.experiments.making.envs import VectorEnvs, lent_envs
from expirespan.experiments.making.registered import creator, metadata_of, spec_of
from expirespan.experiments.settings import Env
from expirespan.experiments.settings.errors import UserError
from expirespan.memory import Trace

WordsOf = Callable[[Any], str]
"""Says what one observation shows."""
TOP = 16
"""Memories whose attention is kept, of each step and layer: those attended to most."""
OBSERVATION_BYTES = 16_000_000
"""Observations of an episode that take more are left out; their pictures stay."""
TEXT_LENGTH = 400
"""Characters of a text that are kept."""


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
    seen, kept = _Seen(envs.single_observation_space, image_of(env), words_of(env)), _Kept()
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
            "settings": env.parameters,
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


@dataclass
class _Seen:
    """What the agent sees, as it comes."""

    space: spaces.Space[Any]
    draw: ImageOf | None
    say: WordsOf | None
    words: list[str] = field(default_factory=list)
    cue: list[bool] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    allowed: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)
    frames: Frames = field(default_factory=Frames)
    observation: list[npt.NDArray[Any]] = field(default_factory=list)
    room: int = field(default_factory=lambda: OBSERVATION_BYTES)

    def add(
        self,
        observations: Any,
        infos: dict[str, Any],
        allowed: npt.NDArray[np.bool_] | None,
        rendered: Callable[[], Any] | None,
    ) -> None:
        """One step of the only environment; ``rendered`` is asked for its picture if nothing else shows the state."""
        one = select(observations, 0)
        if allowed is not None:
            self.allowed.append(allowed[0])
        self.cue.append(bool(infos["cue"][0]) if "cue" in infos else False)
        if self.say is not None:
            self.words.append(self.say(one)[:TEXT_LENGTH])
        if "text" in infos:
            self.text.append(str(infos["text"][0])[:TEXT_LENGTH])
        picture = self.draw(one) if self.draw else as_picture(self.space, one)
        if picture is None and "text" not in infos and rendered is not None:
            picture = (rendered() or [None])[0]
        if picture is not None:
            self.frame.append(self.frames.add(picture))
        flat = np.array(spaces.flatten(self.space, one) if isinstance(one, dict) else one)
        self.room -= flat.nbytes
        if self.room >= 0:
            self.observation.append(flat)
        else:  # too much: none at all rather than some
            self.observation.clear()

    def shapes(self) -> dict[str, list[int]] | None:
        """Those of the parts of Dict observations, in the order in which they are flattened."""
        if not isinstance(self.space, spaces.Dict):
            return None
        return {name: list(part.shape or ()) for name, part in self.space.items()}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The fields of the trace that these are."""
        return {
            "observation": np.stack(self.observation) if self.room >= 0 else np.zeros((len(self.cue), 0)),
            "cue": np.asarray(self.cue, bool),
            "text": np.asarray(self.text, np.str_),
            "words": np.asarray(self.words, np.str_),
            "frame": np.asarray(self.frame, np.int32),
            "frames": self.frames.array(),
            "allowed": np.stack(self.allowed) if self.allowed else np.zeros((0, 0), bool),
        }


@dataclass
class _Kept:
    """What the memory does, as it comes; lists have an entry per layer, or per step and layer."""

    span: list[list[float]] = field(default_factory=list)
    alive: list[list[int]] = field(default_factory=list)
    attended: list[npt.NDArray[np.int32]] = field(default_factory=list)
    attention: list[npt.NDArray[np.float16]] = field(default_factory=list)
    heads: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    death: list[dict[int, int]] = field(default_factory=list)
    living: list[set[int]] = field(default_factory=list)

    def add(self, trace: Trace, step: int) -> None:
        """What happened at a step of the only environment."""
        self.span.append([span[0, 0].item() for span in trace.spans])
        self.alive.append([int(alive[0, 0]) for alive in trace.alive])
        present = [set(births[0].tolist()) - {-1} for births in trace.births]
        self.living, self.death = self.living or [set() for _ in present], self.death or [{} for _ in present]
        for before, now, died in zip(self.living, present, self.death, strict=True):
            died.update(dict.fromkeys((before | {step}) - now, step))
        self.living = present
        births = np.full((len(present), TOP), -1, np.int32)
        most = np.zeros((len(present), TOP), np.float16)
        H = trace.attention[0].shape[1] if trace.attention else 0
        heads = np.zeros((len(present), TOP, H), np.uint8)
        for layer, (weights, keys) in enumerate(zip(trace.attention or [], trace.keys or [], strict=True)):
            by_head = weights[0, :, 0]
            top = by_head.mean(0).topk(min(TOP, weights.shape[-1]))
            read = top.values > 0
            found = int(read.sum())
            births[layer, :found] = keys[0, top.indices[read]].cpu().numpy()
            most[layer, :found] = top.values[read].cpu().numpy()
            heads[layer, :found] = (by_head[:, top.indices[read]].T * 255).round().cpu().numpy()
        self.attended.append(births)
        self.attention.append(most)
        self.heads.append(heads)

    def arrays(self, T: int) -> dict[str, npt.NDArray[Any]]:
        """The fields of the trace that these are, for an episode of T steps."""
        L = len(self.death)
        death = [[died.get(t, T) for t in range(T)] for died in self.death]
        return {
            "span": np.asarray(self.span, np.float32).T.reshape(L, T),
            "alive": np.asarray(self.alive, np.int32).T.reshape(L, T),
            "death": np.asarray(death, np.int32).reshape(L, T),
            "attended": np.stack(self.attended, 1),
            "attention": np.stack(self.attention, 1),
            "heads": np.stack(self.heads, 1),
        }


def image_of(env: Env) -> ImageOf | None:
    """What draws an observation of the environment, or None if it cannot be drawn."""
    drawer: ImageOf | None = getattr(creator(spec_of(env).entry_point), "observation_image", None)
    if drawer is None or env.frame_stack == 1:
        return drawer
    return lambda observation: drawer(observation[-1])  # the newest of those stacked


def words_of(env: Env) -> WordsOf | None:
    """What says in words what an observation of the environment shows, or None if nothing does."""
    found: WordsOf | None = getattr(creator(spec_of(env).entry_point), "observation_words", None)
    if found is None or env.frame_stack == 1:
        return found
    return lambda observation: found(observation[-1])  # the newest of those stacked


def render_mode(env: Env) -> str | None:
    """``rgb_array`` if pictures of the environment can be had and nothing else draws what is observed."""
    modes = metadata_of(spec_of(env).entry_point).get("render_modes", [])
    return "rgb_array" if image_of(env) is None and "rgb_array" in modes else None


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
