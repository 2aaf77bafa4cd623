"""Limits on what a file may ask for, checked before anything is built from it.

A file costs no more than its size lets expect: JSON has a bounded number of values, spaces have a bounded number of
elements, and a network that grows beyond the tensors in the file is not built any further.
"""

from __future__ import annotations

import inspect
import json
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch as th
from torch.nn.modules.module import register_module_parameter_registration_hook

from expirespan.agents.base.checks import check_state, signature
from expirespan.memory import Memory, MemoryState
from expirespan.names import object_of
from expirespan.quoting import shown

MOST_DATA = 64 << 20
"""Bytes of a file's data."""
MOST_VALUES = 3_000_000
"""Values in a file's data: each takes some hundred bytes."""
MOST_ELEMENTS = 1 << 25
"""Elements of all spaces in a file: an image of 4096 x 2730 pixels has as many."""
METHODS = (FunctionType, classmethod, staticmethod, property)
TIMES, MORE_NUMBERS, MORE_TENSORS = 4, 4096, 64
"""A network may register so many times the numbers and tensors in the file, and so many more, while it is built."""


def read_data(text: bytes) -> dict[str, Any]:
    """JSON of bounded size, an object; raise ValueError otherwise."""
    if len(text) > MOST_DATA:
        raise ValueError(f"its data have {len(text):,} bytes, expected at most {MOST_DATA:,}")
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    if values > MOST_VALUES:
        raise ValueError(f"its data have about {values:,} values, expected at most {MOST_VALUES:,}")
    found = json.loads(text, object_pairs_hook=object_of)
    if not isinstance(found, dict):
        raise ValueError("its data are no object")
    return found


@contextmanager
def fitting(weights: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, stop building networks that have many more parameters than ``weights``, by name.

    Raises:
        ValueError: as soon as they have.
    """
    tensors = [tensor for tensor in weights.values() if isinstance(tensor, th.Tensor)]
    numbers = TIMES * sum(tensor.numel() for tensor in tensors) + MORE_NUMBERS
    count = TIMES * len(tensors) + MORE_TENSORS
    thread, seen = threading.get_ident(), [0, 0]

    def hook(_: th.nn.Module, __: str, parameter: th.nn.Parameter) -> None:
        if threading.get_ident() != thread or isinstance(parameter, th.nn.parameter.UninitializedParameter):
            return
        seen[0], seen[1] = seen[0] + 1, seen[1] + parameter.numel()
        if seen[0] > count or seen[1] > numbers:
            raise ValueError(
                f"its settings ask for a larger network than the {len(tensors)} tensors with "
                f"{sum(tensor.numel() for tensor in tensors):,} numbers that it holds; it is damaged, or was put "
                "together from several files"
            )

    handle = register_module_parameter_registration_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def check_finite_parameters(network: th.nn.Module) -> None:
    """Raise ValueError if a parameter is not finite."""
    for name, parameter in network.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity, which no training gives")


def check_memory(memory: Memory[Any], state: Any, rows: int) -> MemoryState:
    """The state, if ``memory`` can go on from it with so many rows; ValueError otherwise."""
    return check_state(state, signature(memory.initial_state(1)), rows)


def check_optimizer(optimizer: th.optim.Optimizer) -> None:
    """Raise ValueError if what an optimizer keeps of a parameter has another shape or is not finite.

    What it keeps under one name is a number for every parameter (``step``), or as large as the parameter for every one.
    """
    numbers: dict[str, bool] = {}
    for parameter, kept in sorted(optimizer.state.items(), key=lambda item: item[0].dim(), reverse=True):
        for name, value in kept.items():
            if not isinstance(value, th.Tensor):
                continue
            number = numbers.setdefault(name, not value.dim())
            if value.shape != (() if number else parameter.shape):
                raise ValueError(
                    f"the optimizer's {name} has shape {tuple(value.shape)} for a parameter of {tuple(parameter.shape)}"
                )
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise ValueError(f"the optimizer's {name} holds NaN or infinity, which no training gives")


def elements(space: Any) -> int:
    """Elements of all arrays that a space, as `space_to_data` describes it, is made of.

    Raises:
        ValueError: a size is no number >= 0; KeyError, TypeError: it is no description of a space.
    """
    kind = space["kind"]
    if kind == "Dict":
        return sum(elements(part) for part in space["spaces"])
    if kind == "MultiDiscrete":
        return math.prod(getattr(space["nvec"], "shape", (len(space["nvec"]),)))
    shape = space["shape"] if kind == "Box" else space.get("n", 1) if kind == "MultiBinary" else []
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes):
        raise ValueError(f"a space has the shape {shown(shape, 60)}, expected whole numbers")
    return math.prod(sizes)


def check_attributes(cls: type[Any], names: Mapping[str, Any]) -> None:
    """Raise ValueError if a file would put values in the place of methods."""
    for name in names:
        if isinstance(inspect.getattr_static(cls, name, None), METHODS) or name.startswith("__"):
            raise ValueError(f"it has a value for {shown(name, 60)}, which is a method")
