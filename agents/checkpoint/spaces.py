"""Gymnasium spaces as plain data, what their constructors take, and whether an environment has those of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from expirespan.quoting import shown

SPACES = {"observation_space": "observation space", "action_space": "action space"}
"""Attributes of an agent that are spaces, and what they are called in messages."""


def space_to_data(space: spaces.Space[Any]) -> dict[str, Any] | None:
    """Kind and constructor arguments, of plain values and arrays; None for a kind that is not known here."""
    kind = type(space)
    if kind is spaces.Dict:
        assert isinstance(space, spaces.Dict)
        parts = {key: space_to_data(part) for key, part in space.spaces.items()}
        plain = all(isinstance(key, str) for key in parts) and None not in parts.values()
        return {"kind": "Dict", "keys": list(parts), "spaces": list(parts.values())} if plain else None
    if space.dtype is None:
        return None
    dtype = space.dtype.str
    if kind is spaces.Box:
        assert isinstance(space, spaces.Box)
        low, high = _bound(space.low), _bound(space.high)
        return {"kind": "Box", "low": low, "high": high, "shape": list(space.shape), "dtype": dtype}
    if kind is spaces.Discrete:
        assert isinstance(space, spaces.Discrete)
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": dtype}
    if kind is spaces.MultiDiscrete:
        assert isinstance(space, spaces.MultiDiscrete)
        nvec, start = space.nvec.tolist(), space.start.tolist()
        return {"kind": "MultiDiscrete", "nvec": nvec, "start": start, "dtype": dtype}
    if kind is spaces.MultiBinary:
        assert isinstance(space, spaces.MultiBinary)
        return {"kind": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}
    return None


def space_from_data(data: dict[str, Any]) -> spaces.Space[Any]:
    """Inverse of `space_to_data`.

    Raises:
        ValueError: the kind is unknown; KeyError, TypeError and what constructors raise: the data do not fit it.
    """
    kind = data["kind"]
    if kind == "Dict":
        parts = [space_from_data(part) for part in data["spaces"]]
        return spaces.Dict(list(zip(data["keys"], parts, strict=True)))
    if kind == "Box":
        dtype, shape = np.dtype(data["dtype"]), tuple(data["shape"])
        if dtype.kind not in "biuf":
            raise ValueError(f"a Box holds {dtype}, expected a type of numbers")
        low, high = (np.broadcast_to(np.asarray(data[end], dtype), shape) for end in ("low", "high"))
        return spaces.Box(low.copy(), high.copy(), shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(data["n"], start=data["start"], dtype=np.dtype(data["dtype"]).type)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(
            np.array(data["nvec"]), np.dtype(data["dtype"]).type, start=np.array(data["start"])
        )
    if kind == "MultiBinary":
        return spaces.MultiBinary(data["n"])
    raise ValueError(
        f"a space of kind {shown(kind)} is unknown: expected Box, Discrete, MultiDiscrete or Dict"
    )


def _bound(bound: np.ndarray) -> Any:
    """One number where all are equal, otherwise the array."""
    first = bound.flat[0] if bound.size else bound.dtype.type(0)
    return first if (bound == first).all() else bound


def check_env(env: Any, data: dict[str, Any], total: int, goes_on: bool) -> None:
    """Raise ValueError if the agent was saved with other spaces or, where episodes go on, in other numbers.

    ``total``: environments of all workers.
    """
    for key, words in SPACES.items():
        if data[key] != getattr(env, key):
            raise ValueError(
                f"it holds an agent with {words} {data[key]}, but the environment given has "
                f"{getattr(env, key)}; give an environment with the same spaces, or env=None to predict only"
            )
    if goes_on and data.get("n_envs", total) != total:
        raise ValueError(
            f"it was saved with n_envs={data['n_envs']}, and the environment given has n_envs={total}: "
            "episodes can go on only in as many; without resume=True and force_reset=False new ones begin in any number"
        )
