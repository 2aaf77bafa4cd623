"""The notebooks run from top to bottom, and the tutorial's environment is trained on as its page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from expirespan.experiments.cli import main

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))
import notebooks  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks.NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path) -> None:
    """No cell raises; each page shows what its cells print, draw and embed."""
    done = notebooks.run(path)
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    files = notebooks.pages_of(path.stem, done)
    page = files.pop(f"tutorial/{path.stem}.md")
    assert isinstance(page, str) and page.startswith("# ") and page.count("```python") == len(code)
    assert all(name.removeprefix("tutorial/") in page and len(data) > 1000 for name, data in files.items())
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    expected = {
        "see-what-is-kept": r"The agent keeps 9 of 61 observations: the red ball.*a shift of [1-9]\d*\.",
        "a-rule-in-30-lines": r"acting and learning: \d\.\de-1\d.*right answers: (0\.9|1\.0)",
        "compare-memories": r"Expire-Span +(0\.[89]|1\.0).*window of 4 +0\.[345].*GRU +(0\.[89]|1\.0)",
    }
    assert re.search(expected[path.stem], printed, re.S), printed


def test_the_tutorial_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment, saved as recall.py, is found, trained on and scored by its cues and successes."""
    page = (ROOT / "docs" / "tutorial" / "own-environment.md").read_text(encoding="utf-8")
    module = re.search(r"Save it as `(\w+)\.py`:\n\n```python\n(.*?)```", page, re.S)
    command = re.search(r"^expirespan (train own .*--total-timesteps) \d+$", page, re.M)
    assert module is not None and command is not None
    (tmp_path / f"{module[1]}.py").write_text(module[2], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    small = "--num-envs 4 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 256 --memory.width 16"
    small += " --evaluation.episodes 4 --evaluation.num-envs 2 --wandb off --no-tensorboard --no-progress"
    assert main([*command[1].split(), "256", *small.split()]) == 0
    run = next((tmp_path / "runs" / "own").iterdir())
    header = (run / "progress.csv").read_text().splitlines()[0].split(",")
    assert {"eval/success_rate", "eval/retention_newest"} <= set(header)
