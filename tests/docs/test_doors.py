"""The count of doors taken: an oracle's doors, sums by hand, and the returns that mistakes leave."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from expirespan.experiments.episodes.playing import OraclePlayer
from expirespan.experiments.settings import Config, PortalSettings

FILE = Path(__file__).parents[2] / "docs/results/rooms/doors.py"
WORLD = PortalSettings(rooms=10, room_size=3, max_steps=300, pays="first", frame_stack=2, show_direction=True)


@pytest.fixture(scope="module")
def doors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("doors", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["doors"] = module
    spec.loader.exec_module(module)
    return module


def test_an_oracle_takes_no_known_door_wrongly(doors: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(config=Config(eval_env=WORLD), find_checkpoint=lambda which: Path(which))
    agent = SimpleNamespace(policy=SimpleNamespace(set_training_mode=lambda mode: None), num_timesteps=7)
    monkeypatch.setattr(doors, "Run", SimpleNamespace(open=lambda folder: run))
    monkeypatch.setattr(doors, "load_agent", lambda config, file, device: agent)
    monkeypatch.setattr(doors, "PolicyPlayer", lambda agent, num_envs: OraclePlayer(WORLD, num_envs))
    found = doors.doors(Path("run"), 100)
    assert found["mean_return"] == pytest.approx(4.5) and found["ended_by_a_mistake"] == 0
    assert found["unknown"]["doors"] == 100 * 9 and found["unknown"]["steps"] == 3
    assert found["unknown"]["wrong"] == pytest.approx(0.5, abs=0.06)
    assert (found["known"]["wrong"], found["known"]["steps"]) == (0, 3)
    assert sum(part["doors"] for part in found["by_age"].values()) == found["known"]["doors"]
    assert sum(part["doors"] for part in found["by_room"].values()) == found["known"]["doors"]
    assert found["by_age"]["25 to 50"]["doors"] > 0
    assert found["by_age"]["50 to 100"] == {"doors": 0}, "a room comes again after at most nine doors"


def test_sums_by_hand(doors: ModuleType) -> None:
    found = doors.summary(np.array([(1, 3, 0, 1), (1, 3, 3, 0), (1, 5, 26, 1), (12, 3, 25, 0)]))
    assert found["unknown"] == {"doors": 1, "wrong": 1.0, "steps": 3.0}
    assert found["known"] == {"doors": 3, "wrong": pytest.approx(1 / 3), "steps": pytest.approx(11 / 3)}
    assert found["by_age"]["0 to 25"] == {"doors": 2, "wrong": 0.0, "steps": 3.0}
    assert found["by_age"]["25 to 50"] == {"doors": 1, "wrong": 1.0, "steps": 5.0}
    assert found["by_room"]["0 to 10"]["doors"] == 2 and found["by_room"]["10 to 20"]["doors"] == 1


def test_who_makes_no_mistake_gets_what_the_oracle_does(doors: ModuleType) -> None:
    assert doors.ceiling(0.0, 3, 500) == pytest.approx(60.2, abs=1.2)  # the oracle's of docs/results.md
    returns = [doors.ceiling(chance, 5, 500) for chance in (0.0, 0.003, 0.01)]
    assert returns == sorted(returns, reverse=True) and returns[0] < 47
