"""The loop: what is carried from block to block, exact resumption, learning, and what is reported of mistakes."""

from __future__ import annotations

import json
import math
import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from expirespan.experiments.cli import main
from expirespan.experiments.sequence import SequenceConfig, checkpoint, train_sequence
from expirespan.experiments.sequence.build import make_stream
from expirespan.experiments.sequence.config import CharLMTask, CollisionTask, CopyTask
from expirespan.experiments.sequence.copying import Copy
from expirespan.experiments.sequence.evaluate import evaluate
from expirespan.experiments.sequence.train import evaluate_run
from expirespan.experiments.sequence.trainer import Trainer, answers, learning_rate
from expirespan.experiments.settings import (
    AdaptiveSpanSettings,
    CompressiveSettings,
    ExpireSpanSettings,
    FixedWindowSettings,
    LSTMSettings,
    Memory,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import read_csv
from expirespan.memory import TransformerMemory

SMALL = {"width": 16, "layers": 1, "heads": 2, "positions": 4}
MEMORIES: list[Memory] = [
    ExpireSpanSettings(**SMALL, max_span=20, ramp=4, random_span=True),  # type: ignore[arg-type]
    FixedWindowSettings(**SMALL, window=12),  # type: ignore[arg-type]
    AdaptiveSpanSettings(**SMALL, max_span=20, ramp=4),  # type: ignore[arg-type]
    CompressiveSettings(**SMALL, window=6, slots=3, factor=3),  # type: ignore[arg-type]
    LSTMSettings(width=16),
]


@pytest.fixture
def tiny(tmp_path: Path) -> SequenceConfig:
    return SequenceConfig(
        task=CopyTask(delay=6, shortest=2, payload=1, symbols=3),
        memory=MEMORIES[0],
        rows=4,
        block=8,
        updates=6,
        warmup=2,
        span_penalty=1e-4,
        evaluate_every=3,
        evaluation_steps=40,
        evaluation_rows=4,
        save_every=3,
        device="cpu",
        runs=str(tmp_path / "runs"),
        wandb="off",
        tensorboard=False,
        progress=False,
    )


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [value.clone() for value in trainer.model.state_dict().values()]


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: memory.name)
def test_a_resumed_run_is_the_run(tiny: SequenceConfig, memory: Memory, tmp_path: Path) -> None:
    """Six updates, and six with a checkpoint after the third: equal weights, bit by bit."""
    config = replace(tiny, memory=memory, accumulate=2)
    whole = Trainer(config)
    for number in range(6):
        if number == 3:
            whole.save(tmp_path / "half.zip")
        whole.update()
    resumed = Trainer(config)
    assert not all(map(torch.equal, weights(resumed), weights(whole)))
    resumed.load(tmp_path / "half.zip")
    for _ in range(3):
        resumed.update()
    assert all(map(torch.equal, weights(resumed), weights(whole)))
    assert resumed.num_timesteps == whole.num_timesteps == 6 * 2 * 4 * 8


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: memory.name)
def test_scores_do_not_depend_on_how_a_stream_is_cut(tiny: SequenceConfig, memory: Memory) -> None:
    """The state is carried across blocks and forgotten where an episode begins."""
    scores = []
    for block in (1, 7, 40):
        trainer = Trainer(replace(tiny, memory=memory, block=block))
        trainer.model.double()
        scores.append(evaluate(trainer, make_stream(trainer.config, "valid"), 40))
    assert (
        scores[0].bits == pytest.approx(scores[1].bits, abs=1e-9) == pytest.approx(scores[2].bits, abs=1e-9)
    )
    for score in scores[1:]:
        assert score.alive == pytest.approx(scores[0].alive)
    assert scores[0].questions == scores[2].questions > 0


def test_learning_rates() -> None:
    """Ten updates of warm-up to 1, then half a cosine to 0 over the other hundred."""
    config = SequenceConfig(learning_rate=1.0, warmup=10, updates=110)
    found = [learning_rate(config, update) for update in (0, 4, 9, 10, 35, 60, 110, 500)]
    assert found == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.5 + math.sqrt(0.125), 0.5, 0.0, 0.0])


def test_answers_count_what_is_asked() -> None:
    """Two of three steps ask: one right at probability 3/4, one wrong at 1/4."""
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, math.log(3)], [0.0, 9.0]]])
    nats, right, asked = answers(logits, torch.tensor([[1, 0, -100]]))
    assert nats.item() == pytest.approx(-math.log(3 / 4) - math.log(1 / 4))
    assert (right.item(), asked.item()) == (1, 2)


