"""A host of a trial's process, without Ray: what it reports, and what it does with processes of others."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config, TargetSettings
from expirespan.experiments.sweep import local
from expirespan.experiments.sweep.grid import Trial
from expirespan.experiments.sweep.hosting import Hosting
from expirespan.experiments.sweep.local import LocalEngine
from expirespan.experiments.sweep.trial_run import job_of

BEGIN = "import sys; from expirespan.experiments.sweep.local import begin; begin(); "
WAITS = f"{BEGIN}import time; time.sleep(60)"


@pytest.fixture
def trial(tiny: Config, tmp_path: Path) -> Trial:
    (tmp_path / "trials").mkdir()
    config = replace(tiny, runs=str(tmp_path), target=TargetSettings(success=0.9))
    return Trial("tiny", (), 0, config, ("train",))


def evaluate(trial: Trial, *scores: float, last: int) -> None:
    run = Run.create(trial.config)
    for i, score in enumerate(scores):
        step = last - 100 * (len(scores) - 1 - i)
        run.add_evaluation({"step": step, "success": score, "mean_return": 0.0, "alive_at_end": None})


def test_evaluations_in_order_and_scores_as_far_as_the_target_goes(trial: Trial, tmp_path: Path) -> None:
    evaluate(trial, 0.2, 0.95, 0.5, last=300)
    hosting = Hosting(trial, tmp_path, over=True)
    assert [hosting.next() for _ in range(4)] == [(100, 0.2), (200, 0.9), (300, 0.5), None]
    assert not job_of(trial, tmp_path).lock.exists(), "nothing was started"


def test_a_run_that_is_complete_is_only_reported(trial: Trial, tmp_path: Path) -> None:
    evaluate(trial, 0.1, last=trial.config.total_timesteps)
    hosting = Hosting(trial, tmp_path, over=False)
    assert [hosting.next(), hosting.next()] == [(trial.config.total_timesteps, 0.1), None]


def test_a_process_that_fails(trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "CODE", f"{BEGIN}sys.exit(3)")
    with pytest.raises(RuntimeError, match="exit code 3"):
        Hosting(trial, tmp_path, over=False).next()


def test_a_process_of_an_earlier_host_is_found_and_then_replaced(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(trial, tmp_path)
    monkeypatch.setattr(local, "CODE", WAITS)
    LocalEngine().submit(job)
    until = time.monotonic() + 60
    while (first := local._holder(job.lock)) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    hosting = Hosting(trial, tmp_path, over=False)
    monkeypatch.setattr(local, "CODE", f"{BEGIN}print('second', flush=True); sys.exit(4)")
    os.kill(first, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="exit code 4"):
        hosting.next()
    assert job.log.read_text() == "second\n"


def test_stopping_waits_for_the_end(trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "CODE", WAITS)
    Hosting(trial, tmp_path, over=False).stop()
    assert not LocalEngine().find(job_of(trial, tmp_path))
