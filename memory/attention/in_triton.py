"""The same in Triton, on CUDA: calls the kernels of `triton_kernels.py`."""

from __future__ import annotations

import math
import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from expirespan.memory.attention.plain import Inputs

WIDEST = 128
"""Widest head that there is code for; PyTorch computes wider ones."""
TILE = 32
"""Queries of a tile, and keys of a block."""


def interpreted() -> bool:
    """Whether Triton interprets its programs on the CPU, as ``TRITON_INTERPRET=1`` asks for."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def why_not() -> str:
    """Why it is not to be had here, in words; empty if it is."""
    if find_spec("triton") is None:
        return "Triton is not installed (it comes with PyTorch's builds for CUDA)"
    if not (interpreted() or torch.cuda.is_available()):
        return "PyTorch finds no GPU"
    return ""


def version() -> str:
    """Of Triton, where it can be had."""
    return "" if why_not() else str(import_module("triton").__version__)


def fits(tensor: Tensor) -> bool:
    """Whether there is code for queries ``tensor``: 32 bits, on a GPU, heads of up to `WIDEST`."""
    there = tensor.is_cuda or interpreted()
    return there and tensor.dtype == torch.float32 and tensor.shape[-1] <= WIDEST


def forward(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """As `plain.forward`."""
    q = inputs.q
    B, T, H, d = q.shape
    y, log_total = q.new_empty(B, T, H, d), q.new_empty(B, H, T)
    _run("forward", T, inputs, _view(y), log_total)
    return y, log_total


def backward(inputs: Inputs, y: Tensor, log_total: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
    """As `plain.backward`."""
    q, k, v, near, reach = inputs[:5]
    B, T, H, _ = q.shape
    dq, dk, dv = (x.new_empty(x.shape) for x in (q, k, v))
    d_near, mean = near.new_zeros(near.shape), torch.empty_like(log_total)
    d_reach = reach.new_empty(B, H, k.shape[1])
    _run("backward_queries", T, inputs, _view(y), log_total, _view(dy), mean, _view(dq), _view(d_near))
    _run("backward_keys", k.shape[1], inputs, log_total, _view(dy), mean, _view(dk), _view(dv), d_reach)
    return dq, dk, dv, d_near, d_reach if reach.shape[1] > 1 else d_reach.sum(1, keepdim=True)


@cache
def _kernels() -> Any:
    return import_module("expirespan.memory.attention.triton_kernels")


View = tuple[Tensor, int, int, int]
"""A tensor (B, rows, H, d) and its strides, as kernels take it."""


def _view(tensor: Tensor) -> View:
    tensor = tensor if tensor.stride(-1) == 1 else tensor.contiguous()
    env, row, head, _ = tensor.stride()
    return tensor, env, row, head


def _run(kernel: str, rows: int, inputs: Inputs, *others: Tensor | View) -> None:
    """Start a program for each tile of ``rows`` of each head."""
    q, k, v, near, reach, (place, begin, youngest, _), ramp = inputs
    B, T, H, d = q.shape
    views = [_view(x) for x in (q, k, v, near)]
    known = [None if x is None else x.contiguous() for x in (reach, place, begin, youngest)]
    sizes = T, k.shape[1], H, near.shape[-1], reach.shape[1], 1 / math.sqrt(d), float(ramp)
    programs = -(-rows // TILE) * B * H
    with torch.cuda.device_of(q):
        getattr(_kernels(), kernel)[programs,](*views, *known, *others, *sizes, **shape(d))


def shape(d: int) -> dict[str, Any]:
    """For what programs are compiled. Wider heads take more threads, so that numbers stay in registers."""
    width = max(16, 1 << (d - 1).bit_length())  # the least that Triton multiplies is 16
    warps = 4 if width < 64 else 8
    return dict(d=d, WIDTH=width, TILE=TILE, BLOCK=TILE, num_warps=warps, enable_fp_fusion=True)
