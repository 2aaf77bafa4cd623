"""Whatever a recipe or a folder is called: files stay inside, commands can be pasted, W&B stays on."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wandb import Settings

from expirespan.experiments.run_folder.names import LONGEST, quoted
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.config_file import from_yaml, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.wandb_files import read_rows, run_files
from expirespan.experiments.tracking.wandb_writer import WandbWriter, run_id
from expirespan.experiments.training.header import next_words
from tests.experiments.reliability.jobs import agent_config

PARTS = (
    "..",
    ".",
    "/",
    "\\",
    "~",
    "a",
    " ",
    "-",
    "--help",
    "$(touch x)",
    "`id`",
    ";",
    "&",
    "|",
    "'",
    '"',
    "\0",
    "\n",
    "*",
)
names = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=6).map("".join),
    st.text(max_size=40),
    st.text("a/.\0 ", max_size=300),
)
some_names = pytest.mark.parametrize(
    "name", ["a b", "it's", "$(id)", "-rf", "a:b;c#d?e%f", "Größe 漢字", "x" * LONGEST]
)


@settings(deadline=None)
@given(names)
@example("../../etc")
@example("/etc/passwd")
@example("a" * 400)
@example("\ud800")
def test_a_run_stays_in_its_folder_or_is_refused_in_one_sentence(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        runs = Path(place, "inner", "runs")
        try:
            run = Run.create(replace(agent_config(runs), recipe=name))
        except UserError as error:
            assert "\n" not in str(error) and "recipe=" in str(error)
            assert not list(Path(place).iterdir())
            return
        assert run.folder.parent.parent == runs and run.folder.resolve().is_relative_to(runs.resolve())
        assert [path.name for path in Path(place).iterdir()] == ["inner"]
        assert Run.open(run.folder).config.recipe == name == from_yaml(to_yaml(run.config)).recipe
        for _, command in next_words(run):
            words = shlex.split(command)
            assert words[0] == "expirespan" and Path(words[2]) == run.folder
        Settings(run_id=run_id(run.name))  # raises what W&B would


@settings(deadline=None)
@given(names)
def test_folders_of_runs_of_any_name(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        try:
            run = Run.create(agent_config(Path(f"{place}/{name}")))
        except UserError as error:
            assert "\n" not in str(error) or "\n" in name
            return
        assert Run.open(run.folder).folder == run.folder
        assert shlex.split(f"expirespan view {quoted(run.folder)}")[2] == str(run.folder)


@settings(deadline=None)
@given(st.text(), st.text())
def test_ids_are_such_as_wandb_takes_and_differ(one: str, other: str) -> None:
    for name in (one, other):
        assert name == "" or Settings(run_id=run_id(name))
    assert (run_id(one) == run_id(other)) == (one == other)


def test_a_word_of_a_command_is_no_option() -> None:
    assert quoted("-x y") == "'./-x y'" and quoted("runs/a") == "runs/a"
    assert quoted(Path("it's")) == "'it'\"'\"'s'"


@some_names
def test_wandb_stays_on(name: str, tmp_path: Path) -> None:
    run = Run.create(replace(agent_config(tmp_path / "runs"), recipe=name))
    writer = WandbWriter(run.folder, run.name, {}, "offline")
    assert writer.run is not None
    writer.write({"a": 1.0}, {}, 3)
    writer.close()
    (file,) = run_files(run.folder)
    assert [json.loads(row["a"]) for row in read_rows(file)[0] if "a" in row] in ([1.0], [])


@some_names
def test_a_shell_reads_what_is_printed(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{quoted(sys.executable)} -c 'import sys; print(ascii(sys.argv[1]))' {quoted(name)}"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.strip() == ascii(name if name[0] != "-" else f"./{name}")
    assert not list(tmp_path.iterdir())
