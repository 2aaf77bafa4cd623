"""A fake device, which counts how often the host would wait for it.

A tensor on device "labelled" wraps one on the CPU. Every operator unwraps its arguments, runs on the CPU and wraps the
results. As on a GPU, operands on different devices are an error, except for scalars, indices and copies. Unlike on a
GPU, all is done at once, so instead of the waiting itself the operators are counted that would have to wait: those that
give the host a number or a tensor, those whose result has a shape that depends on the data, and copies of host memory
to the device unless they are ``non_blocking``.

    install()
    agent = MemoryPPO(..., device=NAME)
    with host_waits() as waits:
        agent.train()
    assert waits == Counter(...)    # by `TO_HOST`, `TO_DEVICE` and the names of other operators

PyTorch takes one such device per process and keeps it: call `install` only in a process that is for this alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._decomp import get_decompositions
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "labelled"
TO_HOST, TO_DEVICE = "to host", "to device"
"""Copies that are waited for."""
READS = {
    *("_local_scalar_dense", "equal", "_is_all_true", "_is_any_true", "_linalg_check_errors"),
    *("nonzero", "masked_select", "bincount", "_unique2", "unique_dim", "unique_consecutive"),
}
"""Other operators that wait, whatever they are given (names without overload)."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
JOINING = {"cat", "stack"}
"""Operators that do not even take scalars from another device."""
RECURRENT = [
    getattr(getattr(torch.ops.aten, net), kind) for net in ("lstm", "gru") for kind in ("input", "data")
]
"""Operators for which PyTorch would ask the device for fused kernels that the CPU does not have."""

_waits: Counter[str] = Counter()
_libraries: list[torch.library.Library] = []


class Labelled(Tensor):
    """Tensor on the device; ``raw`` holds its numbers."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> Labelled:
        made: Labelled = Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )
        made.raw = raw
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        """For ``module.to(NAME)``: parameters that say what they wrap stay the objects that an optimiser holds."""
        return ["raw"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, Tensor], meta: None, size: Any, stride: Any) -> Labelled:
        return Labelled(parts["raw"])

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Labelled({self.raw})"

    def tolist(self) -> Any:
        """Of a copy on the host: PyTorch has none for subclasses."""
        return self.cpu().tolist()

    def data_ptr(self) -> int:
        """Where the numbers lie: the wrapper itself has no storage."""
        return self.raw.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(op, args, kwargs or {})


def _run(op: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Result of an operator of which an argument, or the device asked for, is labelled."""
    name = op._schema.name.removeprefix("aten::")
    device = kwargs.get("device")
    to_host = device is not None and torch.device(device).type == "cpu"
    given: dict[int, Tensor] = {}  # what was unwrapped; operators that work in place return it

    def unwrap(x: Tensor) -> Tensor:
        raw = x.raw if isinstance(x, Labelled) else x
        given[id(raw)] = x
        return raw

    def wrap(x: Tensor) -> Tensor:
        return given[id(x)] if id(x) in given else x if to_host else Labelled(x)

    raw_args = [_map(unwrap, x) for x in args]
    raw_kwargs = {key: _map(unwrap, x) for key, x in kwargs.items()}
    if device is not None:
        raw_kwargs["device"] = torch.device("cpu")
    _check_devices(name, args, given.values())
    for wait in [TO_HOST] if to_host else _waits_of(name, args, kwargs):
        _waits[wait] += 1
    return _map(wrap, op(*raw_args, **raw_kwargs))


def _map(fn: Callable[[Tensor], Any], x: Any) -> Any:
    """``fn`` of every tensor in lists and tuples."""
    if isinstance(x, Tensor):
        return fn(x)
    return type(x)([_map(fn, part) for part in x]) if type(x) in (list, tuple) else x


def _waits_of(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Sequence[str]:
    """What an operator waits for."""
    if name == "copy_":
        to, source, *rest = args
        if not isinstance(to, Labelled):
            return [TO_HOST]
        blocking = not (rest[0] if rest else kwargs.get("non_blocking", False))
        return [TO_DEVICE] if blocking and not isinstance(source, Labelled) else []
    if name in INDEXING:
        indices = [i for i in args[1] if i is not None]
        masks = [i for i in indices if isinstance(i, Labelled) and i.dtype in (torch.bool, torch.uint8)]
        # where one number is put under a mask, it is filled in instead
        selects = masks and (name == "index" or len(masks) > 1 or args[2].numel() != 1)
        return [name] * bool(selects) + [TO_DEVICE for i in indices if not isinstance(i, Labelled)]
    counts = name == "repeat_interleave" and kwargs.get("output_size") is None
    return [name] if name in READS or counts else []


def _check_devices(name: str, args: Sequence[Any], operands: Collection[Tensor]) -> None:
    """Raise RuntimeError if operands lie on both devices."""
    if name == "copy_":
        return
    if name in INDEXING and isinstance(args[0], Labelled):  # by indices that may lie on the host
        operands = [x for x in (args[0], *args[2:]) if isinstance(x, Tensor)]
    plain = [x for x in operands if not isinstance(x, Labelled) and (x.dim() or name in JOINING)]
    if plain and len(plain) < len(operands):
        shapes = [tuple(x.shape) for x in plain]
        raise RuntimeError(f"{name}: expected all tensors on the labelled device, found {shapes} on the CPU")


class _Module(_DummyBackendModule):
    """What PyTorch looks for under ``torch.labelled``."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Types of autocast."""
        return [torch.bfloat16]


def install() -> None:
    """Make the device known to this process."""
    _setup_privateuseone_for_python_backend(NAME, _Module())
    every, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    every.fallback(lambda op, *args, **kwargs: _run(op, args, kwargs), "PrivateUse1")
    # `torch.tensor` turns `__torch_dispatch__` off while it copies its numbers to the device
    copy = torch.ops.aten.copy_.default
    aten.impl(copy, lambda *args, **kwargs: _run(copy, args, kwargs), "PrivateUse1")
    for op, parts in get_decompositions(RECURRENT).items():
        aten.impl(op, parts, "AutogradPrivateUse1")
    _libraries.extend([every, aten])


@contextmanager
def host_waits() -> Iterator[Counter[str]]:
    """Count, by operator, the waits of what runs within; the counter given is filled at the end."""
    before, found = _waits.copy(), Counter[str]()
    yield found
    found.update(_waits - before)
