"""Operators of PyTorch that its ONNX exporter does not know, in those of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch as th

INT64 = 7
"""ONNX's number for that type."""


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For ``custom_translation_table`` of `torch.onnx.export`."""
    import onnxscript  # slow

    op: Any = onnxscript.opset18

    def sort_stable(
        self: Any, stable: bool | None = None, dim: int = -1, descending: bool = False
    ) -> tuple[Any, Any]:
        """Of integers. Among equal values TopK takes the lower index first, so it is stable."""
        size = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]), axis=0)
        numbers = op.Cast(self, to=INT64)
        values, indices = op.TopK(numbers, size, axis=dim, largest=int(descending), sorted=1)
        return op.CastLike(values, self), indices

    return {th.ops.aten.sort.stable: sort_stable}
