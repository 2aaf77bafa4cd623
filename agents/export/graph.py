"""PolicyGraph: one step of a policy as a function of tensors alone, from the observation to the action."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import (
    BernoulliDistribution,
    CategoricalDistribution,
    DiagGaussianDistribution,
    Distribution,
    MultiCategoricalDistribution,
    StateDependentNoiseDistribution,
)
from torch import nn

from expirespan.agents.base.spaces import least_values
from expirespan.agents.core.masks import masked
from expirespan.agents.export.deployed import DeployedPolicy
from expirespan.agents.export.memories import Tensors, memory_graph

OBSERVATION = "observation"
"""Name of the input, or what its parts' names begin with, where it is a Dict."""


class PolicyGraph(nn.Module):
    """One step at fixed shapes, of a batch of any size.

    Inputs by name: what `observation_inputs` lists, ``episode_start`` (B,), ``action_masks`` (B, W) if ``masks``, the
    parts of the state. ``capacity``: slots of each layer, see `memory_graph`.
    """

    def __init__(self, deployed: DeployedPolicy, capacity: int | None = None, masks: bool = False) -> None:
        super().__init__()
        self.policy, self.normalization, self.masks = deployed.policy, deployed.normalization, masks
        self.memory = memory_graph(self.policy.memory, capacity)

    def forward(self, inputs: Tensors) -> Tensors:
        """Outputs by name: action, what its distribution is, value (B,), memories read, the next state."""
        policy, start_B = self.policy, inputs["episode_start"]
        x = policy._encode(self._observation(inputs))
        state = {name: inputs[name] for name in self.memory.parts}
        y, after, alive_BL = self.memory(policy._for_memory(x), start_B, state)
        distribution, values = policy.heads(policy._for_heads(x, y))
        distribution = masked(distribution, inputs.get("action_masks"))
        out = {"action": self._element(distribution.get_actions(deterministic=True))}
        out |= distribution_parameters(distribution)
        out["value"] = values.flatten()
        if alive_BL is not None:
            out["alive"] = alive_BL
        return out | {part.output: after[name] for name, part in self.memory.parts.items()}

    def _observation(self, inputs: Tensors) -> Any:
        parts = {}
        for name, (key, _) in observation_inputs(self.policy.observation_space).items():
            part = inputs[name]
            parts[key] = part if self.normalization is None else self.normalization.tensor(key, part)
        return parts if isinstance(self.policy.observation_space, spaces.Dict) else parts[""]

    def _element(self, chosen: th.Tensor) -> th.Tensor:
        """What was chosen, as elements of the action space: `steps.to_env` and `spaces.as_elements` in PyTorch."""
        space = self.policy.action_space
        dtype, chosen = torch_dtype(space.dtype), chosen.reshape((-1, *(space.shape or ())))
        if not isinstance(space, spaces.Box):
            least = least_values(space)
            return (chosen.long() + th.as_tensor(0 if least is None else least)).to(dtype)
        low, high = (
            th.as_tensor(b.astype(np.promote_types(b.dtype, np.float32))) for b in (space.low, space.high)
        )
        if self.policy.squash_output:
            chosen = low + 0.5 * (chosen + 1) * (high - low)
        if dtype.is_floating_point:
            return th.minimum(th.maximum(chosen.to(low.dtype), low), high).to(dtype)
        rounded = chosen.double().round()
        first, last = (th.as_tensor(bound.astype(np.int64)) for bound in (space.low, space.high))
        within = th.where((rounded > low) & (rounded < high), rounded, 0.0).long()
        return th.where(rounded >= high, last, th.where(rounded <= low, first, within)).to(dtype)


def distribution_parameters(distribution: Distribution) -> Tensors:
    """What a distribution of actions is, by name of the output.

    Raises:
        ValueError: it is of a kind that is not known here.
    """
    if isinstance(distribution, CategoricalDistribution | BernoulliDistribution):
        return {"probabilities": distribution.distribution.probs}
    if isinstance(distribution, MultiCategoricalDistribution):
        return {"probabilities": th.cat([part.probs for part in distribution.distribution], -1)}
    if isinstance(distribution, DiagGaussianDistribution | StateDependentNoiseDistribution):
        normal = distribution.distribution
        return {"mean": normal.mean, "deviation": normal.stddev}
    raise ValueError(
        f"actions are drawn from a {type(distribution).__name__}, which has no form in a graph: expected one of "
        "Stable-Baselines3's for Discrete, MultiDiscrete, MultiBinary or Box"
    )


def observation_inputs(space: spaces.Space[Any]) -> dict[str, tuple[str, spaces.Space[Any]]]:
    """Names of the inputs that make up an observation, each with its key ("" for the whole) and its space."""
    if isinstance(space, spaces.Dict):
        return {f"{OBSERVATION}.{key}": (key, part) for key, part in space.spaces.items()}
    return {OBSERVATION: ("", space)}


def torch_dtype(dtype: Any) -> th.dtype:
    """The type of tensor for values of a numpy type: its own, or int64 for integers that graphs handle poorly."""
    name = np.dtype(dtype).name
    return th.int64 if name in ("uint16", "uint32", "uint64") else getattr(th, name)
