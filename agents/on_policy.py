"""The algorithm that memory agents share: its settings and their checks.

Acting is in `rollout.py`, the update in `update.py`, the objectives are in `ppo.py` and `a2c.py`.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from expirespan.agents.base.checks import (
    check_class,
    check_learns_spans,
)
from expirespan.agents.base.contrib import line
from expirespan.agents.base.keywords import refuses_others
from expirespan.agents.base.spaces import (
    READ,
    AnyEnv,
    check_action_space,
    check_observation_space,
    check_plain,
)
from expirespan.agents.checkpoint.archive import arguments
from expirespan.agents.checkpoint.statistics import statistics_of
from expirespan.agents.checkpoint.weights import raise_again, raised
from expirespan.agents.core.arguments import (
    check_alias,
    check_buffer_takes,
    check_contrib,
    check_policy_kwargs,
)
from expirespan.agents.core.buffer import MemoryRolloutBuffer
from expirespan.agents.core.policies import MemoryActorCriticPolicy, has_memory
from expirespan.agents.forgetting.lesson import Forgetting, Lesson
from expirespan.agents.forgetting.penalty import PenaltySchedule, as_schedule
from expirespan.agents.sb3.choices import MemoryChoicePolicy
from expirespan.agents.sb3.memoryless import Memoryless, MirroredRolloutBuffer
from expirespan.agents.sb3.space_policies import MemoryActorCriticCnnPolicy, MemoryMultiInputActorCriticPolicy
from expirespan.agents.sb3.vec_env import SB3VecEnv
from expirespan.agents.update import UpdatingAlgorithm
from expirespan.parameters import BatchSize, Epochs, Epsilon, Price, TargetKL
from expirespan.ranges import check_attributes, require

NO_MASKS = (
    "the agent's environments forbid actions and predict() was given no action_masks, so it may choose what is "
    "forbidden; pass action_masks, and to evaluate use evaluate_policy and MemoryEvalCallback of expirespan.agents"
)


class MemoryOnPolicyAlgorithm(UpdatingAlgorithm):
    """On-policy actor-critic over a memory policy. Subclasses give `policy_loss` and `value_loss`.

    Beyond SB3's arguments: ``span_penalty``, alpha or a schedule of it (`penalty.py`); ``forgetting``, a
    `Forgetting` lesson or None; ``min_advantage_std``, lower bound of the divisor that normalises advantages
    (SB3's 1e-8 blows up noise where a minibatch holds no reward). ``env`` may also be a Gymnasium `VectorEnv`
    that resets in the same step; it is wrapped in `SB3VecEnv` and, unless it has `RecordEpisodeStatistics`,
    in `VecMonitor`.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": MemoryActorCriticPolicy,
        "CnnPolicy": MemoryActorCriticCnnPolicy,
        "MultiInputPolicy": MemoryMultiInputActorCriticPolicy,
        "ChoicePolicy": MemoryChoicePolicy,
    }

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: AnyEnv | str,
        *,
        batch_size: BatchSize | None,
        n_epochs: Epochs,
        normalize_advantage: bool,
        target_kl: TargetKL | None = None,
        span_penalty: Price | PenaltySchedule = 0.0,
        forgetting: Forgetting | None = None,
        min_advantage_std: Epsilon = 1e-8,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs["supported_action_spaces"] = READ
        algorithm = type(self).__name__
        check_contrib(algorithm, policy, kwargs.get("policy_kwargs"), kwargs.get("rollout_buffer_class"))
        given: Any = env  # SB3's _wrap_env, which this calls, is ours
        super().__init__(policy, given, _init_setup_model=False, **kwargs)
        self.batch_size, self.n_epochs = batch_size, n_epochs
        self.normalize_advantage, self.min_advantage_std = normalize_advantage, min_advantage_std
        self.target_kl = target_kl
        self.span_penalty = as_schedule(span_penalty)
        self.forgetting = forgetting
        self._check_settings()
        check_policy_kwargs(
            algorithm, arguments(type(self)), policy, self.policy_class, kwargs.get("policy_kwargs") or {}
        )
        if not has_memory(self.policy_class):
            warnings.warn(
                f"policy {self.policy_class.__name__} has no memory and is trained as SB3 would train it; for one "
                f"with a memory write `{line(algorithm, policy)}`, choose another of "
                f"{', '.join(self.policy_aliases)}, or derive yours from MemoryActorCriticPolicy",
                stacklevel=5,  # two are of the decorators
            )
            if env is not None:
                check_plain(self.policy_class.__name__, self.observation_space, self.action_space)
        if env is not None:
            self._check_students()
        if _init_setup_model:
            self._setup_model()

    def _check_settings(self) -> None:
        """Raise ValueError for settings with which training could not go well; also called after loading."""
        check_class("policy", self.policy_class, ActorCriticPolicy, ", ".join(map(repr, self.policy_aliases)))
        if self.rollout_buffer_class is not None:
            check_class("rollout_buffer_class", self.rollout_buffer_class, RolloutBuffer, "None")
            space = getattr(self, "observation_space", None)
            check_buffer_takes(self.rollout_buffer_class, self.rollout_buffer_kwargs, space)
        if self.forgetting is not None:
            require(
                isinstance(self.forgetting, Forgetting), "forgetting", self.forgetting, "a Forgetting or None"
            )
        require(
            callable(self.span_penalty), "span_penalty", self.span_penalty, "a number or a schedule of it"
        )
        check_attributes(self)

    @staticmethod
    def _wrap_env(env: AnyEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        if isinstance(env, VectorEnv):
            bridge = SB3VecEnv(env)
            recorded = bridge.env_is_wrapped(RecordEpisodeStatistics)[0]
            env = VecMonitor(bridge) if monitor_wrapper and not recorded else bridge
        check_observation_space(env.observation_space)
        check_action_space(env.action_space)
        return OnPolicyAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        check_alias(policy_name, self.policy_aliases)
        return super()._get_policy_from_name(policy_name)

    @refuses_others
    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """As the policy's `predict`. ``action_masks`` (n, W): what is allowed, as sb3-contrib's MaskablePPO takes it.

        Raises:
            ValueError: masks of another shape.
        """
        if action_masks is None:
            if self._last_masks is not None:
                warnings.warn(NO_MASKS, stacklevel=3)
            return super().predict(observation, state, episode_start, deterministic)
        if not has_memory(self.policy_class):
            return Memoryless(self.policy).predict(observation, deterministic, action_masks), state
        assert isinstance(self.policy, MemoryActorCriticPolicy)
        return self.policy.predict(observation, state, episode_start, deterministic, action_masks)

    def _setup_model(self) -> None:
        known = hasattr(self, "observation_space")
        require(known, "env", None, "an environment, its id, or a vector environment")
        self._check_settings()
        given = self.rollout_buffer_class, self.rollout_buffer_kwargs
        buffer_class = given[0] or MemoryRolloutBuffer
        cut = {"segment_length": self._segment_length()}
        takes_segments = issubclass(buffer_class, MemoryRolloutBuffer)
        self.rollout_buffer_class = buffer_class
        self.rollout_buffer_kwargs = cut | given[1] if takes_segments else given[1]
        super()._setup_model()
        self.rollout_buffer_class, self.rollout_buffer_kwargs = given  # as given, for a file that is loaded
        own = self.rollout_buffer
        self._segments = own if isinstance(own, MemoryRolloutBuffer) else self._mirrored(own, cut)
        self._setup_lesson()
        self._setup_memory()

    def _setup_lesson(self) -> None:
        """A lesson that has taught nothing yet, or none."""
        self._lesson = None
        if self.forgetting is not None:
            name = getattr(self.policy, "memory_name", self.policy_class.__name__)
            check_learns_spans(self.actor.memory, name)
            assert isinstance(self.policy, MemoryActorCriticPolicy)
            self._lesson = Lesson(self.forgetting, self.policy, self.all_envs)

    def _setup_learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        self.workers.warn_if_alone()
        if self.workers.size > 1 and self.env is not None:
            self._agree(total_timesteps)
        taught = None if self._lesson is None else self._lesson.settings
        if self.forgetting != taught:  # it was set after construction
            self._setup_lesson()
        return super()._setup_learn(total_timesteps, *args, **kwargs)

    def _agree(self, total_timesteps: int) -> None:
        """Let workers begin with the same settings and weights; only the first one logs.

        Raises:
            ValueError: they were made with different settings, or cannot share what they were made with.
        """
        self.workers.together(self._check_shared)
        names = arguments(type(self)) - {"env", "device", "verbose", "tensorboard_log", "policy"}
        settings = {name: repr(getattr(self, name, None)) for name in sorted(names)}
        shapes = {name: list(value.shape) for name, value in self.policy.state_dict().items()}
        more = {
            "environments of a worker": self.n_envs,
            "total_timesteps": total_timesteps,
            "weights": shapes,
        }
        self.workers.same({k: v for k, v in settings.items() if " at 0x" not in v} | more)
        self.workers.share_tensors(list(self.policy.state_dict().values()))
        if not self.workers.lead:
            self.verbose = 0
            self.set_logger(Logger(None, []))

    def _check_shared(self) -> None:
        assert self.env is not None
        apart = {
            f"policy {self.policy_class.__name__}, which has no memory": not has_memory(self.policy_class),
            "use_sde=True, whose noise is drawn for each worker": self.use_sde,
            f"rollout_buffer_class {type(self.rollout_buffer).__name__}": self._segments
            is not self.rollout_buffer,
            "environments with running statistics": statistics_of(self.env) or self._has_hidden_statistics(),
        }
        if wrong := [name for name, found in apart.items() if found]:
            raise ValueError(
                f"{self.workers.size} workers cannot share {wrong[0]}; leave it out, or train in a single process"
            )

    def _learned_state(self) -> dict[str, Any]:
        lesson = {} if self._lesson is None else {"lesson": self._lesson.state_dict()}
        return {"raised": raised(self.actor.memory), **lesson}

    def _set_learned_state(self, state: dict[str, Any]) -> None:
        raise_again(self.actor.memory, state.get("raised"))
        if self._lesson is not None and "lesson" in state:
            self._lesson.load_state_dict(state["lesson"])

    def _segment_length(self) -> int:
        """Steps that a minibatch keeps together: all it can hold, or one if there is no memory."""
        return min(self.n_steps, self.batch_size or self.n_steps) if has_memory(self.policy_class) else 1

    def _mirrored(self, mirror: RolloutBuffer, kwargs: dict[str, Any]) -> MirroredRolloutBuffer:
        """Storage for segments beside a buffer without any."""
        sizes = self.n_steps, self.observation_space, self.action_space, self.device
        return MirroredRolloutBuffer(*sizes, n_envs=self.n_envs, mirror=mirror, **kwargs)
