"""export_onnx: a policy's step as an ONNX file."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import json
import logging
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch as th

from expirespan.agents.checkpoint.files import replacing
from expirespan.agents.core.masks import parts
from expirespan.agents.export.deployed import DeployedPolicy
from expirespan.agents.export.graph import PolicyGraph
from expirespan.agents.export.metadata import BATCH, KEY, describe
from expirespan.agents.export.operators import translations
from expirespan.parameters import Capacity
from expirespan.quoting import said
from expirespan.ranges import check_values

OPSET = 18
"""Version of ONNX's operators (2022): the one that PyTorch's exporter writes without conversion."""
NEEDED = ("onnx", "onnxscript")
ROWS = 2
"""Environments in the batch that is traced; more than 1, which PyTorch would take for a constant."""


def export_onnx(
    source: DeployedPolicy | Any,
    path: str | pathlib.Path,
    capacity: Capacity | None = None,
    action_masks: bool = False,
) -> dict[str, Any]:
    """Write one step of a policy as a graph, and return its description (`metadata.describe`).

    ``source``: a `DeployedPolicy` or an agent. ``capacity``: slots of each layer, by default as many as can never be
    too few. ``action_masks``: whether masks of actions are an input. The file is written atomically.

    Raises:
        ModuleNotFoundError: packages of the extra ``onnx`` are missing.
        ValueError: there is no graph for this policy, or ``capacity`` does not suit it.
    """
    check_values({"capacity": Capacity | None}, {"capacity": capacity})
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ModuleNotFoundError(
            f"writing ONNX files needs {' and '.join(missing)}: pip install 'expirespan[onnx]'"
        )
    deployed = source if isinstance(source, DeployedPolicy) else DeployedPolicy.of(source)
    if action_masks:
        parts(deployed.action_space)
    graph = _on_cpu(PolicyGraph(deployed, capacity, action_masks))
    about = describe(graph, deployed)
    made = _traced(graph, about)
    _strip(made.model)
    made.model.metadata_props[KEY] = json.dumps(about)
    made.model.producer_name, made.model.producer_version = about["package"].split()
    made.model.doc_string = "One step of a policy with memory; metadata_props['expirespan'] explains it."
    with replacing(pathlib.Path(path)) as file:
        file.write(made.model_proto.SerializeToString())
    return about


def _traced(graph: PolicyGraph, about: dict[str, Any]) -> Any:
    """PyTorch's own form of an ONNX file, for batches of any size."""
    try:
        with th.no_grad(), _quiet():
            return th.onnx.export(
                graph,
                kwargs={"inputs": example_inputs(about, ROWS)},
                dynamic_shapes={
                    "inputs": {name: {0: th.export.Dim(BATCH, min=1)} for name in about["inputs"]}
                },
                input_names=list(about["inputs"]),
                output_names=list(about["outputs"]),
                opset_version=OPSET,
                custom_translation_table=translations(),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter has many
        cause = error.__cause__ or error
        raise ValueError(
            f"PyTorch's exporter cannot write {type(graph.policy).__name__} with {about['memory']['kind']} and "
            f"{type(graph.policy.features_extractor).__name__} as ONNX: "
            f"{said(cause, 300)}; export the policy's file instead"
        ) from error


def example_inputs(about: dict[str, Any], rows: int) -> dict[str, th.Tensor]:
    """Inputs of a batch whose episodes begin: zeros, and every action allowed."""
    found = {}
    for name, entry in about["inputs"].items():
        make = th.ones if name in ("episode_start", "action_masks") else th.zeros
        found[name] = make(rows, *entry["shape"][1:], dtype=getattr(th, entry["dtype"]))
    return found


def _strip(model: Any) -> None:
    """Remove what the exporter notes of each operator: lines of source and their paths, two thirds of a small file."""
    graph = model.graph
    outputs = [value for node in graph.all_nodes() for value in node.outputs]
    for part in (graph, *graph.all_nodes(), *graph.inputs, *outputs, *graph.initializers.values()):
        part.metadata_props.clear()


def _on_cpu(graph: PolicyGraph) -> PolicyGraph:
    """The graph, or a copy of it, where the tracer runs."""
    away = any(tensor.device.type != "cpu" for tensor in graph.parameters())
    return (copy.deepcopy(graph).cpu() if away else graph).eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter prints and warns of: its own deprecations, operators of packages that are not there."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
