"""``expirespan export``: write the policy of a checkpoint, for PyTorch or for ONNX, and say where it came from."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse
from expirespan.experiments.terminal.text import facts
from expirespan.parameters import Capacity

if TYPE_CHECKING:
    from expirespan.agents import DeployedPolicy
    from expirespan.experiments.run_folder.run import Run

HELP = """Write a trained policy as one file to act with: without agent, optimizer and environments. The format policy
is for PyTorch (DeployedPolicy.load of expirespan.agents). The format onnx is the graph of one step, with the memory as
inputs and outputs, for onnxruntime and others; it needs the extra onnx. docs/deployment.md shows both in use."""
USAGE, ENVS = 2, 3
TOLERANCE = 1e-4
"""Largest difference between a graph and its policy, relative where numbers are above 1."""


@dataclass(frozen=True)
class ExportOptions:
    """What to write, and where."""

    checkpoint: str = "best"
    """best, last, or the path of a checkpoint file."""
    output: Path | None = None
    """File to write; by default policy.zip or policy.onnx in the run's folder."""
    format: Literal["policy", "onnx"] = "policy"
    """policy: settings and weights, for PyTorch; onnx: the graph of one step."""
    capacity: Capacity | None = None
    """For onnx: memories that each layer can keep at a time. By default as many as can never be too few; the fewer,
    the faster a step. The graph's output overflow says when it is too small."""
    action_masks: bool = False
    """For onnx: whether the graph takes masks of actions as an input."""


def export_command(args: Sequence[str]) -> int:
    """``expirespan export``."""
    prog = "expirespan export RUN"
    if not args or args[0] in ("-h", "--help"):
        parse(ExportOptions(), ["--help"], prog, HELP)
        return 0 if args else USAGE
    if args[0].startswith("-"):
        raise UserError(f"{args[0]!r} is no run: the run's folder comes first, then options")
    options = parse(ExportOptions(), args[1:], prog, HELP)
    onnx = options.format == "onnx"
    if not onnx and (options.capacity is not None or options.action_masks):
        raise UserError(
            "capacity and action-masks are settings of a graph: add --format onnx, or leave them out"
        )
    if onnx and (
        missing := [m for m in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(m)]
    ):
        raise UserError(f"--format onnx needs {', '.join(missing)}: pip install 'expirespan[onnx]'")

    from expirespan.agents import DeployedPolicy
    from expirespan.experiments.making.agents import load_agent
    from expirespan.experiments.making.checked import checked
    from expirespan.experiments.run_folder.run import Run

    run = Run.open(args[0])
    config, checkpoint = run.config, run.find_checkpoint(options.checkpoint)
    output = options.output or run.folder / ("policy.onnx" if onnx else "policy.zip")
    if output.is_dir():
        raise UserError(f"output={str(output)!r} is a folder: expected the name of a file to write")
    agent = load_agent(config, checkpoint, device="cpu")
    with checked("export"):
        deployed = DeployedPolicy.of(agent, origin(run, checkpoint, config, agent.num_timesteps))
        output.parent.mkdir(parents=True, exist_ok=True)
        rows = _onnx(deployed, output, options) if onnx else _policy(deployed, output)
    size = f"{output} ({output.stat().st_size:,} bytes; the checkpoint has {checkpoint.stat().st_size:,})"
    print(facts([(options.format, size), ("of", f"{checkpoint}, {agent.num_timesteps:,} steps"), *rows]))
    return 0


def _policy(deployed: DeployedPolicy, output: Path) -> list[tuple[str, str]]:
    deployed.save(output)
    return [("use", f'expirespan.agents.DeployedPolicy.load("{output}")')]


def _onnx(deployed: DeployedPolicy, output: Path, options: ExportOptions) -> list[tuple[str, str]]:
    """Write the graph, compare it with the policy, and only then give it its name."""
    from expirespan.agents import export_onnx
    from expirespan.agents.export.check import compare, onnx_player
    from expirespan.experiments.run_folder.files import atomically

    with atomically(output) as temporary:
        about = export_onnx(deployed, temporary, options.capacity, options.action_masks)
        found = compare(onnx_player(temporary, ENVS), deployed)
        if found.difference > TOLERANCE:
            raise UserError(
                f"the graph answers otherwise than the policy (largest difference {found.difference:.1e} in "
                f"{found.steps} steps): nothing was written; install the versions of constraints.txt, and report it"
            )
    compared = found.steps * found.envs - found.overflowed
    said = f"{compared} steps in onnxruntime, {found.actions} actions differ, largest difference {found.difference:.1e}"
    rows = [("checked", said)]
    if (capacity := about["memory"].get("capacity")) is not None:
        rows.append(("capacity", f"{capacity} memories in each layer"))
    return [*rows, ("use", "docs/deployment.md has ten lines of Python without PyTorch")]


def origin(run: Run, checkpoint: Path, config: Any, steps: int) -> dict[str, Any]:
    """Where a policy comes from, as plain data: the run, its settings' names, and what made it and this file."""
    from expirespan.experiments.run_folder.provenance import provenance

    trained = json.loads((run.folder / "about.json").read_text(encoding="utf-8"))
    kept = ("command", "time", "commit", "versions")
    return {
        "recipe": config.recipe,
        "environment": config.env.gym_id,
        "seed": config.seed,
        "steps": steps,
        "checkpoint": checkpoint.name,
        "trained": {name: trained.get(name) for name in kept},
        "exported": {name: value for name, value in provenance().items() if name in kept},
    }
