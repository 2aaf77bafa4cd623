"""The demo: what ships, how it was made, and what a newcomer sees."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from expirespan.experiments.cli import main
from expirespan.experiments.demo import pack
from expirespan.experiments.demo.shipped import ABOUT, AGENT, about, load
from expirespan.experiments.evaluation.evaluate import evaluate
from expirespan.experiments.making.agents import load_policy
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.settings import Config, CorridorSettings
from expirespan.experiments.settings.config_file import read_config
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse_config
from expirespan.experiments.training.train import train

FOLDER = Path(pack.__file__).parent


def test_what_a_newcomer_sees(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    begun = time.perf_counter()
    assert main(["demo", "--output", str(tmp_path / "new" / "demo")]) == 0
    assert time.perf_counter() - begun < 20
    shown = capsys.readouterr().out
    kept = re.search(
        r"The agent keeps (\d+) of 201 observations: the red ball at step 0 for 200 steps", shown
    )
    assert kept and 9 <= int(kept[1]) <= 20
    assert "success" in shown
    assert max(map(len, shown.splitlines()[-3:])) <= 80 + len(str(tmp_path))
    assert Image.open(tmp_path / "new" / "demo" / "retention.png").width > 800
    page = (tmp_path / "new" / "demo" / "viewer.html").read_text(encoding="utf-8")
    assert "expirespan demo" in page
    assert all(str(tmp_path / "new" / "demo" / name) in shown for name in ("retention.png", "viewer.html"))


def test_the_shipped_agent_is_as_good_as_it_seems() -> None:
    """Over corridors of 3 to 200 cells, not one chosen episode."""
    score = evaluate(load(), CorridorSettings(), 100, 50, seed=5_000_000).agent
    assert score.success is not None and score.success >= 0.98
    assert score.alive_at_end is not None and max(score.alive_at_end) <= 20


def test_the_shipped_file_is_small_and_says_what_made_it() -> None:
    assert (FOLDER / AGENT).stat().st_size <= pack.MOST_BYTES
    made = about()
    assert re.fullmatch("[0-9a-f]{40}", made["commit"])
    words = shlex.split(made["command"])
    assert words[:2] == ["expirespan", "train"]
    config = parse_config(find_recipe(words[2]).config, words[3:], "train", "")
    assert (config.recipe, config.seed) == (made["recipe"], made["seed"])
    assert made["steps"] > 0


def test_packing_a_run(tiny: Config, tmp_path: Path) -> None:
    """What is packed acts as the run's last checkpoint does."""
    run = train(tiny).run
    about_file = run.folder / "about.json"
    facts = json.loads(about_file.read_text())
    about_file.write_text(json.dumps(facts | {"command": "expirespan train corridor --seed 0"}))
    file = pack.pack(run.folder, tmp_path)
    made = json.loads((tmp_path / ABOUT).read_text())
    assert made["command"] == "expirespan train corridor --seed 0"
    assert (made["steps"], made["seed"]) == (1024, read_config(run.folder / "config.yaml").seed)
    ours = evaluate(load_policy(file, 1024), CorridorSettings(3, 4), 20, 10, seed=7)
    from expirespan.experiments.making.agents import load_agent

    theirs = evaluate(load_agent(tiny, run.newest_checkpoint()), CorridorSettings(3, 4), 20, 10, seed=7)
    assert replace(ours.agent, steps_per_second=0) == replace(theirs.agent, steps_per_second=0)
    assert ours.trained_steps == 1024


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--length 2", ["length=2", ">= 3"]),
        ("--length long", ["'long'"]),
        ("--lenth 5", ["--lenth", "did you mean --length"]),
        ("--output file", ["file", "--output FOLDER"]),
    ],
)
def test_mistakes(
    options: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["demo", *options.split()]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and all(word in message for word in words)


def test_a_file_that_is_no_policy(tmp_path: Path) -> None:
    (tmp_path / "agent.zip").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"cannot load the policy .*agent\.zip"):
        load_policy(tmp_path / "agent.zip")
    with pytest.raises(UserError, match=r"cannot load the policy .*none\.zip"):
        load_policy(tmp_path / "none.zip")
