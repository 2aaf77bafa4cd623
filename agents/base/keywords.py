"""Calls with a keyword that a method does not take: an error with the line to write, in the place of Python's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from expirespan.agents.base.contrib import LSTM, ContribNameError, line, policy_kwargs_of
from expirespan.memory.registry import check_names

P = ParamSpec("P")
R = TypeVar("R")
PREDICT = "action, state = model.predict(obs, state=state, episode_start=episode_start)"
MASKED = "action, state = model.predict(obs, state, episode_start, action_masks=action_masks)"
FITTING = {  # method: keywords of sb3-contrib or slips of the pen, and the line to write
    "predict": {
        **dict.fromkeys(("lstm_states", "states", "episode_starts", "dones", "mask"), PREDICT),
        **dict.fromkeys(("action_mask", "masks", "use_masking"), MASKED),
    },
    "learn": {"use_masking": "model.learn(total_timesteps)"},
}
RENAMED = {"lstm_states": "state", "episode_starts": "episode_start"}
"""Arguments of recurrent policies' other methods, and ours."""
OF_POLICIES = (*LSTM, "memory", "memory_kwargs", "predictor_lr")
"""What is given to a policy, not to an agent."""


def refuses_others(method: Callable[P, R]) -> Callable[P, R]:
    """``method``, which answers keywords that it does not take by a `ContribNameError` with the line to write."""
    known = [name for name in inspect.signature(method).parameters if name != "self"]
    public = [name for name in known if not name.startswith("_")]

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        unknown = [name for name in kwargs if name not in known]
        if unknown:
            _refuse(type(args[0]).__name__, method.__name__, unknown, public, kwargs)
        return method(*args, **kwargs)

    return call


def _refuse(owner: str, method: str, unknown: list[str], known: list[str], given: dict[str, Any]) -> None:
    what = owner if method == "__init__" else f"{method}()"
    listed = ", ".join(unknown)
    if method == "__init__" and (inside := {name: given[name] for name in unknown if name in OF_POLICIES}):
        policy_kwargs = {**(given.get("policy_kwargs") or {}), **inside}
        policy_kwargs = policy_kwargs_of(policy_kwargs) if set(policy_kwargs) & set(LSTM) else policy_kwargs
        raise ContribNameError(
            f"{what} takes no {listed}; a memory is chosen in policy_kwargs: "
            f"`{line(owner, 'MlpPolicy', policy_kwargs)}`"
        )
    fitting = [FITTING[method][name] for name in unknown if name in FITTING.get(method, {})]
    if fitting:
        why = "; masks are followed wherever an environment has them" if method == "learn" else ""
        raise ContribNameError(f"{what} takes no {listed}{why}; write `{fitting[0]}`")
    ours = [f"{name} is {RENAMED[name]} here" for name in unknown if RENAMED.get(name) in known]
    try:
        check_names(what, unknown, known)
    except TypeError as error:
        raise ContribNameError("; ".join([str(error), *ours])) from None
