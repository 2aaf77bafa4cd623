"""`expirespan reproduce`: commands as data, run and compared; the tables of README and docs follow their files."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from expirespan.experiments.cli import main
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.reproduce.claims import CLAIMS, Claim, Measure
from expirespan.experiments.reproduce.outcome import Outcome, Scored, shortcomings
from expirespan.experiments.reproduce.runner import Runner
from expirespan.experiments.reproduce.tables import (
    DOCUMENTED,
    PAGES,
    read_outcomes,
    with_tables,
    write_tables,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse, parse_config

ROOT = Path(__file__).parents[3]
GOOD = Scored(1.0, [0.98, 1.0], [6.0, 5.0], [7.0, 5.0])
OUTCOME = Outcome(
    task="tmaze",
    seed=3,
    commands=["expirespan train tmaze --seed 3"],
    provenance={"commit": "0123456789abcdef"},
    target=300,
    steps=400,
    seconds=12.4,
    evaluations=[
        {"step": 100 * i, "score": s, "alive_at_end": [7, 5]} for i, s in enumerate([0.5, 0.9, 1, 1, 0.99])
    ],
    last={"3 corridors": GOOD, "10 corridors": GOOD},
    best={"3 corridors": GOOD, "10 corridors": GOOD},
)
CLAIM = Claim(("tmaze",), (Measure("3 corridors"), Measure("10 corridors")), least=0.98, slack=0.005, alive=8)


@pytest.mark.parametrize("task", CLAIMS)
def test_every_command_can_be_run(task: str) -> None:
    """Recipe and options of each claim are read as the command line reads them."""
    from expirespan.experiments.cli import EvaluateOptions

    claim = CLAIMS[task]
    config = parse_config(find_recipe(claim.train[0]).config, claim.train[1:], "train", "")
    for measure in claim.measures:
        parse(EvaluateOptions(config.eval_env), measure.options, "evaluate", "")
    assert claim.begins is None or claim.begins in CLAIMS
    if claim.least is not None:
        assert config.target.hold > 0, "what is claimed of the time after the target needs some"


def test_an_outcome_that_holds() -> None:
    assert shortcomings(CLAIM, OUTCOME) == []
    assert OUTCOME.solved(0.9) == 100
    assert OUTCOME.after_target() == [1, 0.99]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": None}, "target not reached within 400 steps"),
        ({"target": 100}, "1 of 4 evaluations after the target below 0.98, least 0.900"),
        (
            {"last": OUTCOME.last | {"10 corridors": replace(GOOD, score=0.99)}},
            "0.990 by the last .* 1.000 by the best",
        ),
        (
            {"last": OUTCOME.last | {"10 corridors": replace(GOOD, score=0.41)}},
            "10 corridors: 0.410 by the last",
        ),
        (
            {"last": {"3 corridors": replace(GOOD, at_end=[4.0, 8.2])}},
            "8.2 memories alive at the end, claimed 8",
        ),
    ],
)
def test_each_way_to_fall_short(change: dict[str, object], said: str) -> None:
    found = shortcomings(CLAIM, replace(OUTCOME, **change))  # type: ignore[arg-type]
    assert any(re.search(said, sentence) for sentence in found), found


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert Outcome.load(OUTCOME.save(tmp_path)) == OUTCOME
    (tmp_path / "tmaze-4.json").write_text('{"task": "tmaze"}')
    with pytest.raises(UserError, match=r"tmaze-4.json is no outcome .* remove it"):
        read_outcomes(tmp_path, "tmaze")


def test_tables_are_written_from_outcomes(tmp_path: Path) -> None:
    folder = tmp_path / DOCUMENTED
    folder.mkdir(parents=True)
    for seed in (3, 12):
        replace(OUTCOME, seed=seed).save(folder)
    rival = next(task for task, claim in CLAIMS.items() if claim.rival)
    scores = {measure.name: GOOD for measure in CLAIMS[rival].measures}
    replace(OUTCOME, task=rival, last=scores, best=scores).save(folder)
    page = tmp_path / PAGES[0]
    page.write_text(
        "before\n<!-- outcomes: tmaze -->\nold\n<!-- end -->\n<!-- outcomes: summary -->\n<!-- end -->\nafter\n"
    )
    assert write_tables(tmp_path) == [page]
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("<!-- end -->\nafter\n") and "old" not in text
    assert "| 3 | 0.00 M | 0.990, 2 | 1.000 (0.980 to 1.000); 1.000 | 1.000 (0.980 to 1.000); 1.000 |" in text
    assert text.index("| 3 |") < text.index("| 12 |")
    assert "| `tmaze` | 2 | 2 of 2 | 0.00 M | 3 corridors | 1.000; 1.000 | 5.0 to 7.0 |" in text
    assert rival not in text, "the table of all tasks is of ours"
    assert with_tables(text, folder) == text
    with pytest.raises(UserError, match="run this in a checkout"):
        write_tables(tmp_path / "nowhere")
    with pytest.raises(UserError, match="table 'maze' is no task"):
        with_tables("<!-- outcomes: maze -->\n<!-- end -->", folder)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_tables_of_the_documentation_are_those_of_its_files(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert with_tables(text, ROOT / DOCUMENTED) == text, "run `expirespan reproduce --tables`"


def test_documented_outcomes_fit_their_claims() -> None:
    """Each file is of a task that can be run, and of one commit without changes."""
    for file in (ROOT / DOCUMENTED).glob("*.json"):
        outcome = Outcome.load(file)
        assert outcome.task in CLAIMS and file.stem == f"{outcome.task}-{outcome.seed}"
        assert "+changes" not in outcome.provenance["commit"], file.name
        assert set(outcome.last) == {measure.name for measure in CLAIMS[outcome.task].measures}


@pytest.mark.slow
def test_a_task_is_trained_scored_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """512 steps of the T-maze learn nothing, which the exit code says; a second call runs nothing again."""
    few = tuple(replace(one, options=(*one.options, "--episodes", "4")) for one in CLAIMS["tmaze"].measures)
    monkeypatch.setitem(CLAIMS, "tmaze", replace(CLAIMS["tmaze"], measures=few))
    tiny = (
        "--total-timesteps 512 --num-envs 4 --evaluation.every 256 --evaluation.episodes 4 --memory.width 8"
    )
    args = f"reproduce tmaze --seeds 1 --output {tmp_path}/out --runs {tmp_path}/runs --documented {tmp_path}".split()
    args += ["--", *tiny.split(), "--algorithm.n-steps", "16", "--algorithm.batch-size", "32"]
    assert main(args) == 1
    said = capsys.readouterr().out
    assert "tmaze 1: target not reached within 512 steps" in said
    outcome = Outcome.load(tmp_path / "out" / "tmaze-1.json")
    assert outcome.seed == 1 and outcome.target is None and outcome.steps == 512
    assert outcome.commands[0].startswith(
        "expirespan train tmaze --target.hold 1000000 --total-timesteps 512"
    )
    assert set(outcome.last) == set(outcome.best) == {"3 corridors", "10 corridors"}
    assert [entry["step"] for entry in outcome.evaluations] == [256, 512]
    outcome.save(tmp_path)
    monkeypatch.setattr("subprocess.run", lambda *_: pytest.fail("ran again"))
    assert main(args) == 1
    assert "falls short, the same evaluations" in capsys.readouterr().out
    assert main([*args, "--memory.ramp", "2"]) == 2
    assert "is asked for: remove it, or name another --output" in capsys.readouterr().err


def test_a_seed_that_two_tasks_need_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, ran = Runner(tmp_path, tmp_path), []

    def run(self: Runner, task: str, seed: int) -> Outcome:
        ran.append((task, seed))
        time.sleep(0.1)
        made = replace(OUTCOME, task=task, seed=seed, commands=[f"expirespan train {task} --seed {seed}"])
        made.save(self.output)
        return made

    monkeypatch.setattr(Runner, "_run", run)
    monkeypatch.setitem(CLAIMS, "tmaze", replace(CLAIMS["tmaze"], train=("tmaze",)))
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: runner.outcome("tmaze", 3), range(4)))
    assert ran == [("tmaze", 3)] and len({outcome.seed for outcome in outcomes}) == 1


def test_seeds_go_on_when_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What failed is told at the end, beside what the others reached."""

    def run(self: Runner, task: str, seed: int) -> Outcome:
        if seed in (0, 2):
            raise UserError(f"seed {seed} broke")
        made = replace(OUTCOME, task=task, seed=seed)
        made.save(self.output)
        return made

    monkeypatch.setattr(Runner, "_run", run)
    args = ["--seeds", "0", "1", "2", "3", "--output", str(tmp_path), "--runs", str(tmp_path)]
    assert main(["reproduce", "tmaze", *args]) == 2
    said = capsys.readouterr()
    assert "tmaze 0: seed 0 broke; tmaze 2: seed 2 broke" in said.err
    assert said.out.count("tmaze") > 1 and len(list(tmp_path.glob("tmaze-[13].json"))) == 2
    assert main(["reproduce", "tmaze", "--seeds", "0", *args[5:]]) == 2, "also if none is left to compare"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["tmaz"], "unknown task 'tmaz': did you mean 'tmaze'"),
        (["--seeds", "1"], "is no task: tasks come first"),
        (["tmaze", "--jobs", "0"], "jobs=0"),
        (["tmaze", "--", "--no-such", "3"], "^expirespan: error: unknown option '--no-such'"),
        (["tmaze", "--", "--seed", "3"], "--seed after --: reproduce sets it itself; --seeds"),
        (["tmaze", "--", "--recipe", "mine"], "--recipe after --: reproduce sets it itself"),
        (["tmaze", "--", "--help"], "--help after --"),
    ],
)
def test_wrong_input_is_explained(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--output", str(tmp_path), "--runs", str(tmp_path)] if args[0] in CLAIMS else []
    assert main(["reproduce", args[0], *folders, *args[1:]]) == 2
    message = capsys.readouterr().err
    assert re.search(said, message), message
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_training_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    """Such as one for which the disk is full: what cannot be seen before it starts."""
    from expirespan.experiments.reproduce.runner import Runner

    (tmp_path / "runs" / "tmaze-0").mkdir(parents=True)
    (tmp_path / "runs" / "tmaze-0" / "tmaze").write_text("a file where the runs go")
    with pytest.raises(UserError, match=r"`expirespan train tmaze .*` failed with exit code \d+: .*log.txt"):
        Runner(tmp_path, tmp_path / "runs").outcome("tmaze", 0)
    assert not list(tmp_path.glob("*.json"))
