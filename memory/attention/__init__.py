"""Attention over memories that expire: `plain.py` says what is computed, `operator.py` chooses how."""

from expirespan.memory.attention import in_triton, native
from expirespan.memory.attention.counterfactual import counterfactual_attention
from expirespan.memory.attention.native import step as step_in_c
from expirespan.memory.attention.operator import attend, choose_kernel, steps_in_c
from expirespan.memory.attention.plain import Inputs, StepInputs, scores, step, step_weights, weights
from expirespan.memory.attention.sight import Sight

__all__ = [
    "Inputs",
    "Sight",
    "StepInputs",
    "attend",
    "choose_kernel",
    "counterfactual_attention",
    "in_triton",
    "native",
    "scores",
    "step",
    "step_in_c",
    "step_weights",
    "steps_in_c",
    "weights",
]
