"""A page for each command of ``expirespan``: what its ``--help`` prints."""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stdout
from pathlib import Path

from expirespan.experiments.bench import BENCHES
from expirespan.experiments.cli import COMMANDS, main
from expirespan.experiments.sequence.recipes import RECIPES as SEQUENCES

DOCS = Path(__file__).parents[1]
FOLDER = "reference/commands"
MORE = {
    "train": ["train own"],
    "bench": [f"bench {name}" for name in BENCHES],
    "sequence": [f"sequence {name}" for name in SEQUENCES],
}
"""Further helps on a command's page."""
GUIDES = {
    "demo": "viewer.md",
    "train": "tracking.md",
    "evaluate": "tracking.md",
    "compare": "tracking.md",
    "view": "viewer.md",
    "export": "deployment.md",
    "pretrained": "extending.md",
    "bench": "results.md",
    "reproduce": "results.md",
    "suite": "suites.md",
    "sweep": "sweeps.md",
    "sequence": "sequences.md",
}
"""The page that explains a command's use."""
PAGES = [f"{FOLDER}/index.md", *(f"{FOLDER}/{name}.md" for name in COMMANDS)]


def make() -> dict[str, str]:
    """The pages by their place."""
    rows = [f"| [`{name}`]({name}.md) | {summary} |" for name, (_, summary) in COMMANDS.items()]
    start = "# Which commands are there?\n\n`expirespan COMMAND --help` prints what these pages show.\n\n"
    made = [start + "| command | what it does |\n|---|---|\n" + "\n".join(rows) + "\n"]
    made += [_page(name, summary) for name, (_, summary) in COMMANDS.items()]
    return dict(zip(PAGES, made, strict=True))


def help_of(command: str) -> str:
    """What ``expirespan COMMAND --help`` prints, without the boxes around options."""
    os.environ["COLUMNS"] = "100"
    with redirect_stdout(io.StringIO()) as printed:
        try:
            main([*command.split(), "--help"])
        except SystemExit as end:
            assert end.code in (0, None), command
    return unboxed(re.sub(r"\x1b\[[\d;]*m", "", printed.getvalue()))


def unboxed(text: str) -> str:
    """Boxes become headings with the lines below."""
    lines = []
    for line in text.splitlines():
        if found := re.match(r"╭─+ (.*?) ─+╮$", line):
            lines += [f"{found[1]}:"]
        elif not re.match(r"╰─+╯$", line):
            lines += [re.sub(r"^│ (.*?) *│$", r"  \1", line).rstrip()]
    return "\n".join(lines).strip("\n") + "\n"


def _page(name: str, summary: str) -> str:
    title = (DOCS / GUIDES[name]).read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    parts = [
        f"# expirespan {name}",
        f"{summary[0].upper()}{summary[1:]}. Its use: [{title}](../../{GUIDES[name]}).",
    ]
    for command in [name, *MORE.get(name, [])]:
        parts += [] if command == name else [f"## expirespan {command}"]
        parts += [f"```text\n$ expirespan {command} --help\n{help_of(command)}```"]
    return "\n\n".join(parts) + "\n"
