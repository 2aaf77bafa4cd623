"""Acting: fill the buffer with a rollout, stepping the policy with an explicit memory.

SB3's ``collect_rollouts`` with three differences. The memory goes from step to step, and the buffer keeps it
where a segment begins. Spans are altered for a rollout at a time: shortened at random, or held long in the
environments that teach forgetting (`forgetting.py`). A time limit bootstraps from what is remembered then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv

from expirespan.agents.base.checks import check_finite
from expirespan.agents.checkpoint import CheckpointedAlgorithm, position_of
from expirespan.agents.core.buffer import MemoryRolloutBuffer
from expirespan.agents.core.masks import Masks, present_infos, reset_infos, source
from expirespan.agents.core.policies import MemoryActorCriticPolicy, has_memory
from expirespan.agents.core.steps import to_env
from expirespan.agents.forgetting.lesson import Forgetting
from expirespan.agents.forgetting.rollout_spans import RolloutSpans
from expirespan.agents.sb3.memoryless import Memoryless
from expirespan.agents.workers import Part
from expirespan.memory import MemoryState, TransformerMemory, TransformerState


class Ended(NamedTuple):
    """An episode that ended at a step of a rollout, in the environment of a ``number``; ``info`` is its monitor's."""

    step: int
    number: int
    info: dict[str, Any] | None
    success: Any
    counted: bool


