"""Memories in plain PyTorch, which keep, read and delete states. Start reading at ``expire_span.py``."""

from expirespan.memory.core import Memory, MemoryOutput, MemoryState, Trace
from expirespan.memory.forget import forget
from expirespan.memory.recurrent import GRUMemory, LSTMMemory
from expirespan.memory.registry import MEMORIES, make_memory
from expirespan.memory.rules.adaptive_span import AdaptiveSpan
from expirespan.memory.rules.compressive import Compressive
from expirespan.memory.rules.expire_span import ExpireSpan, expiration, mean_span, stretched
from expirespan.memory.rules.fixed_window import FixedWindow
from expirespan.memory.rules.mask import is_expired, log_soft_mask, soft_mask
from expirespan.memory.rules.rule import Rule
from expirespan.memory.transformer import TransformerMemory
from expirespan.memory.transformer_state import TransformerState

span_penalty = mean_span
"""The name of `mean_span` in version 0.1."""

__all__ = [
    "MEMORIES",
    "AdaptiveSpan",
    "Compressive",
    "ExpireSpan",
    "FixedWindow",
    "GRUMemory",
    "LSTMMemory",
    "Memory",
    "MemoryOutput",
    "MemoryState",
    "Rule",
    "Trace",
    "TransformerMemory",
    "TransformerState",
    "expiration",
    "forget",
    "is_expired",
    "log_soft_mask",
    "make_memory",
    "mean_span",
    "soft_mask",
    "span_penalty",
    "stretched",
]
