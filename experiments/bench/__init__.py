"""``expirespan bench NAME``: measurements of speed and size, each a module of this folder.

A bench has options (`options.py`), and is a module with a function ``run`` from options to rows and a function
``table`` from rows to text for people. Rows, options and where they come from go to ``output`` as JSON;
a bench that has ``draw`` puts a picture beside it.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expirespan.experiments.bench.options import OPTIONS
from expirespan.experiments.run_folder.files import check_output
from expirespan.experiments.settings.errors import unknown
from expirespan.experiments.settings.options import parse

BENCHES: dict[str, str] = {
    "agents": "training speed and rollout bytes of our memories, PPO, RecurrentPPO and others, beside the ideal",
    "attention": "checks attention in Triton (on a GPU) or C against PyTorch, and times both",
    "deployment": "time of one step of an exported policy, as a file for PyTorch and as ONNX",
    "envs": "steps per second of every environment, beside one of MiniGrid's own",
    "growth": "memory of a process that trains for long, keeping everything and forgetting",
    "learning": "what recipes reach within their steps, beside RecurrentPPO with its published settings",
    "tracking": "what W&B and TensorBoard add to the time of training",
    "memories": "time, peak memory and alive states of every memory at the same reach",
    "own": "what the recipe own reaches on environments of others, beside PPO and RecurrentPPO",
    "workers": "training speed and bytes exchanged over the number of workers, measured and on paper",
    "viewer": "size, first paint and time of a step of the viewer's page in a browser",
}
"""Modules of this folder and what they measure."""


def bench_command(args: Sequence[str]) -> int:
    """``expirespan bench``."""
    if not args or args[0] in ("-h", "--help"):
        rows = [f"  {name:<12}{summary}" for name, summary in BENCHES.items()]
        print("\n".join(["usage: expirespan bench NAME [--option VALUE ...]", "", *rows]))
        return 0 if args else 2
    name, *rest = args
    if name not in BENCHES:
        raise unknown("bench", name, BENCHES)
    prog = f"expirespan bench {name}"
    options = parse(OPTIONS[name](), rest, prog, f"{BENCHES[name]}; experiments/bench/{name}.py says how.")
    check_output(options.output)
    bench = importlib.import_module(f"{__name__}.{name}")
    rows_found = bench.run(options)
    print(bench.table(rows_found))
    if options.output is not None:
        _write(options, rows_found)
        if hasattr(bench, "draw"):
            print(bench.draw(rows_found, options.output.with_suffix(".png")))
    return 0


def _write(options: Any, rows: Sequence[Any]) -> None:
    from expirespan.experiments.run_folder.files import write_text
    from expirespan.experiments.run_folder.provenance import provenance

    settings = {name: value for name, value in asdict(options).items() if name != "output"}
    found = {"options": settings, "rows": [asdict(row) for row in rows], **provenance()}
    write_text(options.output, json.dumps(found, indent=2, default=_last_part) + "\n")
    print(options.output)


def _last_part(path: Path) -> str:
    return path.name
