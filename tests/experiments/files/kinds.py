"""Kinds of files that are read: how a small one is made, read, and damaged."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import damage
import gymnasium as gym
import numpy as np
import safetensors.torch
import torch
from tries import Kind

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import MemoryActorCriticPolicy, MemoryPPO
from expirespan.experiments.episodes.trace import KINDS as ARRAYS
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.evaluation.compare import compare, read_results
from expirespan.experiments.reproduce.outcome import Outcome, Scored
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence import results as sequence_results
from expirespan.experiments.sequence.config import CopyTask, SequenceConfig
from expirespan.experiments.sequence.corpora import load_corpus
from expirespan.experiments.sequence.trainer import Trainer
from expirespan.experiments.settings import Config, ExpireSpanSettings
from expirespan.experiments.settings.config_file import read_config, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import CSVWriter, read_csv

torch.set_num_threads(1)
Files = Iterator[tuple[str, bytes]]


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


FOREIGN = [
    damage.packed([]), damage.packed([("data", b"{}")]), damage.packed([("readme.txt", b"hello")]),
    npz(value=np.zeros(3), span=np.zeros((1, 3))), saved({"model": torch.zeros(3)}), b"{}", b"[1, 2]", b"null",
    b"[" * 100_000, b'{"a":' * 100_000, b"\x89PNG\r\n\x1a\n" + bytes(50), b"a,b\n1,2\n", b"\xff\xfe\x00",
]  # fmt: skip
"""Files of other kinds."""


def tensors_of(state: Any) -> Any:
    """Tensors in nested dicts and lists as bytes."""
    if isinstance(state, torch.Tensor):
        return str(state.dtype), tuple(state.shape), state.detach().numpy().tobytes()
    if isinstance(state, dict):
        return {str(name): tensors_of(part) for name, part in state.items()}
    return [tensors_of(part) for part in state] if isinstance(state, list | tuple) else state


# Checkpoints ----------------------------------------------------------------------------------------------------------

SIZES = {"width": 4, "layers": 1, "heads": 1, "max_span": 8, "ramp": 2, "positions": 2}


def make_agent(which: int) -> MemoryPPO:
    env = gym.make_vec("ExpireSpan/EndlessTMaze-v0", num_envs=2)
    kwargs = {"memory": "expire_span", "memory_kwargs": SIZES, "net_arch": []}
    agent = MemoryPPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, seed=which, device="cpu",
                      policy_kwargs=kwargs)  # fmt: skip
    return agent.learn(16 * (which + 1))


def agent_file(folder: Path, which: int) -> Path:
    make_agent(which).save(folder / "agent.zip")
    return folder / "agent.zip"


def policy_file(folder: Path, which: int) -> Path:
    make_agent(which).policy.save(folder / "policy.zip")
    return folder / "policy.zip"


def read_agent(path: Path) -> Any:
    agent = MemoryPPO.load(path, device="cpu")
    assert agent._memory_state is not None
    parts = [agent.get_parameters(), agent._memory_state.state_dict()]
    return tensors_of(parts), agent.num_timesteps, repr(sorted(agent.policy_kwargs.items()))


def read_policy(path: Path) -> Any:
    return tensors_of(MemoryActorCriticPolicy.load(path, device="cpu").state_dict())


def sequence_config(which: int = 0) -> SequenceConfig:
    return SequenceConfig(
        task=CopyTask(delay=8, shortest=None, payload=1, symbols=2), memory=ExpireSpanSettings(**SIZES), rows=2,
        block=8, seed=0, updates=6, evaluation_steps=32, device="cpu",
    )  # fmt: skip


def sequence_file(folder: Path, which: int) -> Path:
    trainer = Trainer(sequence_config())
    for _ in range(which + 1):
        trainer.update()
    trainer.save(folder / "step-0000000016.zip")
    return folder / "step-0000000016.zip"


def read_sequence(path: Path) -> Any:
    trainer = Trainer(sequence_config())
    trainer.load(path)
    parts = [trainer.model.state_dict(), trainer.optimizer.state_dict(), trainer.state.state_dict()]
    return (
        tensors_of(parts),
        trainer.update_number,
        trainer.num_timesteps,
        json.dumps(trainer.stream.state_dict()),
    )


def of_zips(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from damage.of_bytes(content, draw, count)
    yield from damage.of_members(content, other, FOREIGN)


def of_checkpoints(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from of_zips(content, other, draw, count)
    if "data" in damage.members_of(content):
        yield from of_values(content, draw, count)


WEIRD = (None, True, -1, 0, 1e9, 10**7, 10**30, "x" * 1000, "", [], {}, [[]] * 3, {":": "float", "value": "nan"},
         {":": "tuple", "items": [10**9] * 3})  # fmt: skip


def of_values(content: bytes, draw: random.Random, count: int) -> Files:
    """Checkpoints that are whole and hold something different: settings, weights, memories. A value that differs is
    no damage that could be noticed, so they are wrong in what was NaN, of another type or shape, or gigantic; those
    whose words begin with ~ may be read.
    """
    members = damage.members_of(content)
    data = json.loads(members["data"])
    data.pop("digests", None)

    def again(**changed: bytes) -> bytes:
        found = {"data": json.dumps(data).encode(), **{n: c for n, c in members.items() if n != "data"}}
        return damage.packed(list((found | {n.replace("_", "."): c for n, c in changed.items()}).items()))

    for part in ("policy", "state"):
        tensors = safetensors.torch.load(members[f"{part}.safetensors"])
        weights = [n for n, t in tensors.items() if t.is_floating_point() and t.numel() and
                   (part == "policy" or n.startswith(("weights", "position.memory", "sequence.state")))]  # fmt: skip
        for name in draw.sample(weights, min(len(weights), max(3, count // 8))):
            tensor = tensors[name]
            nan = tensor.clone()
            nan.view(-1)[-1] = torch.nan
            bad = {
                "NaN": nan,
                "a tensor of another type": tensor.int(),
                "another shape": torch.cat([tensor.view(-1)] * 3),
            }
            if not name.endswith((".span", "limit")):
                bad["inf"] = torch.where(nan.isnan(), torch.inf, nan)
            for what, wrong in bad.items():
                file = safetensors.torch.save(tensors | {name: wrong})
                yield f"{name}: {what}", again(**{f"{part}_safetensors": file})
    for place in HUGE:
        node = data
        *path, last = place
        for key in path:
            node = node.get(key, {}) if isinstance(node, dict) else {}
        if last in node:
            before = node[last]
            for value in (10**7, 10**12, -1, "many", None):
                node[last] = value
                yield f"{'.'.join(place)} = {value}", again()
            node[last] = before
    leaves = list(places(data))
    for node, key in draw.sample(leaves, min(len(leaves), 2 * count)):
        before, node[key] = node[key], draw.choice(WEIRD)
        yield f"~{key} = {str(node[key])[:30]}", again()
        node[key] = before


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each value in nested JSON, by what holds it and its key."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


_KWARGS = ("attributes", "policy_kwargs", "memory_kwargs")
HUGE = [
    *((*_KWARGS, name) for name in ("layers", "width", "heads", "positions")),
    *(("arguments", "memory_kwargs", name) for name in ("layers", "width", "heads", "positions")),
    ("attributes", "observation_space", "data", "shape"), ("attributes", "action_space", "data", "n"),
    ("arguments", "observation_space", "data", "shape"), ("arguments", "action_space", "data", "n"),
    ("sequence", "config", "memory", "layers"), ("sequence", "config", "rows"), ("sequence", "counters"),
]  # fmt: skip


# Traces, logs, settings, results --------------------------------------------------------------------------------------


def trace_file(folder: Path, which: int) -> Path:
    T, draw = 6, np.random.default_rng(which)
    birth = np.arange(T)
    trace = EpisodeTrace(
        observation=draw.integers(0, 9, (T, 3)).astype(np.float32),
        action=draw.integers(0, 3, T),
        reward=draw.random(T).astype(np.float32),
        value=draw.random(T).astype(np.float32),
        cue=birth < 1,
        span=draw.random((1, T)).astype(np.float32) * 9,
        alive=np.ones((1, T), np.int32),
        death=np.minimum(birth + 2, T)[None].astype(np.int32),
        about={"env": "ExpireSpan/Corridor-v0", "settings": {}, "seed": which, "success": True},
    )
    trace.save(folder / "trace.npz")
    return folder / "trace.npz"


def read_trace(path: Path) -> Any:
    trace = EpisodeTrace.load(path)
    arrays = {name: getattr(trace, name) for name in ARRAYS}
    return {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in arrays.items()}, json.dumps(trace.about)


def of_traces(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from of_zips(content, other, draw, count)
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files if name != "digest"}
    for name, array in arrays.items():
        if array.ndim == 0:
            continue
        bad = {"text": array.astype(str) if name not in ("text", "words") else array.astype(bool),
               "one less": array[:-1], "another axis": array[None, None], "complex": array.astype(complex)
               if array.dtype.kind != "U" else np.zeros(2, complex)}  # fmt: skip
        if array.dtype.kind == "f" and array.size:
            bad["NaN"] = np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array).astype(
                array.dtype
            )
        if not array.size:
            bad = {"NaN": np.full((3, 3, 3), np.nan)}
        for what, wrong in bad.items():
            yield f"{name}: {what}", npz(**arrays | {name: wrong})


def log_rows(which: int) -> list[dict[str, Any]]:
    return [
        {"time/total_timesteps": 512 * i, "loss": i / 7 + which, "note": f"row {i}, of 9"}
        for i in range(1, 9)
    ]


def csv_file(folder: Path, which: int) -> Path:
    writer = CSVWriter(folder / "progress.csv")
    for row in log_rows(which):
        writer.write(row, {})
    return folder / "progress.csv"


def read_csv_file(path: Path) -> Any:
    rows = read_csv(path)
    CSVWriter(path, 10**9)
    assert read_csv(path) == rows
    return rows


def of_logs(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    """What stops and disks do to lines; a log has no checksum, so single digits are not changed."""
    yield from damage.of_lines(content, draw, count, joined=content.startswith(b"{"))
    yield "empty", b""
    yield "zeros", bytes(5000)
    yield "a line of 3 MB", content + b"9" * 3_000_000 + b"\n"
    yield "nested", content + b"[" * 100_000 + b"\n"


def evaluations_file(folder: Path, which: int) -> Path:
    for row in range(1, 9):
        score = {"success": (row + which) / 10, "mean_return": float(row), "alive_at_end": [2.0, 3.0]}
        Run(folder).add_evaluation({"step": 512 * row, **score})
    return folder / "evaluations.jsonl"


def read_evaluations_file(path: Path) -> Any:
    path.rename(path.with_name("evaluations.jsonl"))
    try:
        Run(path.parent).drop_evaluations(10**9) if hasattr(Run, "drop_evaluations") else None
        return Run(path.parent).evaluations()
    finally:
        path.with_name("evaluations.jsonl").rename(path)


def settings_file(folder: Path, which: int) -> Path:
    (folder / "config.yaml").write_text(to_yaml(Config(seed=which)))
    return folder / "config.yaml"


def of_settings(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from damage.of_bytes(content, draw, count)
    yield from damage.of_lines(content, draw, count // 2)
    yield from ((f"foreign file {i}", file) for i, file in enumerate(FOREIGN))
    yield "20 MB", b"seed: 0\n# " + b"x" * 20_000_000
    yield "deep", b"recipe: " + b"[" * 20_000 + b"]" * 20_000
    yield "deep maps", b"".join(b" " * i + b"a:\n" for i in range(1500))
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    yield "anchors", b"a0: &a0 [x, x]\n" + levels.encode() + b"seed: *a11\n"
    merges = "".join(f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
    yield "merges", b"b0: &b0 {x: 1}\n" + merges.encode()
    yield "itself", b"seed: &a [*a]\n"
    yield "twice", content + b"seed: 5\n"
    yield "nan", content.replace(b"standardize:", b"standardize: .nan #", 1)
    yield "long number", b"seed: " + b"9" * 50_000 + b"\n"
    yield "long name", b"x" * 90_000 + b": 1\n"
    yield "tag", b"seed: !!python/object/apply:os.system ['true']\n"


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


def sequence_result_file(folder: Path, which: int) -> Path:
    curve = [{"step": 5, "update": 1, "accuracy": 0.5, "bits": 1.0, "alive": [2.0]}]
    file = {"accuracy": 0.5, "chance": 0.25, "bits": 1.0, "questions": 9, "alive": [2.0], "kept_bytes": 100,
            "interval": [0.4, 0.6], "updates": 2 + which, "timesteps": 5, "parameters": 7,
            "settings": {"evaluation_rows": 2}, "evaluations": curve}  # fmt: skip
    (folder / "result.json").write_text(json.dumps(file))
    return folder / "result.json"


def read_sequence_result(path: Path) -> Any:
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


AGENTS = (ValueError, FileNotFoundError)
KINDS = [
    Kind("agent", ".zip", agent_file, read_agent, of_checkpoints, AGENTS),
    Kind("policy", ".zip", policy_file, read_policy, of_checkpoints, AGENTS),
    Kind("sequence checkpoint", ".zip", sequence_file, read_sequence, of_checkpoints, (UserError,)),
    Kind("trace", ".npz", trace_file, read_trace, of_traces, (UserError,)),
    Kind("progress.csv", ".csv", csv_file, read_csv_file, of_logs, (UserError,), partial=True),
    Kind(
        "evaluations.jsonl",
        ".jsonl",
        evaluations_file,
        read_evaluations_file,
        of_logs,
        (UserError,),
        partial=True,
    ),
    Kind("settings", ".yaml", settings_file, read_config, of_settings, (UserError,), lax=True),
    Kind("evaluation", ".json", evaluation_file, read_evaluation, of_results, (UserError,), lax=True),
    Kind("outcome", ".json", outcome_file, read_outcome, of_results, (UserError,), lax=True),
    Kind(
        "sequence result",
        ".json",
        sequence_result_file,
        read_sequence_result,
        of_results,
        (UserError,),
        lax=True,
    ),
    Kind("text", ".zip", text_file, read_text, of_texts, (UserError,)),
]
