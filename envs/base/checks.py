"""Early checks that all environments share: parameters, reset options, actions, calls out of turn, states."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

__all__ = [
    "check_action",
    "check_actions",
    "check_array",
    "check_choice",
    "check_integer",
    "check_items",
    "check_layout",
    "check_number",
    "check_ready",
    "layout_option",
    "plain",
]


def plain(rules: Any) -> None:
    """Make what numpy's numbers and paths a frozen dataclass holds Python's own, which do not overflow."""
    for item in fields(rules):
        value = getattr(rules, item.name)
        if isinstance(value, np.generic):
            object.__setattr__(rules, item.name, value.item())
        elif isinstance(value, os.PathLike):
            object.__setattr__(rules, item.name, os.fspath(value))


def check_integer(name: str, value: Any, least: int, note: str = "") -> int:
    """The value as an int.

    Raises:
        ValueError: it is no integer, or below ``least``; ``note`` is added to what is expected.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}={value!r}: expected an integer of at least {least}{note}")
    return int(value)


def check_number(name: str, value: Any, least: float) -> float:
    """The value as a float.

    Raises:
        ValueError: it is no finite number, or below ``least``.
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not np.isfinite(value) or value < least:
        raise ValueError(f"{name}={value!r}: expected a number of at least {least:g}")
    return float(value)


def check_choice(name: str, value: Any, allowed: Collection[Any]) -> None:
    """Raise a ValueError unless the value is one of those allowed."""
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, allowed))}")


def layout_option(options: Mapping[str, Any] | None) -> Any:
    """The value of ``options["layout"]``, or None.

    Raises:
        ValueError: the options are no mapping, or there are others than ``layout``.
    """
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"options={options!r}: expected a dict, such as {{'layout': ...}}, or None")
    unknown = set(options or ()) - {"layout"}
    if unknown:
        raise ValueError(f"unknown reset options {sorted(map(str, unknown))}: the only option is 'layout'")
    return (options or {}).get("layout")


def check_layout(layout: Any, keys: Collection[str], example: str) -> Mapping[str, Any]:
    """The layout, a mapping with exactly these keys.

    Raises:
        ValueError: it is something else; ``example`` shows a layout.
    """
    if not isinstance(layout, Mapping) or set(layout) != set(keys):
        raise ValueError(
            f"layout={layout!r}: expected a dict with exactly the keys {', '.join(map(repr, keys))}, "
            f"such as {example}"
        )
    return layout


def check_array(name: str, value: Any, own: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What a state holds under that name, as an array.

    Raises:
        ValueError: shape or type differ from those of ``own``, the array in whose place it is to come.
    """
    array = np.asarray(value)
    if (array.shape, array.dtype) != (own.shape, own.dtype):
        raise ValueError(
            f"{name} in the state has shape {array.shape} and type {array.dtype}: expected {own.shape} and "
            f"{own.dtype}, as in what get_state() returns"
        )
    return array


def check_items(
    name: str, values: Any, count: int | None = None, allowed: Collection[Any] | None = None
) -> list[Any]:
    """The values as a list.

    Raises:
        ValueError: they are no sequence (of ``count`` items, if given), or one is not allowed.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or count not in (None, len(values)):
        raise ValueError(f"{name}={values!r}: expected a list" + ("" if count is None else f" of {count}"))
    for i, value in enumerate(values):
        if allowed is not None:
            check_choice(f"{name}[{i}]", value, allowed)
    return list(values)


def check_ready(started: bool, ended: bool) -> None:
    """Raise `ResetNeeded` if no episode is going on."""
    if not started or ended:
        when = "after the end of an episode" if ended else "before the first reset()"
        raise ResetNeeded(f"step() was called {when}: call reset() to begin an episode")


def check_action(action: Any, meanings: Sequence[str]) -> int:
    """The action as an int.

    Args:
        action: any integer, or a numpy array that holds one.
        meanings: what each action does, for the message.

    Raises:
        ValueError: it is no integer from 0 to ``len(meanings) - 1``.
    """
    array = np.asarray(action)
    if array.ndim or array.dtype.kind not in "iu" or not 0 <= array < len(meanings):
        raise ValueError(f"action={action!r}: expected {_listed(meanings)}")
    return int(array)


def check_actions(
    actions: npt.ArrayLike, num_envs: int, meanings: Sequence[str]
) -> npt.NDArray[np.integer[Any]]:
    """The actions as an array (num_envs,); see `check_action`.

    Raises:
        ValueError: another shape or type, or one of them is outside the action space.
    """
    array = np.asarray(actions)
    if array.shape != (num_envs,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"actions of shape {array.shape} and type {array.dtype}: expected {num_envs} integers"
        )
    if array.min() < 0 or array.max() >= len(meanings):
        raise ValueError(f"actions from {array.min()} to {array.max()}: expected {_listed(meanings)}")
    return array


def _listed(meanings: Sequence[str]) -> str:
    return ", ".join(f"{i} ({meaning})" for i, meaning in enumerate(meanings))
