"""The notebooks of examples/notebooks as pages: run, with their outputs. In the repository they have none."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
FOLDER = "tutorial"
PAGES = [f"{FOLDER}/{path.stem}.md" for path in NOTEBOOKS]
_EMBEDDED = re.compile(r'srcdoc="([^"]*)"')


def make() -> dict[str, str | bytes]:
    """The pages, with pictures and viewer pages, by their place."""
    made: dict[str, str | bytes] = {}
    with ThreadPoolExecutor(2) as pool:
        for path, notebook in zip(NOTEBOOKS, pool.map(executed, NOTEBOOKS), strict=True):
            made |= pages_of(path.stem, notebook)
    return made


def executed(path: Path) -> Any:
    """The notebook after all cells have run: now, or in an earlier build if neither it nor the code changed since.

    Raises:
        CellExecutionError: a cell raised.
    """
    kept = _kept(path)
    return nbformat.read(kept, as_version=4) if kept.exists() else run(path)


def _kept(path: Path) -> Path:
    """Where a notebook is kept after it has run, by its content and that of the code."""
    code = hashlib.sha256(path.read_bytes())
    for folder in ("memory", "agents", "envs", "experiments", "expirespan"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            code.update(file.read_bytes())
    return ROOT / "build" / "notebooks" / f"{path.stem}-{code.hexdigest()[:16]}.ipynb"


def run(path: Path) -> Any:
    """The notebook after all of its cells have run, in an empty folder; `executed` finds it from then on.

    Raises:
        CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=300,
            startup_timeout=180,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
    kept = _kept(path)
    kept.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return notebook


def pages_of(stem: str, notebook: Any) -> dict[str, str | bytes]:
    """A page of an executed notebook, and the files that it shows."""
    files: dict[str, str | bytes] = {}
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        parts += [_output(output, stem, files) for output in cell.outputs]
    parts.append(
        f"*The notebook: [examples/notebooks/{stem}.ipynb](../source/examples/notebooks/{stem}.ipynb)*"
    )
    files[f"{FOLDER}/{stem}.md"] = "\n\n".join(part for part in parts if part) + "\n"
    return files


def _output(output: Any, stem: str, files: dict[str, str | bytes]) -> str:
    """Markdown of one output; what it shows beside text goes into ``files``."""
    if output.output_type == "stream":
        return _text(output.text) if output.name == "stdout" else ""
    data = output.get("data", {})
    name = f"{stem}-{len(files)}"
    if "image/png" in data:
        files[f"{FOLDER}/{name}.png"] = base64.b64decode(data["image/png"])
        return f"![Output]({name}.png)"
    if "text/html" in data:
        shown = data["text/html"]
        if found := _EMBEDDED.search(shown):
            files[f"{FOLDER}/{name}.html"] = html.unescape(found[1]).encode()
            shown = _EMBEDDED.sub(f'src="{name}.html" loading="lazy"', shown)
        return f'<div markdown="0">\n{shown}\n</div>'
    return _text(data.get("text/plain", ""))


def _text(text: str) -> str:
    lines = [line.rsplit("\r")[-1] for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()]
    short = [part for line in lines for part in textwrap.wrap(line, 88, drop_whitespace=False) or [""]]
    return "```text\n" + "\n".join(short) + "\n```" if text.strip() else ""
