"""The operator ``expirespan::attend``: attention over memories that expire, computed by what suits the device.

`plain.py` is its definition and runs anywhere; `native.py` runs C on CPUs, `in_triton.py` Triton on CUDA. Compilers see
one operator.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from expirespan.memory.attention import in_triton, native, plain
from expirespan.memory.attention.plain import Inputs
from expirespan.memory.attention.sight import Sight


def choose_kernel(attention: str) -> str:
    """How attention is computed: "native" (C), "plain" (PyTorch) or "triton"; "auto" is C where that is built.

    Raises:
        ValueError: it is asked for and is not to be had.
    """
    if attention == "auto":
        return "native" if native.available() else "plain"
    reason = {"native": native.why_not, "triton": in_triton.why_not}.get(attention, lambda: "")()
    if reason:
        raise ValueError(f"attention={attention!r} is not to be had here: {reason}; choose 'auto' or 'plain'")
    return attention


def attend(inputs: Inputs, kernel: str) -> Tensor:
    """y (B, T, H, d): what each query reads, in the dtype of ``q``.

    ``kernel``: as `choose_kernel` gives it. PyTorch computes what that has no code for: C is for CPUs, Triton for GPUs.
    """
    q, k, v, near, reach, sight, ramp = inputs
    q, k, v, near = (
        x.to(reach.dtype) for x in (q, k, v, near)
    )  # only products around it are in half precision
    place, begin, youngest, before = sight
    y: Tensor = _attend(q, k, v, near, reach, place, begin, youngest, before, ramp, kernel)[0]
    return y.to(inputs.q.dtype)


def steps_in_c(kernel: str, store: Tensor) -> bool:
    """Whether `native.step` can serve a memory whose keys are ``store``. Compilers get what it consists of."""
    return kernel == "native" and not torch.compiler.is_compiling() and _fit_for_c(store)


def _fit_for_c(*tensors: Tensor) -> bool:
    first = tensors[0]
    known = first.dtype in (torch.float32, torch.float64) and first.device.type == "cpu"
    return known and all(tensor.dtype == first.dtype for tensor in tensors)


def _way(kernel: str, q: Tensor) -> Any:
    if kernel == "native" and _fit_for_c(q):
        return native
    return in_triton if kernel == "triton" and in_triton.fits(q) else plain


@torch.library.custom_op("expirespan::attend", mutates_args=())
def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    near: Tensor,
    reach: Tensor,
    place: Tensor,
    begin: Tensor,
    youngest: Tensor | None,
    before: int,
    ramp: float,
    kernel: str,
) -> tuple[Tensor, Tensor]:
    inputs = Inputs(q, k, v, near, reach, Sight(place, begin, youngest, before), ramp)
    y, log_total = _way(kernel, q).forward(inputs)
    return y, log_total


@_attend.register_fake
def _(q: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    B, T, H, d = q.shape
    return q.new_empty(B, T, H, d), q.new_empty(B, H, T)


@torch.library.custom_op("expirespan::attend_backward", mutates_args=())
def _attend_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    near: Tensor,
    reach: Tensor,
    place: Tensor,
    begin: Tensor,
    youngest: Tensor | None,
    before: int,
    ramp: float,
    kernel: str,
    y: Tensor,
    log_total: Tensor,
    dy: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    inputs = Inputs(q, k, v, near, reach, Sight(place, begin, youngest, before), ramp)
    grads = _way(kernel, q).backward(inputs, y, log_total, dy)
    return grads[0], grads[1], grads[2], grads[3], grads[4]


@_attend_backward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, near: Tensor, reach: Tensor, *_: Any) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in (q, k, v, near, reach))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:8], *output)
    ctx.rest = inputs[8:]


def _differentiate(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    *tensors, y, log_total = ctx.saved_tensors
    grads = _attend_backward(*tensors, *ctx.rest, y, log_total, dy)
    return *grads, *[None] * 6


_attend.register_autograd(_differentiate, setup_context=_keep)
