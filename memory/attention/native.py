"""The same in C, on CPUs: `c/attend.c`, called by as many threads as PyTorch uses."""

from __future__ import annotations

import ctypes
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from expirespan.memory.attention.plain import Inputs, StepInputs

NAME = "_native"
KINDS = ("baseline", "avx2", "avx512")
"""Kinds of processor that there is code for, as C numbers them."""
SMALL = 1 << 18
"""Products below which one thread is as fast."""


class View(ctypes.Structure):
    """A tensor (B, rows, H, d) by its strides in numbers."""

    _fields_ = [("at", ctypes.c_void_p), *((name, ctypes.c_int64) for name in ("env", "row", "head"))]

    @classmethod
    def of(cls, tensor: Tensor) -> View:
        """Of a tensor whose last axis is contiguous."""
        return cls(tensor.data_ptr(), *tensor.stride()[:3])


class Attend(ctypes.Structure):
    """As in attend.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("B", "H", "T", "K", "d", "M", "heads")),
        *((name, ctypes.c_double) for name in ("scale", "ramp")),
        *((name, View) for name in ("q", "k", "v", "near", "y")),
        *((name, ctypes.c_void_p) for name in ("reach", "place", "youngest", "begin", "log_total")),
        *((name, View) for name in ("dy", "dq", "dk", "dv", "d_near")),
        *((name, ctypes.c_void_p) for name in ("d_reach", "next")),
    ]


class Step(ctypes.Structure):
    """As in attend.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("B", "H", "C", "d", "M", "slot", "read_heads", "keep_heads")),
        *((name, ctypes.c_int64) for name in ("p_env", "birth_env", "after_env", "alive_env")),
        *((name, ctypes.c_int64) for name in ("read_env", "read_head", "keep_env", "keep_head")),
        ("ramp", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("p", "x", "read", "keep", "birth", "time", "forget")),
        *((name, ctypes.c_void_p) for name in ("h", "k", "v", "y", "after", "alive", "next")),
    ]


FORWARD, BACKWARD, STEP = range(3)


class Job(ctypes.Structure):
    """As in attend.c."""

    _fields_ = [
        ("arguments", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("what", "wide", "kind", "failed")),
    ]


@cache
def _library() -> ctypes.CDLL | str:
    """The code, or why there is none."""
    found = [Path(__file__).with_name(NAME + suffix) for suffix in EXTENSION_SUFFIXES]
    file = next((path for path in found if path.exists()), None)
    if file is None:
        return "the package was installed without a C compiler"
    try:
        return ctypes.CDLL(str(file))
    except OSError as error:
        return f"{file.name} cannot be loaded: {error}"


def available() -> bool:
    """Whether there is code for this machine."""
    return not isinstance(_library(), str)


def why_not() -> str:
    """Why not, in words."""
    library = _library()
    return library if isinstance(library, str) else ""


@cache
def kind() -> int:
    """Number of this processor's kind in `KINDS`."""
    library = _library()
    assert not isinstance(library, str)
    return int(library.expirespan_kind())


def forward(inputs: Inputs, kind: int | None = None) -> tuple[Tensor, Tensor]:
    """As `plain.forward`. ``kind``: another than this processor's, if it can run it."""
    given = _ready(inputs)
    B, T, H, d = given.q.shape
    y, log_total = given.q.new_empty(B, T, H, d), given.q.new_empty(B, H, T)
    call = _described(given)
    call.y, call.log_total = View.of(y), log_total.data_ptr()
    _run(call, FORWARD, given.q, B * H, given.q.numel() * given.k.shape[1], kind)
    return y, log_total


def backward(
    inputs: Inputs, y: Tensor, log_total: Tensor, dy: Tensor, kind: int | None = None
) -> tuple[Tensor, ...]:
    """As `plain.backward`."""
    given, dy = _ready(inputs), _rows(dy)
    y, log_total = _rows(y), log_total.contiguous()
    grads = [x.new_empty(x.shape) for x in (given.q, given.k, given.v)]
    d_near = given.near.new_zeros(given.near.shape)
    d_reach = given.q.new_empty(given.q.shape[0], given.q.shape[2], given.k.shape[1])
    call = _described(given)
    call.y, call.log_total = View.of(y), log_total.data_ptr()
    call.dy, call.d_near, call.d_reach = View.of(dy), View.of(d_near), d_reach.data_ptr()
    call.dq, call.dk, call.dv = map(View.of, grads)
    _run(call, BACKWARD, given.q, call.B * call.H, given.q.numel() * given.k.shape[1], kind)
    return *grads, d_near, d_reach if given.reach.shape[1] > 1 else d_reach.sum(1, keepdim=True)


