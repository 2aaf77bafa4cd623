"""Constraints by which pip installs the lowest version of every dependency that pyproject.toml allows.

PyTorch is the exception: each version has many builds, few of which a machine can install. So it comes from
constraints.txt, and its lower bound is stated, not tried.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def lowest() -> list[str]:
    """A line for each dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    bounds = dict(re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(project["dependencies"]), re.MULTILINE))
    assert len(bounds) == len(project["dependencies"]), "each dependency needs a lower bound"
    return [f"{name}=={tested[name] if name == 'torch' else bound}" for name, bound in bounds.items()]


if __name__ == "__main__":
    print("\n".join(lowest()))
