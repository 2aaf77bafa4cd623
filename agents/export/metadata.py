"""What a graph says about itself: inputs, outputs and state in words, spaces, memory, origin. Plain data for JSON."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from expirespan.agents.checkpoint.spaces import space_to_data
from expirespan.agents.core.masks import parts
from expirespan.agents.export.deployed import DeployedPolicy
from expirespan.agents.export.graph import PolicyGraph, observation_inputs, torch_dtype
from expirespan.agents.export.memories import RecurrentGraph, TransformerGraph

KEY = "expirespan"
"""Under which the description lies in an ONNX file, as JSON."""
FORMAT = 1
"""Raised when the description changes in a way that readers must know of."""
BATCH = "batch"


def describe(graph: PolicyGraph, deployed: DeployedPolicy) -> dict[str, Any]:
    """The description.

    ``inputs`` and ``outputs``: shape, dtype and meaning by name. ``state``: the inputs that carry the memory, each with
    its ``shape`` without the batch, ``dtype`` and the ``output`` that is passed in its place at the next step.
    """
    policy = deployed.policy
    return {
        "format": FORMAT,
        "package": f"expirespan {version('expirespan')}",
        "policy": type(policy).__name__,
        "memory": memory_facts(graph),
        "spaces": {
            "observation": _plain_space(policy.observation_space),
            "action": _plain_space(policy.action_space),
        },
        "normalized": deployed.normalization is not None,
        "inputs": inputs(graph),
        "outputs": outputs(graph),
        "state": {
            name: {"shape": list(part.shape), "dtype": dtype_name(part.dtype), "output": part.output}
            for name, part in graph.memory.parts.items()
        },
        "about": deployed.about,
    }


def memory_facts(graph: PolicyGraph) -> dict[str, Any]:
    """Kind and size of the memory; of a Transformer also spans and ramps by layer, and the capacity."""
    memory, kind = graph.memory, graph.policy.memory_name
    if isinstance(memory, RecurrentGraph):
        return {"kind": kind, "layers": memory.memory.rnn.num_layers, "width": memory.memory.width}
    assert isinstance(memory, TransformerGraph)
    rules = memory.memory.rules
    return {
        "kind": kind,
        "layers": len(memory.layers),
        "heads": memory.layers[0].heads,
        "width": memory.memory.width,
        "max_span": [rule.max_span if np.isfinite(rule.max_span) else None for rule in rules],
        "ramp": [rule.ramp for rule in rules],
        "capacity": memory.capacity,
    }


def inputs(graph: PolicyGraph) -> dict[str, dict[str, Any]]:
    """Shape, dtype and meaning of every input, in their order."""
    found: dict[str, dict[str, Any]] = {}
    for name, (key, space) in observation_inputs(graph.policy.observation_space).items():
        found[name] = _entry(space.shape or (), torch_dtype(space.dtype), _observed(graph, key, space))
    found["episode_start"] = _entry(
        (),
        th.bool,
        "true where the observation is the first of an episode: everything before it is forgotten",
    )
    if graph.masks:
        sizes = parts(graph.policy.action_space)
        meaning = "true where an action is allowed: one flag per action, those of all parts side by side"
        if isinstance(graph.policy.action_space, spaces.MultiBinary):
            meaning = "true where it is allowed: of each bit a pair of flags, for 0 and for 1"
        found["action_masks"] = _entry((sum(sizes),), th.bool, meaning)
    for name, part in graph.memory.parts.items():
        meaning = f"{part.meaning}; zeros at first, then the output {part.output} of the step before"
        found[name] = _entry(part.shape, part.dtype, meaning)
    return found


def outputs(graph: PolicyGraph) -> dict[str, dict[str, Any]]:
    """Shape, dtype and meaning of every output, in their order."""
    space, memory = graph.policy.action_space, graph.memory
    shape = space.shape or ()
    found = {
        "action": _entry(shape, torch_dtype(space.dtype), "the most likely action, an element of the space")
    }
    if isinstance(space, spaces.Box):
        size, ending = (int(np.prod(shape)),), ", flattened"
        if graph.policy.squash_output:
            ending += "; tanh of a sample, rescaled to the bounds of the space, is an action"
        else:
            ending += "; a sample, clipped to the bounds of the space, is an action"
        found["mean"] = _entry(size, th.float32, f"mean of the normal distribution of actions{ending}")
        found["deviation"] = _entry(size, th.float32, "its standard deviation")
    elif isinstance(space, spaces.MultiBinary):
        found["probabilities"] = _entry((int(np.prod(shape)),), th.float32, "probability of 1 for each bit")
    else:
        meaning = "probability of each choice, the least first; those of all parts side by side"
        found["probabilities"] = _entry((sum(parts(space)),), th.float32, meaning)
    found["value"] = _entry(
        (), th.float32, "the return that the policy expects, as it was scaled in training"
    )
    if isinstance(memory, TransformerGraph):
        found["alive"] = _entry((len(memory.layers),), th.int64, "memories that this step read in each layer")
    for name, part in memory.parts.items():
        meaning = f"pass it as {name} at the next step"
        if name == "overflowed":
            meaning = (
                "true once a memory was dropped that could still be read, because a layer had more than its capacity; "
                f"stays true until the next episode; {meaning}"
            )
        found[part.output] = _entry(part.shape, part.dtype, meaning)
    return found


def dtype_name(dtype: th.dtype) -> str:
    """As numpy calls it."""
    return str(dtype).removeprefix("torch.")


def _entry(shape: tuple[int, ...], dtype: th.dtype, meaning: str) -> dict[str, Any]:
    return {"shape": [BATCH, *shape], "dtype": dtype_name(dtype), "meaning": meaning}


def _observed(graph: PolicyGraph, key: str, space: spaces.Space[Any]) -> str:
    which = f"part {key!r} of the observation" if key else "the observation"
    words = [f"{which} as the environment gives it"]
    if is_image_space(space):
        words.append("an image with channels first: (channels, height, width)")
    if graph.normalization is not None and key in graph.normalization.mean:
        words.append("before normalisation, which the graph does")
    return "; ".join(words)


def _plain_space(space: spaces.Space[Any]) -> Any:
    data = space_to_data(space)
    return str(space) if data is None else _plain(data)


def _plain(value: Any) -> Any:
    """Data with numpy's numbers and arrays as Python's; what is not finite as text."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
