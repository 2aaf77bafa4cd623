"""``torch.compile`` for what a memory computes, as an option.

Each function becomes one program without breaks, made at its first call: that takes 10 to 30 seconds on a CPU, and
again where shapes are of another kind (no memories yet, one environment) or another rule is used. How many memories
there are changes nothing. On a CPU, where attention is in C, neither acting nor learning is faster for it; for GPUs it
is untried.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

PROGRAMS = 64
"""Most programs made of one function, for all kinds of shapes and memories in a process."""


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as programs, which are made as they are needed."""
    program: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=True)

    def run(*arguments: Any) -> Any:
        with torch._dynamo.config.patch(recompile_limit=PROGRAMS):
            return program(*arguments)

    return run
