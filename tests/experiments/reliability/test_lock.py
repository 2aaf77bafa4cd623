"""One process at a time trains in a run's folder; whoever reads is never kept waiting."""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from expirespan.experiments.cli import main
from expirespan.experiments.run_folder.lock import LOCK, locked
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.training.train import train
from tests.experiments.reliability.facts import differences, facts
from tests.experiments.reliability.jobs import JOBS, agent_config, quiet

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


@contextmanager
def other_process(work: Callable[[], None]) -> Iterator[int]:
    """A process that does some work within the lock, and then waits to be killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def hold(folder: Path) -> Callable[[], None]:
    def work() -> None:
        with locked(folder):
            time.sleep(600)

    return work


def wait_for(folder: Path) -> None:
    while not (folder / LOCK).exists() or not (folder / LOCK).read_bytes():
        time.sleep(0.01)


def test_the_holder_is_named_and_the_lock_goes_with_it(tmp_path: Path) -> None:
    with other_process(hold(tmp_path)) as child:
        wait_for(tmp_path)
        with pytest.raises(UserError) as caught, locked(tmp_path):
            pass
        said = str(caught.value)
        assert f"process {child} on {platform.node()} since 20" in said and str(tmp_path) in said
        assert "\n" not in said
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_bytes())["pid"] == os.getpid()
    assert (tmp_path / LOCK).read_bytes() == b""


def test_children_do_not_keep_it(tmp_path: Path) -> None:
    """As worker processes of environments would, that hang while their parent is killed."""
    orphan = tmp_path / "orphan"

    def work() -> None:
        with locked(tmp_path):
            grandchild = os.fork()
            if grandchild == 0:
                orphan.write_text(str(os.getpid()))
                time.sleep(600)
            time.sleep(600)

    with other_process(work):
        while not orphan.exists() or not orphan.read_text():
            time.sleep(0.01)
    try:
        with locked(tmp_path):
            pass
    finally:
        os.kill(int(orphan.read_text()), signal.SIGKILL)


def test_threads_exclude_each_other_and_errors_release(tmp_path: Path) -> None:
    found: list[str] = []

    def other() -> None:
        try:
            with locked(tmp_path):
                found.append("had it")
        except UserError as error:
            found.append(str(error))

    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        raise ZeroDivisionError
    assert f"process {os.getpid()}" in found[0]
    other()
    assert found[1] == "had it"


@pytest.mark.parametrize("command", JOBS)
def test_a_run_that_trains_cannot_be_resumed_but_read(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with quiet():
        JOBS[command].start(tmp_path / "runs")
    (folder,) = (tmp_path / "runs").glob("*/*")
    before = facts(tmp_path / "runs")
    with other_process(hold(folder)) as child:
        wait_for(folder)
        more = "--total-timesteps" if command == "train" else "--updates"
        assert main([command, "--resume", str(folder), more, "64"]) == 2
        assert f"process {child} on" in capsys.readouterr().err
        assert differences(before, facts(tmp_path / "runs")) == []
        if command == "train":
            assert main(["view", str(folder)]) == 0
            assert main(["compare", str(folder), "--output", str(tmp_path / "comparison")]) == 0
            assert main(["evaluate", str(folder), "--episodes", "2"]) == 0
        else:
            assert main(["sequence", "--evaluate", str(folder)]) == 0


def test_a_run_holds_its_lock_while_it_trains(tmp_path: Path) -> None:
    """Resumed from another process while it trains, which must be refused at once."""
    config = agent_config(tmp_path)

    def work() -> None:
        with quiet():
            train(config.__class__(**{**vars(config), "total_timesteps": 10**9}))

    with other_process(work):
        while not list(tmp_path.glob("*/*/checkpoints/step-*.zip")):
            time.sleep(0.05)
        (folder,) = tmp_path.glob("*/*")
        with quiet(), pytest.raises(UserError, match="is being written by process"):
            train(config, Run.open(folder))
    with quiet():
        assert not train(config, Run.open(folder)).interrupted
