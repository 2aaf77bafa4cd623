"""Compile what attention in Triton runs for a GPU that is not there: `python compile_triton.py KIND HEAD_WIDTH`.

Calls go the way of real ones, arguments and all, up to the point where a program would be started.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
import triton
from triton.backends.compiler import GPUTarget

from expirespan.memory.attention import in_triton, triton_kernels

sys.path.insert(0, str(Path(__file__).parent))
from test_attention import Case, drawn

KIND, HEAD_WIDTH = map(int, sys.argv[1:])
SHARED = 99 * 1024
"""Bytes of shared memory of a program, of which all GPUs since Ampere have that many."""
made = []


class Compiled:
    def __getattr__(self, name):
        kernel = getattr(triton_kernels, name)

        class Launcher:
            def __getitem__(self, grid):
                return lambda *args, **options: made.append(kernel.warmup(*args, grid=grid, **options))

        return Launcher()


triton.runtime.driver.set_active(
    SimpleNamespace(
        get_current_device=lambda: 0,
        get_current_stream=lambda device: 0,
        get_current_target=lambda: GPUTarget("cuda", KIND, 32),
    )
)
in_triton._kernels = Compiled
for summaries, heads_differ in ((0, False), (3, True)):
    given = drawn(Case(2, 40, 33, 2, HEAD_WIDTH, 4, heads_differ, 5.0, 6.0, summaries, 0), torch.float32)
    y, log_total = in_triton.forward(given)
    in_triton.backward(given, y, log_total, torch.ones_like(y))
assert len(made) == 6
for kernel in made:
    assert kernel.asm["cubin"] and kernel.metadata.shared <= SHARED, (kernel.name, kernel.metadata.shared)
