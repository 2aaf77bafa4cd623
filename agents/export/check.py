"""Comparison of a graph with the policy that it was made of, step by step: of an ONNX file in onnxruntime."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch as th
from gymnasium import spaces

from expirespan.agents.core.masks import masked, parts
from expirespan.agents.export.deployed import DeployedPolicy
from expirespan.agents.export.graph import distribution_parameters, observation_inputs
from expirespan.agents.export.metadata import KEY
from expirespan.memory import MemoryState

Arrays = dict[str, npt.NDArray[Any]]
RESTART = 0.03
"""Probability with which an environment of a comparison begins a new episode at a step."""


@dataclass(frozen=True)
class Comparison:
    """``steps`` of ``envs`` environments. ``difference``: largest one of a probability, mean, deviation or value,
    relative where that is above 1. ``actions``: most likely ones that differ; ``alive``: counts of memories that do.
    ``overflowed``: steps that are not compared, because the capacity was too small.
    """

    steps: int
    envs: int
    difference: float
    actions: int
    alive: int
    overflowed: int


class GraphPlayer:
    """A graph with the memory of ``envs`` environments; ``run`` gives its outputs by name for its inputs by name."""

    def __init__(self, run: Callable[[Arrays], Arrays], about: dict[str, Any], envs: int) -> None:
        self.run, self.about, self.envs = run, about, envs
        self.state: Arrays = {
            name: np.zeros((envs, *part["shape"]), part["dtype"]) for name, part in about["state"].items()
        }

    def step(self, inputs: Arrays) -> Arrays:
        """Outputs by name; the state is kept for the next step."""
        out = self.run({**inputs, **self.state})
        self.state = {name: out[part["output"]] for name, part in self.about["state"].items()}
        return out


def onnx_player(path: str | pathlib.Path, envs: int, threads: int = 0) -> GraphPlayer:
    """An ONNX file in onnxruntime, on the CPU. ``threads``: 0 for as many as onnxruntime likes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    names = list(about["outputs"])
    return GraphPlayer(lambda inputs: dict(zip(names, session.run(names, inputs), strict=True)), about, envs)


def compare(graph: GraphPlayer, deployed: DeployedPolicy, steps: int = 100, seed: int = 0) -> Comparison:
    """Act by both on the same random observations, in environments whose episodes begin at different steps."""
    rng, envs = np.random.default_rng(seed), graph.envs
    space, action_space = deployed.observation_space, deployed.action_space
    space.seed(seed)
    takes_masks = "action_masks" in graph.about["inputs"]
    state: MemoryState | None = None
    start, exact = np.ones(envs, bool), np.ones(envs, bool)
    difference, actions, alive, overflowed = 0.0, 0, 0, 0
    for _ in range(steps):
        observation = _batch([space.sample() for _ in range(envs)])
        inputs = observation_arrays(observation, space, graph.about) | {"episode_start": start}
        masks = _random_masks(action_space, envs, rng) if takes_masks else None
        if masks is not None:
            inputs["action_masks"] = masks
        out = graph.step(inputs)
        expected, counts, state = reference(deployed, observation, state, start, masks)
        exact = (exact | start) & ~out["overflow"] if "overflow" in out else exact
        overflowed += int((~exact).sum())
        chosen = expected.pop("action")
        for name, value in expected.items():
            apart = np.abs(out[name] - value) / np.maximum(1.0, np.abs(value))
            difference = max(difference, float(apart[exact].max(initial=0.0)))
        differ = np.asarray(
            out["action"] != chosen
            if chosen.dtype.kind != "f"
            else ~np.isclose(out["action"], chosen, 1e-5, 1e-5)
        )
        actions += int(np.asarray(differ.reshape(envs, -1).any(1))[exact].sum())
        if counts is not None:
            alive += int(np.asarray((out["alive"] != counts).any(1))[exact].sum())
        start = rng.random(envs) < RESTART
    return Comparison(steps, envs, difference, actions, alive, overflowed)


def reference(
    deployed: DeployedPolicy,
    observation: Any,
    state: MemoryState | None,
    start: npt.NDArray[np.bool_],
    masks: Any,
) -> tuple[Arrays, npt.NDArray[Any] | None, MemoryState]:
    """What the policy answers in PyTorch, as `predict` does: outputs by name, memories read, the next state."""
    policy = deployed.policy
    read = observation if deployed.normalization is None else deployed.normalization(observation)
    with th.no_grad():
        out = policy._read(policy.obs_to_tensor(read)[0], state, th.as_tensor(start))
        distribution, values = policy.heads(out.y)
        distribution = masked(distribution, None if masks is None else th.as_tensor(masks))
        chosen = policy.to_env(distribution.get_actions(deterministic=True).numpy())
        found = {name: value.numpy() for name, value in distribution_parameters(distribution).items()}
    counts = th.cat(out.trace.alive, 1).numpy() if out.trace.alive else None
    return found | {"value": values.flatten().numpy(), "action": chosen}, counts, out.state


def observation_arrays(observation: Any, space: spaces.Space[Any], about: dict[str, Any]) -> Arrays:
    """A batch of observations as the inputs of a graph."""
    found = {}
    for name, (key, _) in observation_inputs(space).items():
        found[name] = np.asarray(observation[key] if key else observation).astype(
            about["inputs"][name]["dtype"]
        )
    return found


def _batch(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([one[key] for one in observations]) for key in observations[0]}
    return np.stack([np.asarray(one) for one in observations])


def _random_masks(space: spaces.Space[Any], envs: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Masks that forbid half of all choices, but never all of a part."""
    rows = []
    for _ in range(envs):
        own = [rng.random(size) < 0.5 for size in parts(space)]
        for part in own:
            part[rng.integers(len(part))] = True
        rows.append(np.concatenate(own))
    return np.stack(rows)
