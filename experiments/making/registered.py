"""Environments of others by their ids: the modules that register them, and what their constructors take."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from expirespan.experiments.settings import Env
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.plugins import ENVIRONMENTS, PluginError, load_plugin

MODULES = (
    (r"MiniGrid-|BabyAI-", "minigrid", "minigrid"),
    (r"ALE/|\w+NoFrameskip-v", "ale_py", "ale-py"),
    (r"popgym-", "popgym", "popgym"),
    (
        r"(Endless-)?(MortarMayhem|MysteryPath|SearingSpotlights)",
        "memory_gym",
        "--no-deps memory-gym, and pygame-ce, for its package asks for an old gymnasium",
    ),
)
"""How ids begin that modules of others register, the module, and what pip installs."""
MADE_BY_GYMNASIUM = ("max_episode_steps", "disable_env_checker")
"""Arguments of `gymnasium.make` that may be given as the constructor's."""


def spec_of(env: Env) -> EnvSpec:
    """What Gymnasium knows of an environment, after the modules that register it have been imported.

    Raises:
        UserError: a module cannot be imported, or none registers the id.
    """
    name = registered(env.gym_id, env.imports)
    try:
        return gym.spec(name)
    except gym.error.Error as error:
        said = " ".join(str(error).split())
        raise UserError(
            f"environment {env.gym_id}: {said} If a module registers it, name that: MODULE:{name}, or "
            "--env.imports MODULE"
        ) from None


def registered(gym_id: str, imports: tuple[str, ...] = ()) -> str:
    """An id as Gymnasium has it. Imported are ``imports``, of ``module:id`` the module, which registers it, and the
    modules in `MODULES`: those that are installed, or in the working directory. For ``NAME/...`` the plugin called
    ``NAME`` is imported.

    Raises:
        UserError: a module or plugin cannot be imported.
    """
    if not gym_id:
        raise UserError(
            "env.id='': expected the id of your environment, as in `expirespan train own --env.id my_module:MyEnv-v0`"
        )
    module, colon, name = gym_id.rpartition(":")
    for one in imports:
        import_module(one, f"--env.imports {one}", "a module that is in the working directory or installed")
    if colon:
        expected = "MODULE:ID, with a module in the working directory or installed that registers the id with Gymnasium"
        import_module(module, f"environment {gym_id}", expected)
    elif name not in gym.registry:
        for begin, known, package in MODULES:
            if re.match(begin, name):
                import_module(known, f"environment {gym_id}", f"its package: pip install {package}")
        try:
            load_plugin(ENVIRONMENTS, name.partition("/")[0])
        except PluginError as error:
            raise UserError(f"environment {gym_id}: {error}") from error
    return name


def import_module(name: str, what: str, expected: str) -> Any:
    """A module that is installed, or in the working directory.

    Raises:
        UserError: it cannot be imported; the message begins with ``what`` and says what was ``expected``.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a console script does not look there
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the user's module raises
        raise UserError(
            f"{what}: importing {name!r} failed ({type(error).__name__}: {error}); expected {expected}"
        ) from error


def creator(entry_point: Any) -> Any:
    """What an entry point of Gymnasium's registry, text or not, calls to make an environment; None for none."""
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def metadata_of(entry_point: Any) -> dict[str, Any]:
    """The metadata of the class that an entry point names; nothing if it names a function, a wrapper or nothing.

    A wrapper has those of the environment within, which only an instance knows.
    """
    found = getattr(creator(entry_point), "metadata", {})
    return found if isinstance(found, dict) else {}


def check_arguments(spec: EnvSpec, given: Mapping[str, Any]) -> None:
    """Raise UserError if the constructor of an environment does not take an argument that is ``given``."""
    taken = _arguments(creator(spec.entry_point))
    for name in given:
        if taken is not None and name not in (*taken, *MADE_BY_GYMNASIUM):
            known = [*sorted(taken - {"render_mode"}), *MADE_BY_GYMNASIUM]
            raise unknown(f"argument of {spec.id}", name, known, "as --env.kwargs NAME=VALUE")


def _arguments(make: Any) -> set[str] | None:
    """Names of the arguments that a function or class takes; None if it takes any.

    What a constructor takes as ``**kwargs`` goes to the next one of the class's bases.
    """
    names: set[str] = set()
    calls = [vars(base).get("__init__") for base in make.__mro__] if isinstance(make, type) else [make]
    for call in filter(inspect.isfunction, calls):
        parameters = list(inspect.signature(call).parameters.values())[1 if isinstance(make, type) else 0 :]
        names |= {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            return names
    return None