class RolloutAlgorithm(CheckpointedAlgorithm):
    """`OnPolicyAlgorithm` whose rollouts carry a memory."""

    forgetting: Forgetting | None
    _segments: MemoryRolloutBuffer
    _scores: deque[tuple[int, float]] | None = None
    _full_scores: deque[tuple[int, float]] | None = None
    _last_masks: Masks | None = None
    _masks_of: tuple[VecEnv, Callable[[Sequence[dict[str, Any]]], Masks | None]] | None = None

    @property
    def actor(self) -> MemoryActorCriticPolicy | Memoryless:
        """The policy, with the methods of one that has a memory."""
        return self.policy if has_memory(self.policy_class) else Memoryless(self.policy)  # type: ignore[return-value]

    def _setup_memory(self) -> None:
        """Begin with empty memories, unless loading brought those of the same number of environments."""
        state = self._memory_state
        if state is None or state.batch_size != self.n_envs:
            state = self.actor.initial_state(self.n_envs)
        self._memory_state = state.to(self.device)
        if self._scores is None:
            self._scores = deque(maxlen=self._stats_window_size)
        if self._full_scores is None:
            self._full_scores = deque(maxlen=self._stats_window_size)
        self._rollout_spans = RolloutSpans(self._forgetful()[self._part.rows])

    def _forgetful(self) -> th.Tensor:
        """(N,) bool, on the host: environments, of all workers, that act with the memory's own spans."""
        if self.forgetting is None:
            return th.ones(self.all_envs, dtype=th.bool)
        return ~self.forgetting.teachers(self.all_envs, th.device("cpu"))

    @property
    def _part(self) -> Part:
        """Which of the environments of all workers are this one's."""
        return self.workers.part(self.n_envs)

    def _check_students(self) -> None:
        """Raise ValueError if every environment teaches, so that none acts as the agent will."""
        if self.forgetting is not None and not self._forgetful().any():
            raise ValueError(
                f"{self.forgetting} makes teachers of all environments (there are {self.all_envs}): expected "
                "at least one that forgets; train with more environments or a smaller fraction"
            )

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_rollout_spans", "_lesson", "_segments"]

    def _begin_rollout(self) -> MemoryState:
        """Memory under the present weights, with what this rollout does to its spans."""
        memory, state = self.actor.memory, self._memory_state
        assert state is not None
        state = state if memory is None else memory.refresh(state)
        if isinstance(memory, TransformerMemory):
            assert isinstance(state, TransformerState)
            plain = state.with_spans()  # a rollout before this one may have altered them
            state = memory.shorten(plain, None, self.workers.rank, self.workers.size)
            if self.forgetting is not None:
                state = self.forgetting.begin(memory, state, self._part)
        self._check_students()
        self._rollout_spans = RolloutSpans(self._forgetful()[self._part.rows])
        return state

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Act for ``n_rollout_steps`` in every environment to fill the buffer; False if the callback ends it.

        The names of local variables are SB3's, because callbacks read them.
        """
        assert self._last_obs is not None, "nothing observed yet: call learn(), which resets the environment"
        self.policy.set_training_mode(False)
        self._segments.reset()
        callback.on_rollout_start()
        self.workers.share_random_state(self.device)
        self._rollout_start = position_of(self)  # a run that stops within a rollout goes on here
        acted = self.workers.together(lambda: self._act(env, callback, rollout_buffer, n_rollout_steps))
        if not all(going_on for going_on, _ in acted):
            return False
        self._share_episodes([ended for _, ended in acted])
        if isinstance(self.actor.memory, TransformerMemory):
            longest = [rule.max_span for rule in self.actor.memory.rules]
            self._rollout_spans.record(self.logger, longest, self.workers)
        callback.on_rollout_end()
        return True

    def _act(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> tuple[bool, list[Ended]]:
        """This worker's part of a rollout: whether its callback lets it go on, and the episodes that ended in it."""
        actor, part = self.actor, self._part
        segments = self._segments  # which is rollout_buffer, or fills it
        ended: list[Ended] = []
        assert self._last_obs is not None
        if self.use_sde:
            self.policy.reset_noise(env.num_envs)
        check_finite(self._last_obs, np.zeros(env.num_envs), self.num_timesteps)  # a reset is no step
        self._memory_state = self._begin_rollout()
        if self._last_masks is None:
            self._last_masks = self._mask_source(env)(reset_infos(env))

        for n_steps in range(n_rollout_steps):
            if self.use_sde and self.sde_sample_freq > 0 and n_steps % self.sde_sample_freq == 0:
                self.policy.reset_noise(env.num_envs)
            if segments.wants_snapshot():
                segments.add_snapshot(self._memory_state)
            with th.no_grad():
                obs_tensor = obs_as_tensor(self._last_obs, self.device)
                starts = th.as_tensor(self._last_episode_starts, dtype=th.bool, device=self.device)
                masks = (
                    None if self._last_masks is None else th.as_tensor(self._last_masks, device=self.device)
                )
                out = actor.step(obs_tensor, self._memory_state, starts, action_masks=masks, part=part)
            values, log_probs = out.values, out.log_prob
            actions = out.actions.cpu().numpy()
            clipped_actions = to_env(self.policy, actions)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            check_finite(new_obs, rewards, self.num_timesteps, infos)
            self.num_timesteps += part.total

            callback.update_locals(locals())
            if not callback.on_step():
                self._go_on_from(env, new_obs, dones, infos, out.state)
                return False, ended

            self._update_info_buffer(infos, dones)
            ended += self._keep_scores(infos, dones, n_steps)
            self._rollout_spans.add(out.trace, out.state)
            rewards = rewards + self.gamma * self._values_at_timeout(infos, dones, out.state)
            segments.add(obs_tensor, out.actions, rewards, starts, values, log_probs, masks)
            self._go_on_from(env, new_obs, dones, infos, out.state)

        with th.no_grad():
            obs_tensor = obs_as_tensor(new_obs, self.device)  # type: ignore[arg-type]
            starts = th.as_tensor(dones, dtype=th.bool, device=self.device)
            values = actor.predict_values(obs_tensor, out.state, starts)
        segments.compute_returns_and_advantage(last_values=values, dones=dones)
        callback.update_locals(locals())
        return True, ended

    def _go_on_from(
        self, env: VecEnv, new_obs: Any, dones: np.ndarray, infos: list[dict[str, Any]], state: MemoryState
    ) -> None:
        """Keep what the next action reads: what a step of the environments gave, and the memory after it."""
        self._last_obs, self._last_episode_starts = new_obs, dones
        self._last_masks = self._mask_source(env)(present_infos(env, dones, infos))
        self._memory_state = state

    def _share_episodes(self, of_workers: list[list[Ended]]) -> None:
        """Keep the episodes that ended at any worker, in the order in which a single process would have seen them."""
        if len(of_workers) == 1:
            return
        assert self._rollout_start is not None
        for name in ("ep_info_buffer", "ep_success_buffer", "_scores", "_full_scores"):
            setattr(self, name, self._rollout_start[name].copy())
        for episode in sorted(chain(*of_workers), key=lambda one: (one.step, one.number)):
            info = {"episode": episode.info} if episode.info is not None else {}
            info |= {} if episode.success is None else {"is_success": episode.success}
            self._update_info_buffer([info], np.array([True]))
            self._keep_score(info, episode.counted)

    def _values_at_timeout(
        self, infos: list[dict[str, Any]], dones: np.ndarray, state: MemoryState
    ) -> np.ndarray:
        """(N,) V(terminal observation | memory after the last step) after a time limit, 0 elsewhere.

        A time limit is no end of the task (Pardo et al. 2018, arXiv 1712.00378).
        """
        values = np.zeros(len(dones), dtype=np.float32)
        ended = [i for i in np.flatnonzero(dones).tolist() if infos[i].get("TimeLimit.truncated", False)]
        cut = [i for i in ended if infos[i].get("terminal_observation") is not None]
        if cut:
            last = [infos[i]["terminal_observation"] for i in cut]
            is_dict = isinstance(last[0], dict)
            with th.no_grad():
                obs, _ = self.policy.obs_to_tensor(
                    {k: np.stack([o[k] for o in last]) for k in last[0]} if is_dict else np.stack(last)
                )
                values[cut] = self.actor.predict_values(obs, state[cut]).flatten().cpu().numpy()
        return values

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        before = self._last_obs
        found = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, *args, **kwargs)
        if self._last_obs is not before:  # a reset
            self._last_masks = None
        if reset_num_timesteps:  # SB3 forgets its episodes then
            for scores in (self._scores, self._full_scores):
                assert scores is not None
                scores.clear()
        return found

    def _mask_source(self, env: VecEnv) -> Callable[[Sequence[dict[str, Any]]], Masks | None]:
        """How to read the masks of ``env``, found out once."""
        if self._masks_of is None or self._masks_of[0] is not env:
            self._masks_of = env, source(env)
        return self._masks_of[1]

    def _keep_scores(self, infos: list[dict[str, Any]], dones: np.ndarray, step: int) -> list[Ended]:
        """Keep the scores of episodes that ended at a step; the episodes."""
        ended = []
        for i in np.flatnonzero(dones).tolist():
            counted = bool(self._rollout_spans.counted[i])
            self._keep_score(infos[i], counted)
            number = i * self.workers.size + self.workers.rank
            ended.append(Ended(step, number, infos[i].get("episode"), infos[i].get("is_success"), counted))
        return ended

    def _keep_score(self, info: dict[str, Any], counted: bool) -> None:
        """Keep the score of an episode, among those that forget (``counted``) or those that keep everything.

        Of each: its length and its success, or its return where no success is reported.
        """
        assert self._scores is not None and self._full_scores is not None
        episode = info.get("episode", {})
        score = info.get("is_success", episode.get("r"))
        if score is not None:
            kept = self._scores if counted else self._full_scores
            kept.append((int(episode.get("l", 0)), float(score)))

    def hard_score(self, full: bool = False) -> float | None:
        """Mean score of recent episodes, or of the longest quarter of them if that is less; None before the first.

        Forgetting shows in the longest episodes first, and they are few among all. ``full``: of the environments
        that keep everything for a lesson in forgetting, instead of those that forget.
        """
        episodes = self._full_scores if full else self._scores
        if not episodes:
            return None
        scores = np.array([score for _, score in sorted(episodes, key=lambda episode: episode[0])])
        return float(min(scores.mean(), scores[-max(1, len(scores) // 4) :].mean()))
