"""The agents of ``bench agents``, measured by rounds: in this process or, of other checkouts, in a separate one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from stable_baselines3 import A2C, PPO

from expirespan.experiments.bench import peers, served
from expirespan.experiments.bench.options import AgentsOptions as Options
from expirespan.experiments.bench.peers.checkouts import Peer, recognise
from expirespan.experiments.bench.served import Round
from expirespan.experiments.settings.errors import UserError

REFERENCE = "RecurrentPPO"
REFERENCES = {"ppo": REFERENCE, "a2c": "A2C"}
"""What each algorithm is compared with."""
FORGETFUL, OTHER = ", forgetful", " of the checkout"


class Rival(Protocol):
    """What takes part."""

    def round(self) -> Round:
        """Measure one."""


class Here:
    """An agent of this process."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def round(self) -> Round:
        """As `served.measure`."""
        return served.measure(self.agent)


class Elsewhere:
    """An agent of a separate process, which reads its settings and then a line per round, and answers in JSON.

    ``arguments``: of Python. ``name``: in the error. ``folder``: where it runs; removed at the end. ``path``: where
    Python finds modules, None for where this process does.

    Raises:
        UserError: it could not be made; what its process said is above the message.
    """

    def __init__(
        self,
        arguments: list[str],
        settings: dict[str, Any],
        name: str,
        folder: tempfile.TemporaryDirectory[str],
        path: str | None = None,
    ) -> None:
        self.name, self.folder = name, folder
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder.name,
            env=os.environ | ({} if path is None else {"PYTHONPATH": path}),
        )
        self._say(json.dumps(settings))

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def round(self) -> Round:
        """Ask for one."""
        assert self.process.stdout is not None
        try:
            self._say("round")
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise UserError(f"{self.name} ended; its error is above")
        return Round(*json.loads(answer))

    def close(self) -> None:
        """End its process."""
        self.process.communicate()
        self.folder.cleanup()


def _of_version(checkout: Path, settings: dict[str, Any]) -> Elsewhere:
    """A memory agent of another checkout of expirespan."""
    folder = tempfile.TemporaryDirectory()
    package = Path(folder.name) / "expirespan"
    package.mkdir()
    for name in ("agents", "envs", "memory", "experiments"):
        (package / name).symlink_to((checkout / name).resolve())
    for path in (checkout / "expirespan").glob("*.py"):
        (package / path.name).symlink_to(path.resolve())
    program = str(Path(served.__file__).resolve())
    return Elsewhere([program], settings, "version: the other checkout's agent", folder, folder.name)


def _of_peer(peer: Peer, script: Path, settings: dict[str, Any]) -> Elsewhere:
    """An agent of somebody else's project."""
    rollout = settings["num_envs"] * settings["n_steps"]
    given = settings | {
        "script": str(script),
        "minibatches": -(-rollout // settings["batch_size"]),
        "rollouts": -(-served.LEAST_STEPS // rollout),
    }
    arguments = ["-W", "ignore", "-m", f"{peers.__name__}.{peer.program}"]
    return Elsewhere(arguments, given, f"peers: {peer.name}", tempfile.TemporaryDirectory())


def recurrent_ppo() -> Any:
    """The class `RecurrentPPO`.

    Raises:
        UserError: sb3-contrib is not installed.
    """
    try:
        from sb3_contrib import RecurrentPPO
    except ImportError as error:
        raise UserError(
            f"the comparison needs sb3-contrib: {error}; pip install 'sb3-contrib>=2.9,<3'"
        ) from error
    return RecurrentPPO


def _recurrent(settings: dict[str, Any], shared: bool) -> Any:
    given = served.arguments(settings) | {"policy": "MlpLstmPolicy"}
    lstm = {"lstm_hidden_size": settings["width"], "shared_lstm": shared, "enable_critic_lstm": not shared}
    given["policy_kwargs"] |= lstm
    return recurrent_ppo()(**given)


def _memories(options: Options) -> dict[str, dict[str, Any]]:
    """Settings of our agents by name."""
    name = "MemoryPPO" if options.algorithm == "ppo" else "MemoryA2C"
    transformer = {"layers": options.layers}
    spans = transformer | {"max_span": options.max_span}
    expire: dict[str, Any] = {"memory": "expire_span", "memory_kwargs": spans}
    short = expire | {"memory_kwargs": spans | {"init_fraction": 1 / options.max_span, "ramp": 8}}
    found = {name: expire, name + FORGETFUL: short}
    if options.memories:
        found |= {
            f"{name}, fixed_window": {
                "memory": "fixed_window",
                "memory_kwargs": transformer | {"window": options.max_span},
            },
            f"{name}, adaptive_span": {"memory": "adaptive_span", "memory_kwargs": spans},
            f"{name}, compressive": {"memory": "compressive", "memory_kwargs": transformer},
            f"{name}, lstm": {"memory": "lstm", "memory_kwargs": {}},
            f"{name}, gru": {"memory": "gru", "memory_kwargs": {}},
        }
    return found


def makers(
    options: Options, corridor: tuple[int, int], batch_size: int
) -> dict[str, Callable[[], Here | Elsewhere]]:
    """How each agent of a workload is made, by the names in the table."""
    names = ("algorithm", "num_envs", "n_steps", "epochs", "width", "threads")
    common = {name: getattr(options, name) for name in names}
    common |= {"corridor": corridor, "batch_size": batch_size}
    memories = {name: common | own for name, own in _memories(options).items()}

    def here(make: Callable[..., Any], *args: Any) -> Callable[[], Here | Elsewhere]:
        return lambda: Here(make(*args))

    found = {name: here(served.memory_agent, settings) for name, settings in memories.items()}
    if options.version is not None:
        checkout = options.version
        for name in [name for name in memories if ", " not in name or name.endswith(FORGETFUL)]:
            settings = memories[name]
            found[name + OTHER] = partial(_of_version, checkout, settings)
    if options.algorithm == "a2c":
        return found | {"A2C": here(lambda: A2C(**served.arguments(common)))}
    others = common | {"layers": options.layers, "max_span": options.max_span}
    for peer, script in map(recognise, options.peers):
        found[peer.name] = partial(_of_peer, peer, script, others)
    return found | {
        "PPO": here(lambda: PPO(**served.arguments(common))),
        REFERENCE: here(_recurrent, common, False),
        f"{REFERENCE}, shared LSTM": here(_recurrent, common, True),
    }
