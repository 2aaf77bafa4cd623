"""Every default is stated once: settings say what constructors say, but for the differences listed here."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from typing import Any

import pytest

from expirespan import envs
from expirespan.agents import (
    AdaptivePenalty,
    ConstantPenalty,
    Forgetting,
    MemoryA2C,
    MemoryPPO,
    WarmupPenalty,
)
from expirespan.experiments.settings import KINDS
from expirespan.memory import MEMORIES, TransformerMemory

ON_PURPOSE: dict[str, set[str]] = {
    # Experiments run 64 environments side by side; constructors have the defaults of SB3's PPO and A2C.
    "ppo": {"n_steps", "batch_size", "n_epochs", "ent_coef", "learning_rate"},
    "a2c": {"n_steps", "ent_coef", "min_advantage_std"},
    # Without an argument a constructor asks for it.
    "adaptive": {"coef", "target"},
}
AGENTS: dict[str, Any] = {
    "constant": ConstantPenalty, "warmup": WarmupPenalty, "adaptive": AdaptivePenalty, "lesson": Forgetting,
    "ppo": MemoryPPO, "a2c": MemoryA2C,
}  # fmt: skip
WORLDS: dict[str, Any] = {
    "corridor": envs.Corridor, "tmaze": envs.EndlessTMaze, "portal": envs.PortalRooms,
    "instruction": envs.FindInstruction,
}  # fmt: skip


def constructors(part: str, name: str) -> list[Any]:
    """Those that take the settings of a kind."""
    if part == "memory":
        kind = MEMORIES[name]
        return [kind] if name in ("lstm", "gru") else [kind, TransformerMemory]
    return [WORLDS[name]] if name in WORLDS else [AGENTS[name]] if name in AGENTS else []


PAIRS = [
    (part, name, kind) for part, kinds in KINDS.items() if part != "eval_env" for name, kind in kinds.items()
]


@pytest.mark.parametrize(("part", "name", "kind"), PAIRS, ids=[name for _, name, _ in PAIRS])
def test_settings_have_the_defaults_of_constructors(part: str, name: str, kind: Any) -> None:
    taken = {
        key: parameter.default
        for made in constructors(part, name)
        for base in reversed(inspect.getmro(made))
        if "__init__" in vars(base) and base.__module__.startswith("expirespan")
        for key, parameter in inspect.signature(base).parameters.items()
        if parameter.default is not parameter.empty
    }
    stated = {
        item.name: item.default if item.default is not MISSING else item.default_factory()  # type: ignore[misc]
        for item in fields(kind)
    }
    both = stated.keys() & taken.keys() - {"seed", "device"}
    different = {key for key in both if stated[key] != taken[key]}
    assert different <= ON_PURPOSE.get(name, set()), {key: (stated[key], taken[key]) for key in different}
    assert ON_PURPOSE.get(name, set()) <= stated.keys(), "an exception that is none"
    if constructors(part, name) and name not in ("ppo", "a2c", "lesson", "gym"):
        assert both or name in ("constant", "fixed_window", "warmup"), "nothing was compared"
