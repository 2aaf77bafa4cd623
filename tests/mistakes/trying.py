"""Tries wrong values, each in a process that may hang or die: what comes of them, in one word, and what was said.

It imports only what version 0.1 has too, so that it tries both: ``PYTHON trying.py CASES ANSWERS``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import re
import select
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SECOND, BOUND = 1.0, 20.0
"""Seconds of the processor that a mistake may cost, and of the clock, after which a process is ended."""
PYTHON = re.compile(
    r"not supported between|NoneType|object is not|has no attribute|argument must be|cannot be interpreted|"
    r"could not convert|unhashable|must be real number|not iterable|KeyError|TypeError|IndexError|AttributeError"
)
"""Messages of Python itself, which say nothing that a user could act upon."""


class Case(NamedTuple):
    """``kind``: its row in the table. ``how``: a key of `HOW`, called with ``what``. A clear message has one of
    ``names`` in it."""

    kind: str
    how: str
    what: Any
    names: tuple[str, ...]


class Began(BaseException):
    """Training would begin: what was wrong is accepted."""


def construct(what: tuple[str, dict[str, Any]]) -> None:
    """Build an object of a public class, or a memory, by keywords."""
    import gymnasium as gym
    import numpy as np
    from gymnasium import spaces

    from expirespan import agents, envs, memory

    name, given = what
    if name in memory.MEMORIES:
        needed = {
            "expire_span": {"max_span": 8},
            "adaptive_span": {"max_span": 8},
            "fixed_window": {"window": 8},
        }
        memory.make_memory(name, **({"width": 8} | needed.get(name, {}) | given))
        return
    tokens, box = spaces.Box(0, 9, (4,), np.int64), spaces.Box(-1, 1, (2,))
    env = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=2, max_length=4) if "Frame" in name else None
    policy = {"observation_space": box, "action_space": spaces.Discrete(2), "lr_schedule": lambda _: 1e-3}
    required: dict[str, dict[str, Any]] = {
        "ConstantPenalty": {"coef": 0.1},
        "WarmupPenalty": {"coef": 0.1, "start": 1, "steps": 1},
        "AdaptivePenalty": {"coef": 0.1, "target": 0.9},
        "PlateauPenalty": {"coef": 0.1},
        "MemoryPPO": {"policy": "MlpPolicy", "env": "CartPole-v1"},
        "MemoryA2C": {"policy": "MlpPolicy", "env": "CartPole-v1"},
        "MemoryActorCriticPolicy": policy,
        "MemoryChoicePolicy": policy | {"observation_space": tokens},
        "SmallCNN": {"observation_space": spaces.Box(0, 255, (3, 7, 7), np.uint8)},
        "TokenExtractor": {"observation_space": tokens},
        "ChoiceExtractor": {"observation_space": tokens},
        "StandardizedExtractor": {"observation_space": box},
        "VectorFrameStackObservation": {"env": env, "stack_size": 2},
    }
    package = agents if name in agents.__all__ else envs
    needed = {"num_envs": 2} if name.endswith("Oracle") else required.get(name, {})
    made = getattr(package, name)(**(needed | given))
    if hasattr(made, "observation_space") and package is envs:
        made.reset(seed=0)


def command(args: list[str]) -> None:
    """Run a command up to where training begins."""
    from expirespan.agents import MemoryA2C, MemoryPPO
    from expirespan.experiments.cli import main

    def learn(*args: Any, **kwargs: Any) -> None:
        raise Began

    MemoryPPO.learn = MemoryA2C.learn = learn  # type: ignore[method-assign]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(args)
    if code:
        lines = [line for line in said.getvalue().splitlines() if line.startswith("expirespan: error: ")]
        raise ValueError("\n".join(lines) or said.getvalue())


def train(args: list[str]) -> None:
    """A command line of ``expirespan train``."""
    command(["train", *args, "--wandb", "off", "--no-tensorboard", "--no-progress"])


def from_yaml(text: str) -> None:
    """``expirespan train --config`` with a file of this text."""
    Path("settings.yaml").write_text(text, encoding="utf-8")
    train(["--config", "settings.yaml"])


def compared(content: bytes) -> None:
    """``expirespan compare`` up to where it would draw, of a file with this content."""
    from expirespan.experiments.evaluation.compare import compare, read_results

    Path("results.json").write_bytes(content)
    compare(read_results(["results.json"]))


HOW: dict[str, Callable[[Any], None]] = {
    "construct": construct,
    "train": train,
    "yaml": from_yaml,
    "compare": compared,
}


WARM = [
    Case("", "construct", ("MemoryPPO", {}), ()),
    Case("", "construct", ("PortalRooms", {}), ()),
    Case("", "train", ["corridor", "--seed", "-1"], ("seed",)),
    Case("", "compare", b"{}", ("results.json",)),
]


def answer(case: Case) -> tuple[str, str]:
    """What came of a case: clear, vague, internal, slow, accepted or absent; and the message."""
    began = time.process_time()
    outcome, said = "accepted", ""
    try:
        HOW[case.how](case.what)
    except Began:
        pass
    except SystemExit:
        outcome, said = "internal", "SystemExit"
    except Exception as error:
        said = str(error)
        known = isinstance(error, ValueError | TypeError) or type(error).__name__ == "UserError"
        named = any(name in said for name in case.names) and "\n" not in said and not PYTHON.search(said)
        outcome = "internal" if not known else "clear" if named else "vague"
        new = "unexpected keyword" in said or "unknown option" in said or "unknown setting" in said
        if new or ("has no attribute" in said and type(error) is AttributeError and case.how == "construct"):
            outcome = "absent"
        said = f"{type(error).__name__}: {said}"
    return ("slow" if time.process_time() - began > SECOND else outcome), said


def answers(cases: list[Case]) -> Iterator[tuple[str, str]]:
    """The answers to the cases, in order."""
    done = 0
    while done < len(cases):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _child(cases[done:], writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as lines:
            while select.select([lines], [], [], BOUND)[0] and (line := lines.readline()):
                outcome, said = json.loads(line)
                done += 1
                yield outcome, said
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if done < len(cases):
            done += 1
            yield "slow", "no answer: it hung or died"


def _child(cases: list[Case], writer: int) -> None:
    os.chdir(tempfile.mkdtemp(prefix="mistakes-"))
    warnings.simplefilter("ignore")
    with os.fdopen(writer, "w", buffering=1) as lines:
        for case in cases:
            print(json.dumps(answer(case)), file=lines)
    os._exit(0)


def main() -> None:
    """Answer the cases in a file."""
    cases = [Case(*case) for case in pickle.loads(Path(sys.argv[1]).read_bytes())]
    import torch

    from expirespan.experiments.training import train as _train  # noqa: F401  (slow to import)

    torch.set_num_threads(1)
    for case in WARM:  # what is imported late is no matter of the first case
        print(*answer(case), file=sys.stderr)
    found = list(answers(cases))
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
