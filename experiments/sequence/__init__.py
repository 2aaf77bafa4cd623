"""Sequence tasks: streams of tokens read through a memory, block after block, with the state carried across.

Start reading at ``stream.py`` (what a task is), then ``copying.py`` (the smallest) and ``trainer.py`` (the loop).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expirespan.experiments.sequence.config import SequenceConfig
    from expirespan.experiments.sequence.model import SequenceModel
    from expirespan.experiments.sequence.stream import Block, Stream
    from expirespan.experiments.sequence.train import SequenceResult, train_sequence

_LAZY = {
    "SequenceConfig": "config",
    "SequenceModel": "model",
    "Block": "stream",
    "Stream": "stream",
    "SequenceResult": "train",
    "train_sequence": "train",
}
__all__ = ["Block", "SequenceConfig", "SequenceModel", "SequenceResult", "Stream", "train_sequence"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
