"""`expirespan bench tracking`: the parts, their share, and that what was timed is put back."""

import json

import pytest

from expirespan.experiments.bench import tracking
from expirespan.experiments.cli import main


@pytest.mark.slow
def test_the_file(tmp_path, capsys):
    before = [getattr(owner, name) for _, owner, name in tracking.PARTS]
    output = tmp_path / "bench.json"
    assert (
        main(["bench", "tracking", "--recipe", "corridor-a2c", "--steps", "2048", "--output", str(output)])
        == 0
    )
    assert [getattr(owner, name) for _, owner, name in tracking.PARTS] == before
    off, on = json.loads(output.read_text())["rows"]
    assert (off["tracking"], off["ratio"]) == ("off", 1)
    assert set(on["parts"]) == {"spans", "drawing", "W&B", "TensorBoard"}
    assert "TensorBoard" not in off["parts"]
    assert on["inside"] == pytest.approx(sum(on["parts"].values()) / on["seconds"])
    assert on["parts"]["W&B"] > off["parts"]["W&B"]
    assert "W&B" in capsys.readouterr().out


def test_mistakes(capsys):
    assert main(["bench", "tracking", "--rounds", "0"]) == 2
    assert "rounds=0" in capsys.readouterr().err
