"""Encoding as JSON, with tensors beside it: of settings, optimizers, memories and environments.

Plain values stand for themselves; every other kind is an object with its name under ``":"``. Decoding builds
nothing but the kinds listed here, and calls no code that a file names except that of the packages in
`classes.TRUSTED`.
"""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

from expirespan.agents.checkpoint.classes import class_for, find_class, path_of
from expirespan.agents.checkpoint.plausible import MOST_ELEMENTS, elements
from expirespan.agents.checkpoint.spaces import space_from_data, space_to_data
from expirespan.memory import MemoryState
from expirespan.quoting import said, shown

SCHEDULES: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "ConstantSchedule": (ConstantSchedule, ("val",)),
    "LinearSchedule": (LinearSchedule, ("start", "end", "end_fraction")),
    "FloatSchedule": (FloatSchedule, ("value_schedule",)),
}
"""SB3's schedules, with the names of their arguments and attributes."""


KINDS = (
    *("float", "dict", "tuple", "deque", "scalar", "array", "tensor", "dtype", "device"),
    *("class", "space", "memory", "schedule", "data"),
)
"""What may stand under ``":"``."""


class UnstorableError(TypeError):
    """A value that has no form as data; the message says which."""


class Encoder:
    """Turns values into JSON and collects ``tensors`` by name. What is the same is kept once."""

    def __init__(self) -> None:
        self.tensors: dict[str, th.Tensor] = {}
        self._memories: dict[int, tuple[Any, MemoryState]] = {}
        self._known: dict[tuple[Any, ...], tuple[str, th.Tensor]] = {}

    def __call__(self, value: Any, where: str) -> Any:
        """The value as JSON; ``where`` is its dotted name.

        Raises:
            UnstorableError: it, or something in it, has no form as data.
        """
        if value is None or type(value) in (str, bool, int):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {":": "float", "value": repr(value)}
        for kind, encode in self._kinds():
            if isinstance(value, kind):
                encoded = encode(value, where)
                if encoded is not None:
                    return encoded
        raise UnstorableError(f"{where} is {shown(value, 100)}, of type {type(value).__name__}")

    def _kinds(self) -> list[tuple[type[Any] | tuple[type[Any], ...], Callable[[Any, str], Any]]]:
        return [
            (dict, self._dict),
            ((list, tuple), self._sequence),
            (deque, lambda v, w: {":": "deque", "items": self._items(v, w), "maxlen": v.maxlen}),
            (np.generic, self._scalar),
            (np.ndarray, self._array),
            (th.Tensor, lambda v, w: {":": "tensor", "name": self._tensor(v, w)}),
            (th.dtype, lambda v, w: {":": "dtype", "name": str(v).removeprefix("torch.")}),
            (th.device, lambda v, w: {":": "device", "name": str(v)}),
            (type, self._class),
            (spaces.Space, self._space),
            (MemoryState, self._memory),
            (tuple(kind for kind, _ in SCHEDULES.values()), self._schedule),
            (object, self._dataclass),
        ]

    def _items(self, values: Any, where: str) -> list[Any]:
        return [self(value, f"{where}.{i}") for i, value in enumerate(values)]

    def _dict(self, value: dict[Any, Any], where: str) -> Any:
        if type(value) not in (dict, OrderedDict):
            return None
        if all(type(key) is str and key != ":" for key in value):
            return {key: self(item, f"{where}.{key}") for key, item in value.items()}
        items = [[self(k, f"{where}.key"), self(v, f"{where}.{k}")] for k, v in value.items()]
        return {":": "dict", "items": items}

    def _sequence(self, value: Any, where: str) -> Any:
        if type(value) is list:
            return self._items(value, where)
        return {":": "tuple", "items": self._items(value, where)} if isinstance(value, tuple) else None

    def _scalar(self, value: np.generic, where: str) -> Any:
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            return None
        return {":": "scalar", "dtype": value.dtype.name, "value": self(value.item(), where)}

    def _array(self, value: np.ndarray, where: str) -> Any:
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8 or not value.dtype.isnative:
            return None
        return {":": "array", "name": self._tensor(th.from_numpy(np.array(value, order="C")), where, False)}

    def _tensor(self, value: th.Tensor, where: str, shared: bool = True) -> str:
        if value.layout is not th.strided or value.is_quantized or value.is_complex():
            raise UnstorableError(f"{where} is a tensor with layout {value.layout} and type {value.dtype}")
        place = (value.data_ptr(), value.dtype, value.device, tuple(value.shape), value.stride())
        if shared and value.numel() and place in self._known:
            return self._known[place][0]
        name = where if where not in self.tensors else f"{where}#{len(self.tensors)}"
        self.tensors[name] = value.detach().to("cpu", copy=True, memory_format=th.contiguous_format)
        if shared:
            self._known[place] = name, value  # held, so that nothing else comes to lie in its place
        return name

    def _class(self, value: type[Any], where: str) -> Any:
        try:
            class_for(where.rpartition(".")[2], path_of(value), {})
        except ValueError:
            return None
        return {":": "class", "path": path_of(value)}

    def _space(self, value: spaces.Space[Any], where: str) -> Any:
        data = space_to_data(value)
        return None if data is None else {":": "space", "data": self(data, where)}

    def _memory(self, value: MemoryState, where: str) -> Any:
        if id(value) not in self._memories:
            tensors = self(value.state_dict(), where)
            self._memories[id(value)] = (
                {":": "memory", "path": path_of(type(value)), "tensors": tensors},
                value,
            )
        return self._memories[id(value)][0]

    def _schedule(self, value: Any, where: str) -> Any:
        kind, names = SCHEDULES.get(type(value).__name__, (None, ()))
        if type(value) is not kind:
            return None
        fields = {name: self(getattr(value, name), f"{where}.{name}") for name in names}
        return {":": "schedule", "kind": type(value).__name__, "fields": fields}

    def _dataclass(self, value: Any, where: str) -> Any:
        if not dataclasses.is_dataclass(value) or not type(value).__module__.startswith("expirespan."):
            return None
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return {":": "data", "path": path_of(type(value)), "fields": self(fields, where)}


