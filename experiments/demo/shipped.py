"""The agent that ships with the package: reading its files."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from typing import Any

from expirespan.experiments.making.agents import Agent, load_policy

AGENT, ABOUT = "agent.zip", "agent.json"


def about() -> dict[str, Any]:
    """How it was made: ``command``, ``commit``, ``seed``, ``recipe``, ``steps`` of training and more."""
    found: dict[str, Any] = json.loads((files(__package__) / ABOUT).read_text(encoding="utf-8"))
    return found


def load() -> Agent:
    """The agent; it can act and be evaluated, and does not learn."""
    with as_file(files(__package__) / AGENT) as path:
        return load_policy(path, about()["steps"])
