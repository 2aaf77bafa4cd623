"""Loading of agents, without unpickling: errors name what is wrong. Saving is in `saving.py`."""

from __future__ import annotations

import pathlib
import warnings
from typing import Any, Self

import torch as th
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import MaybeCallback, TensorDict
from stable_baselines3.common.utils import get_system_info

from expirespan.agents.base.checks import check_state, signature
from expirespan.agents.base.spaces import AnyEnv
from expirespan.agents.checkpoint.archive import arguments, carries_pickle, content_of, read
from expirespan.agents.checkpoint.files import Source, named, origin
from expirespan.agents.checkpoint.plausible import (
    check_attributes,
    check_finite_parameters,
    check_optimizer,
    fitting,
)
from expirespan.agents.checkpoint.position import go_to, in_file
from expirespan.agents.checkpoint.saving import SavingAlgorithm
from expirespan.agents.checkpoint.spaces import SPACES, check_env
from expirespan.agents.checkpoint.statistics import set_statistics
from expirespan.agents.checkpoint.weights import WeightsError, check_weights, with_shared_extractors
from expirespan.agents.workers import Workers
from expirespan.agents.workers.parts import own_part
from expirespan.quoting import said


class CheckpointedAlgorithm(SavingAlgorithm):
    """`OnPolicyAlgorithm` that saves atomically, loads without unpickling, and goes on exactly where it stopped."""

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> Any:
        if self.env is None:
            raise ValueError(
                "there is no environment to learn in: pass one to load(path, env=...) or to set_env(env); without one "
                "an agent can only predict"
            )
        self._has_hidden_statistics()
        setup = super()._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        pending, self._pending_log = self._pending_log, None
        if pending is not None:
            self.logger.name_to_value.update(pending["values"])
            self.logger.name_to_count.update(pending["counts"])
            self.logger.name_to_excluded.update(pending["excluded"])
        return setup

    @classmethod
    def load(
        cls,
        path: Source,
        env: AnyEnv | None = None,
        device: th.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        *,
        resume: bool = False,
        trust_pickle: bool = False,
        **kwargs: Any,
    ) -> Self:
        """A new agent from a file; arguments as in SB3, and two more.

        ``resume``: go on exactly where the run stopped, at its last update before it was saved. The random numbers
        of the process and, if they can be restored, the environments are put back, and
        ``learn(..., reset_num_timesteps=False)`` up to the same total gives the weights of the run that never
        stopped, bit for bit on the CPU. Otherwise with ``force_reset=False`` the environments go on as they are,
        and the agent in its memory of them.

        ``custom_objects``: as in SB3, objects to take in the place of attributes; also classes by their name in
        the file, ``"module:Class"``, where that module is not imported.

        ``trust_pickle``: also load files that carry a pickle, such as SB3's, which can run any code.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, no saved agent, one that this class cannot continue, or ``env`` has other
                spaces or, where episodes go on, another number of environments.
        """
        source = origin(path)
        if custom_objects is not None and not isinstance(custom_objects, dict):
            raise ValueError(f"custom_objects={custom_objects!r}: expected a dict by attribute, or None")
        given = custom_objects or {}
        if print_system_info:
            print("== CURRENT SYSTEM INFO ==")
            get_system_info()
        content = content_of(source, cls.__name__, trust_pickle)
        if print_system_info and content is not None:
            print(f"== SAVED MODEL SYSTEM INFO ==\n{content.system}")
        try:
            if content is None:
                data, weights, _ = load_from_zip_file(
                    source, custom_objects=given, device=device, print_system_info=print_system_info
                )
                assert data is not None
            else:
                content.require({*arguments(cls), *SPACES, "policy_class"}, {*given, *kwargs})
                data, weights = content.decode("attributes", given), content.decode("weights")
            agent = cls._of(data, weights, env, device, resume, force_reset, kwargs)
            if content is not None:
                agent._set_learned_state(content.decode("learned"))
                envs = content.decode("envs") if "envs" in content.sections else {}
                agent._statistics, agent._hidden = envs.get("statistics", []), envs.get("hidden", False)
            agent._take_statistics()
            if resume:
                position = in_file(content, env, given)
                go_to(agent, own_part(position, agent.workers, agent.all_envs))
        except Exception as error:  # what a damaged value leads to, the classes it is given to decide
            raise ValueError(f"{named(source)} cannot be loaded as {cls.__name__}: {said(error)}") from error
        if not (force_reset or resume) and agent._last_obs is not None and "_memory_state" not in data:
            warnings.warn(
                f"{named(source)} was saved without the agent's memory of the episodes under way, so with "
                "force_reset=False it goes on in them with an empty one; save without excluding _memory_state",
                stacklevel=2,
            )
        return agent

    @classmethod
    def _of(
        cls,
        data: dict[str, Any],
        weights: dict[str, Any],
        env: AnyEnv | None,
        device: th.device | str,
        resume: bool,
        force_reset: bool,
        kwargs: dict[str, Any],
    ) -> Self:
        """An agent with these attributes and weights; ``data`` may be changed."""
        if "policy_kwargs" in kwargs and kwargs["policy_kwargs"] != data.get("policy_kwargs"):
            raise ValueError(
                f"the given policy kwargs do not equal the stored policy kwargs: {kwargs['policy_kwargs']} "
                f"is not {data.get('policy_kwargs')}; leave them out, or make a new agent"
            )
        if missing := [name for name in SPACES if name not in data]:
            raise ValueError(f"it was saved without {' and '.join(missing)}; pass them in custom_objects")
        if env is not None:
            given: Any = env
            env = cls._wrap_env(given, data.get("verbose", 0))
            total = env.num_envs * Workers.current().size
            check_env(env, data, total, resume or not force_reset)
            data |= own_part(data, Workers.current(), total) | {"n_envs": env.num_envs}
            if force_reset:
                data["_last_obs"] = None
        check_attributes(cls, data)
        make: Any = cls  # subclasses have defaults for the rest
        agent: Self = make(
            policy=data["policy_class"],
            env=env,
            device=device,
            _init_setup_model=False,
        )
        agent.__dict__.update(data)
        agent.__dict__.update(kwargs)
        with fitting(weights["policy"]):
            agent._setup_model()
        weights = with_shared_extractors(weights, agent.get_parameters())
        agent.set_parameters(weights, exact_match=True, device=device)
        check_finite_parameters(agent.policy)
        check_optimizer(agent.policy.optimizer)
        if agent.use_sde:
            agent.policy.reset_noise()
        if agent._memory_state is not None:
            expected = signature(agent.actor.initial_state(1))
            check_state(agent._memory_state, expected, agent._memory_state.batch_size)
        return agent

    def set_env(self, env: AnyEnv, force_reset: bool = True) -> None:
        """As in SB3; the statistics of wrappers that a file held come back into those of ``env``."""
        given: Any = env  # SB3's _wrap_env, which this calls, is ours
        super().set_env(given, force_reset)
        self._take_statistics()

    def _take_statistics(self) -> None:
        """Give the environments the statistics of the file that was loaded, once."""
        if self.env is None:
            return
        if self._hidden:
            raise ValueError(
                "it learned in environments normalised within processes of their own, whose statistics no file can "
                "hold, so it cannot act in others; to save and load agents put VecNormalize around them instead"
            )
        set_statistics(self.env, self._statistics)
        self._statistics = []

    def set_parameters(
        self,
        load_path_or_dict: str | pathlib.Path | TensorDict,
        exact_match: bool = True,
        device: th.device | str = "auto",
        *,
        trust_pickle: bool = False,
    ) -> None:
        """Take over weights, as in SB3, but all or none of them. ``trust_pickle`` as in `load`.

        Raises:
            WeightsError: they are those of another architecture.
        """
        if isinstance(load_path_or_dict, dict):
            params: Any = load_path_or_dict
        else:
            source = origin(load_path_or_dict)
            if trust_pickle and carries_pickle(source):
                _, params, _ = load_from_zip_file(source, load_data=False, device=device)
            else:
                params = read(source).decode("weights")
        try:
            check_weights(params, self.get_parameters(), exact_match)
        except WeightsError as error:
            if isinstance(load_path_or_dict, dict):
                raise
            raise WeightsError(f"{named(source)} does not fit this agent: {error}") from error
        super().set_parameters(params, exact_match, device)
