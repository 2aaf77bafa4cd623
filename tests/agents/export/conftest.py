"""Policies of every kind, with weights as if trained, and their graphs as players."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import ConstantSchedule

from expirespan.agents import DeployedPolicy, MemoryActorCriticPolicy
from expirespan.agents.export.check import GraphPlayer
from expirespan.agents.export.graph import PolicyGraph
from expirespan.agents.export.metadata import describe
from expirespan.agents.sb3.space_policies import MemoryActorCriticCnnPolicy, MemoryMultiInputActorCriticPolicy

WIDE = {"width": 16, "heads": 2, "positions": 4, "output_scale": 1.0}
SPANS = WIDE | {"max_span": 6, "ramp": 3, "init_fraction": 0.5}
MEMORIES: dict[str, dict[str, Any]] = {
    "expire_span": SPANS,
    "adaptive_span": SPANS,
    "fixed_window": WIDE | {"window": 4},
    "compressive": WIDE | {"window": 4, "slots": 2, "factor": 3},
    "lstm": {"width": 16, "layers": 2},
    "gru": {"width": 16},
}
OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1, 1, (2, 3), np.float32),
    "double": spaces.Box(-np.inf, np.inf, (3,), np.float64),
    "number": spaces.Box(-1, 1, (), np.float32),
    "tokens": spaces.Box(0, 300, (4,), np.uint16),
    "discrete": spaces.Discrete(4, start=-2),
    "multidiscrete": spaces.MultiDiscrete([2, 3], start=[1, 5]),
    "multibinary": spaces.MultiBinary(3),
    "image": spaces.Box(0, 255, (3, 36, 36), np.uint8),
    "dict": spaces.Dict(
        {
            "vector": spaces.Box(-1, 1, (2,), np.float64),
            "image": spaces.Box(0, 255, (1, 12, 12), np.uint8),
            "room.number": spaces.Discrete(3),
        }
    ),
}
ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(4, start=3),
    "multidiscrete": spaces.MultiDiscrete([2, 3, 4], start=[0, 1, -1]),
    "multibinary": spaces.MultiBinary(3),
    "box": spaces.Box(np.array([-2, -0.1, 0], np.float32), np.array([1, 0.1, 3], np.float32)),
    "double": spaces.Box(-0.3, 0.2, (2, 2), np.float64),
    "integers": spaces.Box(-2, 1, (2,), np.int16),
}


@pytest.fixture
def make_policy() -> Callable[..., MemoryActorCriticPolicy]:
    """``make_policy(memory="lstm", observation="dict", action="box", seed=1)``: weights are far from their start."""

    def make(
        memory: str = "expire_span",
        observation: str | spaces.Space[Any] = "box",
        action: str | spaces.Space[Any] = "discrete",
        seed: int = 0,
        policy_class: Any = None,
        **kwargs: Any,
    ) -> MemoryActorCriticPolicy:
        th.manual_seed(seed)
        space = OBSERVATIONS[observation] if isinstance(observation, str) else observation
        by_space = {"image": MemoryActorCriticCnnPolicy, "dict": MemoryMultiInputActorCriticPolicy}
        kind = policy_class or by_space.get(str(observation), MemoryActorCriticPolicy)
        given = MEMORIES[memory] | kwargs.pop("memory_kwargs", {})
        policy = kind(
            space,
            ACTIONS[action] if isinstance(action, str) else action,
            ConstantSchedule(0.0),
            memory=memory,
            memory_kwargs=given,
            **kwargs,
        )
        with th.no_grad():
            for rule in getattr(policy.memory, "rules", []):
                for parameter in rule.span_parameters():
                    parameter.add_(th.randn_like(parameter))
            policy.action_net.weight.mul_(20)  # SB3 makes it small, so that all actions would be alike
            policy.action_net.bias.add_(th.randn_like(policy.action_net.bias) * 0.1)
        return policy

    return make


@pytest.fixture
def in_torch() -> Callable[..., GraphPlayer]:
    """``in_torch(deployed, envs, capacity=8)``: the graph before it is exported, by PyTorch."""

    def make(
        deployed: DeployedPolicy, envs: int = 3, capacity: int | None = None, masks: bool = False
    ) -> GraphPlayer:
        graph = PolicyGraph(deployed, capacity, masks).eval()

        def run(inputs: dict[str, Any]) -> dict[str, Any]:
            with th.no_grad():
                out = graph({name: th.as_tensor(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in out.items()}

        return GraphPlayer(run, describe(graph, deployed), envs)

    return make


@pytest.fixture(scope="session", autouse=True)
def _no_trace_of_the_tracer() -> None:
    """PyTorch's tracer writes long records, which pytest would keep."""
    logging.getLogger("torch.__trace").setLevel(logging.CRITICAL)