def step(given: StepInputs, after_BC: Tensor, alive_B: Tensor, kind: int | None = None) -> Tensor:
    """What each environment reads, (B, H * d); writes to the store, to ``after_BC`` and to ``alive_B``."""
    p, x, h, k, v, slot, birth, time, forget, read, keep, ramp, M = given
    B, H, d, C = k.shape
    p, read, birth = _rows(p), _rows(read), _rows(birth)
    x, time, forget = x.contiguous(), time.contiguous(), forget.contiguous()
    keep = read if keep is None else _rows(keep)
    y = x.new_empty(B, H * d)
    call = Step(
        *(B, H, C, d, M, slot, read.shape[1], keep.shape[1]),
        *(p.stride(0), birth.stride(0), after_BC.stride(0), alive_B.stride(0)),
        *(*read.stride()[:2], *keep.stride()[:2]),
        ramp,
        *(t.data_ptr() for t in (p, x, read, keep, birth, time, forget, h, k, v, y, after_BC, alive_B)),
    )
    _run(call, STEP, k, B, k.numel(), kind)
    return y


def _rows(tensor: Tensor) -> Tensor:
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _ready(inputs: Inputs) -> Inputs:
    """Tensors as C reads them."""
    q, k, v, near, reach, sight, ramp = inputs
    place, begin, youngest, _ = sight
    sight = sight._replace(
        place_BK=place.contiguous(),
        begin_BT=begin.contiguous(),
        youngest_BK=None if youngest is None else youngest.contiguous(),
    )
    return Inputs(_rows(q), _rows(k), _rows(v), _rows(near), reach.contiguous(), sight, ramp)


def _described(given: Inputs) -> Attend:
    q, k, v, near, reach, sight, ramp = given
    B, T, H, d = q.shape
    youngest = sight.youngest_BK
    return Attend(
        **dict(B=B, H=H, T=T, K=k.shape[1], d=d, M=near.shape[3], heads=reach.shape[1]),
        **dict(scale=1 / math.sqrt(d), ramp=ramp),
        **dict(q=View.of(q), k=View.of(k), v=View.of(v), near=View.of(near)),
        reach=reach.data_ptr(),
        place=sight.place_BK.data_ptr(),
        begin=sight.begin_BT.data_ptr(),
        youngest=None if youngest is None else youngest.data_ptr(),
    )


def _run(call: Attend | Step, what: int, like: Tensor, parts: int, products: int, kind_: int | None) -> None:
    """Let threads share the ``parts``, environments and heads, among them.

    Raises:
        MemoryError: there is not enough memory.
    """
    library = _library()
    assert not isinstance(library, str)
    taken = ctypes.c_int64(0)
    call.next = ctypes.addressof(taken)
    wide = like.dtype == torch.float64
    job = Job(ctypes.addressof(call), what, wide, kind() if kind_ is None else kind_, 0)
    threads = min(torch.get_num_threads(), parts) if products >= SMALL else 1
    _together(library.expirespan_work, job, threads)
    if job.failed:
        raise MemoryError("no memory for attention")


def _together(work: Any, job: Job, threads: int) -> None:
    """Call ``work`` in that many threads: PyTorch's own, where OpenMP manages them, for others would wait for a core.

    After a fork there is one: OpenMP's threads do not survive it.
    """
    if threads == 1 or os.getpid() != PROCESS:
        work(ctypes.byref(job))
    elif OPENMP is not None:
        OPENMP(ctypes.cast(work, ctypes.c_void_p), ctypes.byref(job), threads, 0)
    else:
        others = [_threads().submit(work, ctypes.byref(job)) for _ in range(threads - 1)]
        work(ctypes.byref(job))
        for other in others:
            other.result()


PROCESS = os.getpid()
OPENMP: Any = getattr(ctypes.CDLL(None), "GOMP_parallel", None) if os.name == "posix" else None
"""Of the library that PyTorch has loaded: function, its argument, number of threads, flags."""


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(os.cpu_count() or 1, 1), thread_name_prefix="attention")
