"""Pytest plugin: `MemoryPPO` and `MemoryA2C` stand where Stable-Baselines3's own tests expect `PPO` and `A2C`.

Of what pytest collects, only cases that concern these two stay (`run.py` calls this).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import stable_baselines3
import stable_baselines3.a2c
import stable_baselines3.ppo
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from expirespan.agents import MemoryA2C, MemoryPPO

OURS = {"A2C": MemoryA2C, "PPO": MemoryPPO}
NAMES = re.compile(r"\b(A2C|PPO)\b", re.IGNORECASE)
OTHERS = {"ddpg", "dqn", "her", "sac", "td3"}


def replace() -> None:
    """Put our classes, and our policies under their aliases, into the modules users import from."""
    for name, agent in OURS.items():
        package = getattr(stable_baselines3, name.lower())
        for module in (stable_baselines3, package, getattr(package, name.lower())):
            setattr(module, name, agent)
        for alias, policy in agent.policy_aliases.items():
            setattr(package, alias, policy)


replace()  # when the plugin is loaded: before any test module is
torch.set_num_threads(1)


def concerns_us(item: pytest.Item) -> bool:
    """Whether a case runs PPO or A2C: by its parameters if they name an algorithm, else by its source."""
    parameters = list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    if any(value in OURS.values() for value in parameters if isinstance(value, type)):
        return True
    words = {value.lower() for value in parameters if isinstance(value, str)}
    if words & {name.lower() for name in OURS}:
        return True
    if words & OTHERS or any(isinstance(v, type) and issubclass(v, BaseAlgorithm) for v in parameters):
        return False
    return any(NAMES.search(inspect.getsource(function)) for function in called(item))


def called(item: pytest.Item) -> Iterator[Any]:
    """The test's function, its fixtures, and the functions of its module that it names."""
    test = item.function  # type: ignore[attr-defined]
    yield test
    module = inspect.getmodule(test)
    names = {*test.__code__.co_names, *item.fixturenames}  # type: ignore[attr-defined]
    for name in sorted(names & set(vars(module))):
        thing = inspect.unwrap(getattr(vars(module)[name], "_fixture_function", vars(module)[name]))
        if inspect.isfunction(thing) and inspect.getmodule(thing) is module:
            yield thing


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what concerns us."""
    ours = [item for item in items if concerns_us(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in ours])
    items[:] = ours