def test_bfloat16(tiny: SequenceConfig) -> None:
    """Long spans are still counted in 32 bits."""
    memory = ExpireSpanSettings(**SMALL, max_span=3000, ramp=4)  # type: ignore[arg-type]
    trainer = Trainer(replace(tiny, precision="bfloat16", memory=memory))
    logs = trainer.update()
    assert math.isfinite(logs["train/grad_norm"])
    with trainer.autocast():
        tokens, _, start = trainer.read(trainer.stream, 8)
        _, out = trainer.model(tokens, trainer.state, start)
    assert out.trace.spans[0].dtype == torch.float32


@pytest.mark.parametrize("memory", MEMORIES[:4], ids=lambda memory: memory.name)
def test_copying_is_learned(tiny: SequenceConfig, memory: Memory) -> None:
    """Chance is 1/3."""
    config = replace(
        tiny, memory=replace(memory, width=32), rows=32, block=16, updates=120, warmup=10, learning_rate=1e-2,
        span_penalty=0.0,
    )  # fmt: skip
    trainer = Trainer(config)
    for _ in range(config.updates):
        trainer.update()
    score = evaluate(trainer, Copy(64, 6, payload=1, symbols=3, seed=99), 40)
    assert score.accuracy > 0.9
    assert score.chance == pytest.approx(1 / 3)


def test_a_run_writes_and_resumes(tiny: SequenceConfig) -> None:
    result = train_sequence(replace(tiny, updates=4))
    run = result.run
    assert [row["update"] for row in run.evaluations()] == [3, 4]
    assert result.score is not None
    assert json.loads(json.dumps(run.evaluations()[1]["bits"])) == result.score.bits
    again = train_sequence(replace(tiny, updates=6), run)
    assert again.trainer.update_number == 6
    rows = read_csv(run.progress)
    assert [int(row["time/updates"]) for row in rows] == [3, 4, 6]
    assert len(run.step_checkpoints()) == 2
    same = train_sequence(replace(tiny, updates=6), run)
    assert same.was_complete and not same.interrupted and same.score == again.score
    assert [int(row["time/updates"]) for row in read_csv(run.progress)] == [3, 4, 6]


def test_the_command(tiny: SequenceConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"abcdefgh" * 400)
    args = (
        "charlm --memory compressive --memory.width 16 --memory.window 8 --memory.slots 2 --rows 2 --block 16"
    )
    args += " --updates 2 --evaluate-every 2 --evaluation-steps 32 --evaluation-rows 1 --wandb off --no-tensorboard"
    more = ["--runs", tiny.runs, "--task.text", str(tmp_path / "text"), "--no-progress"]
    assert main(["sequence", *args.split(), *more]) == 0
    assert "bits per question" in capsys.readouterr().out
    (run,) = (Path(tiny.runs) / "charlm").iterdir()
    assert json.loads((run / "test.json").read_text())["questions"] == 32
    assert main(["sequence", "--resume", str(run), "--updates", "3", "--no-progress"]) == 0
    assert (
        main(
            [
                "sequence",
                "--evaluate",
                str(run),
                "--memory.window",
                "4",
                "--output",
                str(tmp_path / "score.json"),
            ]
        )
        == 0
    )
    score = json.loads((tmp_path / "score.json").read_text())
    assert (score["updates"], score["settings"]["memory"]["window"]) == (3, 4)
    assert score["interval"][0] <= score["accuracy"] <= score["interval"][1]
    capsys.readouterr()
    for wrong, message in (
        (["--evaluate"], "--evaluate needs a path"),
        (["--evaluate", str(run), "--memory.width", "8"], "of another model"),
        (["--evaluate", str(run), "--output", "no/folder.json"], "existing folder"),
        (["copy", "--weights", str(tmp_path), "--runs", tiny.runs], "is no run"),
    ):
        assert main(["sequence", *wrong]) == 2
        assert message in capsys.readouterr().err
    assert main(["sequence", "copi"]) == 2
    assert "did you mean 'copy'" in capsys.readouterr().err


def test_a_run_begins_with_the_weights_of_another(tiny: SequenceConfig) -> None:
    """Under another max_span and delay: nothing else of the other run goes on."""
    first = train_sequence(replace(tiny, updates=2)).run
    changed = replace(
        tiny,
        weights=str(first.folder),
        task=replace(tiny.task, delay=9),
        memory=replace(tiny.memory, max_span=40),
    )
    begun = train_sequence(replace(changed, updates=1, learning_rate=0.0))
    assert (begun.trainer.update_number, begun.trainer.num_timesteps) == (1, 4 * 8)
    other = Trainer(tiny)
    assert other.load_weights(first.newest_checkpoint()) == (2, 2 * 4 * 8)
    assert all(map(torch.equal, weights(begun.trainer), weights(other)))


