"""Commands for agents say what a run on a sequence task is, and what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from expirespan.experiments.cli import main
from expirespan.experiments.sequence.config import SequenceConfig
from expirespan.experiments.settings.config_file import to_yaml


@pytest.mark.parametrize("command", ["evaluate", "compare", "view", "train --resume"])
def test_a_sequence_run_is_recognised(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "copy" / "20261126-120000-0"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(to_yaml(SequenceConfig()))
    assert main([*command.split(), str(run)]) == 2
    said = capsys.readouterr().err
    assert "is a run of `expirespan sequence`" in said and f"expirespan sequence --evaluate {run}" in said
    assert main(["view", str(tmp_path / "runs" / "copy")]) == 2
