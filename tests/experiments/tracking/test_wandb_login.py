"""W&B's login is found wherever W&B keeps it, whatever the host; what it records of the machine can be left out."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from expirespan.experiments.settings.tracking import WandbSettings
from expirespan.experiments.tracking import wandb_login
from expirespan.experiments.tracking.wandb_files import read_rows
from expirespan.experiments.tracking.wandb_login import base_url, logged_in
from expirespan.experiments.tracking.wandb_writer import WandbWriter

VARIABLES = (
    "WANDB_API_KEY",
    "WANDB_IDENTITY_TOKEN_FILE",
    "WANDB_BASE_URL",
    "WANDB_CONFIG_DIR",
    "NETRC",
    "WANDB_DIR",
)
ENTRY = "machine {} login user password {}\n"
KEY = "0" * 40


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any login."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nobody_is_logged_in(home: Path) -> None:
    assert not logged_in() and base_url() == wandb_login.HOST
    (home / ".netrc").write_text(ENTRY.format("example.org", KEY))
    assert not logged_in(), "a key of another host"
    (home / ".netrc").write_text("machine {{{")
    assert not logged_in(), "a file that cannot be read"


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"])
def test_a_key_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, KEY)
    assert logged_in()


@pytest.mark.parametrize("host", ["api.wandb.ai", "wandb.example.org", "localhost:8080"])
@pytest.mark.parametrize("said_by", ["environment", "user", "folder"])
@pytest.mark.parametrize("file", [".netrc", "_netrc", "elsewhere"])
def test_every_host_and_place(
    home: Path, monkeypatch: pytest.MonkeyPatch, host: str, said_by: str, file: str
) -> None:
    url, settings = f"http://{host}", None
    if said_by == "environment":
        monkeypatch.setenv("WANDB_BASE_URL", url)
    else:
        settings = home / {"user": ".config/wandb", "folder": "wandb"}[said_by] / "settings"
        settings.parent.mkdir(parents=True)
        settings.write_text(f"[default]\nbase_url = {url}\n")
    if file == "elsewhere":
        monkeypatch.setenv("NETRC", str(home / file))
    assert not logged_in()
    (home / file).write_text(ENTRY.format(host, KEY))
    (home / file).chmod(0o600)
    assert base_url() == url and logged_in()


def test_wandb_finds_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wbnetrc = pytest.importorskip("wandb.sdk.lib.wbauth.wbnetrc")
    (home / ".netrc").write_text(ENTRY.format("localhost:8080", KEY))
    (home / ".netrc").chmod(0o600)
    for url in ("http://localhost:8080", "http://localhost:9090"):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert logged_in() == (wbnetrc.read_netrc_auth(host=url) is not None)


@pytest.mark.parametrize("machine", [True, False])
def test_what_is_recorded_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: bool
) -> None:
    """Host, command line, git's remote and commit of the working directory, packages: all of it or nothing."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    remote, who = (
        "https://example.org/some-remote.git",
        ("-c", "user.email=a@example.org", "-c", "user.name=a"),
    )
    for line in (
        ("init", "-q"),
        ("remote", "add", "origin", remote),
        (*who, "commit", "-q", "-m", "-", "--allow-empty"),
    ):
        subprocess.run(["git", *line], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    filed = WandbSettings("my-project", "my-team", "my-group", ("one", "two"), machine)
    monkeypatch.setattr(sys, "argv", [sys.argv[0], "--an-option-of-the-script"])
    writer = WandbWriter(tmp_path, "name", {}, "offline", filed=filed)
    writer.write({"a": 1.0}, {}, 1)
    writer.close()
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    until = time.monotonic() + 60
    while not read_rows(file)[1] and time.monotonic() < until:  # W&B's own process may still be writing
        time.sleep(0.1)
    data = file.read_bytes()
    for text in ("my-project", "my-team", "my-group", "one", "two"):
        assert text.encode() in data
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    recorded = data + b"".join(path.read_bytes() for path in folder.glob("files/*") if path.is_file())
    traces = [socket.gethostname(), sys.argv[1], remote, commit, "torch=="]
    assert [text for text in traces if text.encode() in recorded] == (traces if machine else [])


@pytest.mark.slow
def test_no_address_is_looked_up_without_a_login(tmp_path: Path) -> None:
    """The process that writes reports its own errors to nobody."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from expirespan.experiments.tracking.wandb_writer import WandbWriter\n"
        "WandbWriter(Path(sys.argv[1]), 'x', {}, 'offline').close()\n"
        "print(os.environ['WANDB_ERROR_REPORTING'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "false"