def test_scores_at_another_reach(tiny: SequenceConfig) -> None:
    """What the command `--evaluate` does: the weights of a run, more noise between, and spans that may be longer."""
    run = train_sequence(replace(tiny, updates=2)).run
    longer = replace(tiny, task=replace(tiny.task, delay=30), memory=replace(tiny.memory, max_span=80))
    trainer = evaluate_run(longer, run)
    assert trainer.update_number == 2
    near, far = (evaluate_run(c, run) for c in (tiny, longer))
    scores = [evaluate(t, make_stream(longer, "test"), 40) for t in (near, far)]
    assert scores[1].alive[0] > scores[0].alive[0], "four times the span: more is alive"
    only_long = evaluate_run(longer, run, "long").model.memory
    assert isinstance(only_long, TransformerMemory)
    assert {(rule.max_span, rule.stretch) for rule in only_long.rules} == {(80, 80 / tiny.memory.max_span)}


def test_what_cannot_be_resumed(tiny: SequenceConfig, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.zip"
    Trainer(tiny).save(path)
    with pytest.raises(UserError, match="task cannot change when a run is resumed"):
        Trainer(replace(tiny, task=CollisionTask())).load(path)
    content = checkpoint.load(path, Trainer(tiny).model.memory)
    content["model"]["embedding.weight"] = torch.zeros(3, 16)
    checkpoint.save(content, path)
    with pytest.raises(UserError, match="vocabulary of 3 tokens and the data have 9"):
        Trainer(tiny).load(path)
    torch.save({"weights": 1}, path)
    with pytest.raises(UserError, match="has no config; expected one of a sequence task"):
        Trainer(tiny).load(path)
    path.write_bytes(b"half a file")
    with pytest.raises(UserError, match="cannot load the checkpoint"):
        Trainer(tiny).load(path)


def test_mistakes_are_told_early(tiny: SequenceConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="block=0: expected an integer >= 1"):
        Trainer(replace(tiny, block=0))
    with pytest.raises(UserError, match="memory fixed_window: window must be an integer of states >= 1"):
        Trainer(replace(tiny, memory=FixedWindowSettings(window=0)))
    with pytest.raises(UserError, match=r"does not exist: expected one of"):
        Trainer(replace(tiny, task=CharLMTask(str(tmp_path / "none"))))
    with pytest.raises(UserError, match="task copy: shortest must be"):
        Trainer(replace(tiny, task=CopyTask(delay=3, shortest=9)))
    for span in (0.0, -5.0, math.inf, math.nan):
        with pytest.raises(
            UserError, match="memory expire_span: max_span must be a finite number of steps > 0"
        ):
            Trainer(replace(tiny, memory=ExpireSpanSettings(max_span=span)))
    with pytest.raises(
        UserError, match="evaluation-steps=40 ends before the first question of task copy at step 51"
    ):
        train_sequence(replace(tiny, task=CopyTask(delay=50, payload=1)))
    with pytest.raises(UserError, match="ask=0 asks nothing"):
        train_sequence(replace(tiny, task=CollisionTask(ask=0.0)))
    (tmp_path / "short").write_bytes(b"x" * 1000)
    with pytest.raises(UserError, match="the text has 50 bytes, too few for rows=4 of a block of 20"):
        train_sequence(replace(tiny, task=CharLMTask(str(tmp_path / "short")), block=20))
    assert not Path(tiny.runs).exists(), "told before anything is trained or written"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set from Linux's own figures")
def test_out_of_memory_keeps_the_last_checkpoint(tiny: SequenceConfig) -> None:
    """A memory that keeps everything grows until the system refuses more; the checkpoint before that can be loaded."""
    config = replace(
        tiny, memory=FixedWindowSettings(width=32, layers=1, heads=2, window=math.inf), rows=256, block=64, updates=200,
        task=CopyTask(delay=10**5, shortest=None), evaluation_steps=10**5 + 8, evaluate_every=10**6, save_every=1,
    )  # fmt: skip
    train_sequence(
        replace(config, updates=1, task=CopyTask(delay=50), evaluation_steps=60)
    )  # libraries are loaded
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 400 * 2**20, hard))
    try:
        with pytest.raises(
            UserError, match=r"out of memory at update \d+ .*lower --rows.*step-\d+\.zip"
        ) as error:
            train_sequence(config)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    saved = Path(str(error.value).split("the last checkpoint is ")[1].split(";")[0])
    trainer = Trainer(config)
    trainer.load(saved)
    assert trainer.num_timesteps == int(saved.stem.removeprefix("step-")) > 0


def test_an_evaluation_that_asks_nothing_is_explained(tiny: SequenceConfig) -> None:
    """In two steps of two worlds no two particles have met."""
    config = replace(tiny, task=CollisionTask(), evaluation_steps=2, evaluation_rows=2, updates=1)
    with pytest.raises(UserError, match="nothing was asked in 2 steps of 2 rows"):
        train_sequence(config)