class Decoder:
    """Inverse of `Encoder`. ``classes``: some by path, which need not be looked up."""

    def __init__(self, tensors: Mapping[str, th.Tensor], classes: Mapping[str, Any] | None = None) -> None:
        self.tensors, self.classes = tensors, classes or {}
        self._elements = 0

    def __call__(self, value: Any, where: str) -> Any:
        """The value. ``where`` is its dotted name, whose last part says what classes may stand there.

        Raises:
            ValueError: it is no value that `Encoder` writes, or names a class that does not belong there.
        """
        if isinstance(value, list):
            return [self(item, f"{where}.{i}") for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if ":" not in value:
            return {key: self(item, f"{where}.{key}") for key, item in value.items()}
        if value[":"] not in KINDS:
            raise ValueError(
                f"{where} is of the unknown kind {shown(value[':'])}: expected one of {', '.join(KINDS)}"
            )
        try:
            return getattr(self, f"_{value[':']}")(value, where)
        except (KeyError, TypeError, AttributeError, AssertionError) as error:
            raise ValueError(f"{where} is no {value[':']} as it should be: {said(error)}") from error

    def _float(self, value: dict[str, Any], where: str) -> float:
        return float(value["value"])

    def _dict(self, value: dict[str, Any], where: str) -> dict[Any, Any]:
        return {self(k, f"{where}.key"): self(v, f"{where}.{k}") for k, v in value["items"]}

    def _tuple(self, value: dict[str, Any], where: str) -> tuple[Any, ...]:
        return tuple(self(value["items"], where))

    def _deque(self, value: dict[str, Any], where: str) -> deque[Any]:
        return deque(self(value["items"], where), maxlen=value["maxlen"])

    def _scalar(self, value: dict[str, Any], where: str) -> Any:
        dtype = np.dtype(value["dtype"])
        assert dtype.kind in "biuf", f"{dtype} is no type of numbers"
        return dtype.type(self(value["value"], where))

    def _array(self, value: dict[str, Any], where: str) -> np.ndarray:
        return np.array(self.tensors[value["name"]].numpy())

    def _tensor(self, value: dict[str, Any], where: str) -> th.Tensor:
        return self.tensors[value["name"]]

    def _dtype(self, value: dict[str, Any], where: str) -> th.dtype:
        dtype = getattr(th, value["name"])
        assert isinstance(dtype, th.dtype)
        return dtype

    def _device(self, value: dict[str, Any], where: str) -> th.device:
        return th.device(value["name"])

    def _class(self, value: dict[str, Any], where: str) -> type[Any]:
        return class_for(where.rpartition(".")[2], value["path"], self.classes)

    def _space(self, value: dict[str, Any], where: str) -> spaces.Space[Any]:
        data = self(value["data"], where)
        self._elements += elements(data)
        if self._elements > MOST_ELEMENTS:
            raise ValueError(
                f"the spaces have {self._elements:,} elements, expected at most {MOST_ELEMENTS:,}"
            )
        return space_from_data(data)

    def _memory(self, value: dict[str, Any], where: str) -> MemoryState:
        kind = find_class(value["path"], (MemoryState,), where, self.classes)
        tensors = self(value["tensors"], where)
        for name, tensor in tensors.items():
            assert isinstance(tensor, th.Tensor), f"{name} is no tensor"
            assert not (tensor.is_floating_point() and bool(tensor.isnan().any())), f"{name} holds NaN"
        state: MemoryState = kind.from_state_dict(tensors)
        return state

    def _schedule(self, value: dict[str, Any], where: str) -> Any:
        kind, names = SCHEDULES[value["kind"]]
        fields = [self(value["fields"][name], f"{where}.{name}") for name in names]
        allowed: tuple[type[Any], ...] = (int, float, *(kind for kind, _ in SCHEDULES.values()))
        assert all(isinstance(field, allowed) for field in fields)
        return kind(*fields)

    def _data(self, value: dict[str, Any], where: str) -> Any:
        kind = find_class(value["path"], (object,), where, self.classes)
        assert dataclasses.is_dataclass(kind), f"{value['path']} is no dataclass"
        assert kind.__module__.startswith("expirespan."), f"{value['path']} is not of this package"
        return kind(**self(value["fields"], where))
