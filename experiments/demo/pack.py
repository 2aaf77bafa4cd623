"""Make the shipped files from a run: ``python -m expirespan.experiments.demo.pack RUN [CHECKPOINT]``.

The policy of the run's last checkpoint (or of that file) goes to ``agent.zip``, and what made it to ``agent.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from expirespan.experiments.demo.shipped import ABOUT, AGENT
from expirespan.experiments.making.agents import load_agent, memory_policy
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.run import Run

MOST_BYTES = 500_000
"""The package stays small."""


def pack(source: str | Path, folder: Path, checkpoint: str = "last") -> Path:
    """Write the policy of a run's checkpoint, and what made it, into a folder; returns the policy's file."""
    run = Run.open(source)
    config = run.config
    agent = load_agent(config, run.find_checkpoint(checkpoint), device="cpu")
    made = json.loads((run.folder / "about.json").read_text(encoding="utf-8"))
    memory_policy(agent).save(folder / AGENT)
    size = (folder / AGENT).stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{folder / AGENT} has {size:,} bytes: expected at most {MOST_BYTES:,}")
    facts = {
        "command": "expirespan " + made["command"][made["command"].index("train ") :],
        "recipe": config.recipe,
        "seed": config.seed,
        "steps": agent.num_timesteps,
        "commit": made["commit"],
        "versions": made["versions"],
    }
    write_text(folder / ABOUT, json.dumps(facts, indent=2) + "\n")
    return folder / AGENT


def main(args: Sequence[str]) -> None:
    """Command line."""
    if not 1 <= len(args) <= 2:
        raise SystemExit("usage: python -m expirespan.experiments.demo.pack RUN [CHECKPOINT]")
    print(pack(args[0], Path(__file__).parent, *args[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
