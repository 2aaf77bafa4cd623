"""Help texts import nothing slow."""

from __future__ import annotations

import subprocess
import sys

from expirespan.experiments.bench import BENCHES
from expirespan.experiments.cli import COMMANDS
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.sequence.recipes import RECIPES as SEQUENCES

SCRIPT = """
import sys
from contextlib import redirect_stdout
from io import StringIO
from expirespan.experiments.cli import main
for command in sys.argv[1:]:
    try:
        with redirect_stdout(StringIO()) as text:
            code = main([*command.split(), "--help"])
    except SystemExit as end:
        code = end.code
    slow = [m for m in ("torch", "matplotlib", "bokeh", "wandb", "stable_baselines3", "gymnasium") if m in sys.modules]
    print(command, "|", code or 0, "|", len(text.getvalue()) > 100, "|", *slow)
"""


def test_no_help_imports_what_is_slow() -> None:
    commands = [
        "",
        *COMMANDS,
        *(f"train {name}" for name in RECIPES),
        *(f"bench {name}" for name in BENCHES),
        *(f"sequence {name}" for name in SEQUENCES),
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *commands], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{command} | 0 | True |" for command in commands]
