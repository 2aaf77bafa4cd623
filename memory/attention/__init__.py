"""Attention over memories that expire: `plain.py` says what is computed, `operator.py` chooses how."""

from expirespan.memory.attention.counterfactual import counterfactual_attention
from expirespan.memory.attention.operator import KERNELS, attend, attend_step, use_native
from expirespan.memory.attention.plain import Inputs, scores, step_weights, weights
from expirespan.memory.attention.sight import Sight

__all__ = [
    "KERNELS",
    "Inputs",
    "Sight",
    "attend",
    "attend_step",
    "counterfactual_attention",
    "scores",
    "step_weights",
    "use_native",
    "weights",
]
