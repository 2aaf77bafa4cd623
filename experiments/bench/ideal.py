"""Ideal speed: environment steps per second if a rollout with its update were nothing but products, at the best rate.

A product is one multiplication with its addition, so two floating-point operations. PyTorch counts those of linear
maps, forward and backward, padding included. Those of attention follow from how many memories each query can read: per
memory and component 2 when acting or reading a segment (score, weighted sum), and 5 when going back (the score again,
and the gradients of weight, value, query and key). Environments, norms, activations and the optimiser count nothing.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any
from unittest import mock

import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from expirespan.memory import TransformerMemory
from expirespan.memory.attention import Inputs, Sight
from expirespan.memory.transformer_layer import readable

OPERATIONS = 2
"""Floating-point operations of a product."""
FORWARD, BACKWARD = 2, 5
"""Products of attention per query, memory that it can read, and component of a state."""


def products_per_second(size: int = 512, tries: int = 300) -> float:
    """Best rate of ``tries`` products of two float32 matrices (size, size), with as many threads as PyTorch has now.

    The matrices fit into the processor's cache, and a try is short enough to pass undisturbed on a busy machine.
    """
    a, b = torch.rand(size, size), torch.rand(size, size)
    best = float("inf")
    for _ in range(tries):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return size**3 / best


def steps_per_second(agent: OnPolicyAlgorithm, rate: float) -> float | None:
    """Ideal speed of ``agent`` at ``rate`` products per second. Trains it for a rollout.

    None if it is not known: PyTorch counts no products of an LSTM or a GRU, and not all of memories that sum up.
    """
    memory = getattr(agent.policy, "memory", None)
    sums_up = isinstance(memory, TransformerMemory) and any(rule.factor for rule in memory.rules)
    if sums_up or any(isinstance(module, nn.RNNBase) for module in agent.policy.modules()):
        return None
    return agent.n_steps * agent.n_envs * rate / products(agent)


def products(agent: OnPolicyAlgorithm) -> float:
    """Products of the next rollout of ``agent`` and its update."""
    counter, acting = FlopCounterMode(display=False), 0.0
    memory = getattr(agent.policy, "memory", None)

    def step(x_BD: Tensor, *args: Any) -> Any:
        nonlocal acting
        seen = _batched(counter)
        out = act(x_BD, *args)
        read = sum(int(alive.sum()) for alive in out.trace.alive)
        # C goes unseen; without it the counter sees products with all slots, also those that cannot be read
        acting += FORWARD * read * x_BD.shape[1] - (_batched(counter) - seen) / OPERATIONS
        return out

    act: Any = getattr(memory, "step", None)
    counted = mock.patch.object(memory, "step", step) if act is not None else nullcontext()
    with counted, counter:
        agent.learn(agent.n_steps * agent.n_envs, reset_num_timesteps=False, log_interval=10**9)
    return counter.get_total_flops() / OPERATIONS + acting


def _batched(counter: FlopCounterMode) -> int:
    """Operations of batched matrix products so far: in a step only attention has them."""
    found = counter.get_flop_counts().get("Global", {})
    return sum(found.get(op, 0) for op in (torch.ops.aten.bmm, torch.ops.aten.baddbmm))


@register_flop_formula(torch.ops.expirespan.attend, get_raw=True)
def _forward(*args: Any, **_: Any) -> int:
    return OPERATIONS * FORWARD * _read(args)


@register_flop_formula(torch.ops.expirespan.attend_backward, get_raw=True)
def _backward(*args: Any, **_: Any) -> int:
    return OPERATIONS * BACKWARD * _read(args)


def _read(args: tuple[Any, ...]) -> int:
    """Components of all memories that the queries of the operator's arguments can read."""
    q, k, v, near, reach, *sight, ramp = args[:10]
    inputs = Inputs(q, k, v, near, reach, Sight(*sight), ramp)
    return int(readable(inputs).sum() * q.shape[2] * q.shape[3])
