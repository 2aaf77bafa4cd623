"""Results as JSON, and texts in archives."""

from __future__ import annotations

import json
import random
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expirespan.experiments.evaluation.compare import compare, read_results
from expirespan.experiments.reproduce.outcome import Outcome, Scored
from expirespan.experiments.sequence import results as sequence_results
from expirespan.experiments.sequence.corpora import load_corpus
from tests.experiments.files import damage
from tests.experiments.files.damage import Files, places
from tests.experiments.files.foreign import FOREIGN

SCORE = {"success": 0.5, "interval": [0.4, 0.6], "mean_return": 0.5, "alive": [3.0], "alive_at_end": [2.0]}


def evaluation_file(folder: Path, which: int) -> Path:
    file = {"env": "ExpireSpan/Corridor-v0", "settings": {"length": which}, "trained_steps": 5, "memory": "gru",
            "agent": SCORE}  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(file))
    return folder / "evaluation.json"


def read_evaluation(path: Path) -> Any:
    return repr(compare(read_results([path])))


def outcome_file(folder: Path, which: int) -> Path:
    scored = {"corridor": Scored(0.9, [0.8, 1.0], [3.0], [2.0])}
    point = {"step": 5, "score": 0.9, "alive_at_end": [2.0]}
    return Outcome("corridor", which, ["x"], {}, 5, 6, 1.5, [point], scored, scored).save(folder)


def read_outcome(path: Path) -> Any:
    outcome = Outcome.load(path)
    return asdict(outcome), outcome.solved(0.5), outcome.after_target()


def sequence_file(folder: Path, which: int) -> Path:
    curve = [{"step": 5, "update": 1, "accuracy": 0.5, "bits": 1.0, "alive": [2.0]}]
    file = {"accuracy": 0.5, "chance": 0.25, "bits": 1.0, "questions": 9, "alive": [2.0], "kept_bytes": 100,
            "interval": [0.4, 0.6], "updates": 2 + which, "timesteps": 5, "parameters": 7,
            "settings": {"evaluation_rows": 2}, "evaluations": curve}  # fmt: skip
    (folder / "result.json").write_text(json.dumps(file))
    return folder / "result.json"


def read_sequence(path: Path) -> Any:
    found = sequence_results.read_results(path.parent)
    sequence_results.draw(found, path.with_suffix(".png"))
    return sequence_results.table({"x": found[path.stem]}), found[path.stem]


def of_results(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    """Bytes, and every value of the file replaced by one of another kind."""
    yield from damage.of_bytes(content, draw, count)
    yield from ((f"foreign file {i}", file) for i, file in enumerate(FOREIGN))
    yield "20 MB of values", b"[" + b"[]," * 6_000_000 + b"[]]"
    data = json.loads(content)
    for node, key in list(places(data)):
        before = node[key]
        for value in (float("nan"), None, "x", [], {}, [None], -1e400):
            node[key] = value
            yield f"{key} = {value!r}", json.dumps(data).encode()
        node[key] = before


def text_file(folder: Path, which: int) -> Path:
    text = random.Random(which).randbytes(400) * 8
    file = folder / "text.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("text", text)
    return file


def read_text(path: Path) -> Any:
    return [load_corpus(path, split).data.tobytes() for split in ("train", "valid", "test")]


def of_texts(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from damage.of_bytes(content, draw, count)
    yield "a bomb", damage.bomb({}, "text")
    for size in (2**31, 2**32 - 2):
        yield f"sizes of {size:,}", damage.with_sizes(content, size)
    yield "two files", damage.packed([("a", b"x"), ("b", b"y")])
