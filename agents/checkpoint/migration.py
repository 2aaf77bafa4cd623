"""Migration of older checkpoints: the data that `archive.read` finds, in the present format before it is decoded.

Classes are stored under the package that exports them (``expirespan.agents:Forgetting``), so their files may move.
Format 1, of version 0.1, stored the file's own name; `MOVED` says where those classes are now.
"""

from __future__ import annotations

from typing import Any

MOVED = {
    "expirespan.agents.choices": "expirespan.agents.sb3.choices",
    "expirespan.agents.forgetting": "expirespan.agents",
    "expirespan.agents.histogram": "expirespan.agents",
    "expirespan.agents.memoryless": "expirespan.agents.sb3.memoryless",
    "expirespan.agents.buffer": "expirespan.agents.core.buffer",
    "expirespan.agents.penalty": "expirespan.agents",
    "expirespan.agents.policies": "expirespan.agents.core.policies",
    "expirespan.agents.space_policies": "expirespan.agents.sb3.space_policies",
    "expirespan.agents.standardized_extractor": "expirespan.agents.features.standardized_extractor",
    "expirespan.agents.token_extractor": "expirespan.agents.features.token_extractor",
}
"""Modules of format 1, and where their classes are found now."""

DROPPED = {
    "Forgetting": ("softness", "tolerance"),  # it reads exactly, and its tolerance is for a whole episode
    "TransformerState": ("softness",),
}
"""Fields of format 1 that mean nothing any more, by class."""


def migrated(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` of a checkpoint in the present format."""
    if data.get("format") != 1:
        return data
    found: dict[str, Any] = _from_1(data)
    found["format"] = 2
    return found


def _from_1(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_1(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _from_1(item) for key, item in value.items()}
    if value.get(":") in ("class", "data", "memory") and isinstance(value.get("path"), str):
        module, _, name = value["path"].partition(":")
        value["path"] = f"{MOVED.get(module, module)}:{name}"
        for part in ("fields", "tensors"):
            if isinstance(value.get(part), dict):
                value[part] = {k: v for k, v in value[part].items() if k not in DROPPED.get(name, ())}
    return value
