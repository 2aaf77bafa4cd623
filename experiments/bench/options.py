"""Options of every bench, apart from the benches so that their help needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from expirespan.experiments.settings import Count
from expirespan.parameters import (
    BatchSize,
    Capacity,
    Decay,
    Epochs,
    FiniteWindow,
    Heads,
    Layers,
    MaxSpan,
    NSteps,
    Number,
    NumEnvs,
    PositiveRate,
    Seconds,
    Seed,
    Steps,
    Threads,
    Width,
)

BASE = "fixed_window"
"""The memory that costs are compared with."""
MEASURED = (BASE, "adaptive_span", "compressive", "expire_span")
"""Memories in the comparison."""


@dataclass(frozen=True)
class AgentsOptions:
    """Sizes of the comparison."""

    algorithm: Literal["ppo", "a2c"] = "ppo"
    """What is compared: PPO with sb3-contrib's RecurrentPPO, or A2C with SB3's."""
    corridors: tuple[str, ...] = ("3-200", "190-200")
    """Lengths of corridors, a workload each: many episodes end within a rollout, or few."""
    batch_sizes: tuple[BatchSize, ...] = (512, 2048)
    """Steps per minibatch, a workload each; of A2C the whole rollout."""
    memories: bool = False
    """Also our other memories."""
    version: Path | None = None
    """Checkout of another version of expirespan, whose agents take part."""
    peers: tuple[Path, ...] = ()
    """Checkouts of other projects that take part in the comparison of PPO: of CleanRL, with its ppo_trxl, and of
    PufferLib 1.0, with its LSTM."""
    num_envs: NumEnvs = 64
    """Environments side by side."""
    n_steps: NSteps = 128
    """Steps of every environment between updates."""
    epochs: Epochs = 3
    """Passes over each rollout; A2C makes one."""
    width: Width = 64
    """Size of states: of the memory, the LSTM and the layers of the heads."""
    layers: Layers = 2
    """Transformer layers of our memories; RecurrentPPO has LSTMs for actor and critic, or shares one."""
    max_span: MaxSpan = 256
    """Longest span of memories."""
    rounds: Number = 5
    """Measured rollouts with their updates per agent; one more comes before, to warm up."""
    threads: Threads = 2
    """Threads of PyTorch."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class AttentionOptions:
    """What to check and to time."""

    kernel: Literal["triton", "native"] = "triton"
    """Triton, on a GPU, or C (native), on a CPU."""
    cases: Number = 300
    """Random cases to check."""
    head_widths: tuple[Width, ...] = (16, 64)
    """Sizes of a head to time."""
    memories: tuple[FiniteWindow, ...] = (128, 512, 2048)
    """Memories from before the block, to time."""
    rows: NumEnvs = 64
    """Environments side by side, when timing."""
    block: NSteps = 128
    """Steps of a block, when timing."""
    heads: Heads = 4
    """Heads, when timing."""
    rounds: Number = 20
    """Measured calls, of which the median counts."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class DeploymentOptions:
    """What to run, and how long."""

    capacities: tuple[Capacity | None, ...] = (16, 64, None)
    """Memories that each layer of a graph can keep; None for as many as can never be too few."""
    envs: tuple[NumEnvs, ...] = (1, 16)
    """Environments side by side."""
    steps: Steps = 200
    """Steps of a round."""
    rounds: Number = 7
    """Measured rounds of each; one more comes before, to warm up."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class EnvsOptions:
    """What to measure."""

    num_envs: NumEnvs = 1024
    """Environments of a vector environment."""
    rounds: Number = 20
    """Measured rounds of each environment; one more comes before, to warm up."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class GrowthOptions:
    """How long to train."""

    steps: Count = 2_000_000
    """Environment steps of each training."""
    num_envs: Count = 64
    """Environments side by side."""
    jobs: Count = 1
    """Trainings side by side."""
    bounded: bool = True
    """Give freed memory back as `expirespan train` does; otherwise as the system's malloc does by itself."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class LearningOptions:
    """What to train."""

    recipes: tuple[str, ...] = ("cartpole", "pendulum", "memory-room")
    """Recipes to compare on."""
    seeds: tuple[Seed, ...] = (0, 1, 2)
    """Seeds of training."""
    total_timesteps: Steps | None = None
    """Environment steps of training; None for the recipe's."""
    episodes: Number = 100
    """Episodes of the evaluation."""
    threads: Threads = 1
    """Threads of PyTorch."""
    progress: bool = True
    """Show a progress bar."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class MemoriesOptions:
    """Sizes of the comparison."""

    reach: tuple[FiniteWindow, ...] = (1024, 4096, 16384, 65536)
    """Steps after which nothing can be read any more."""
    kept: Decay = 0.05
    """Share of the states that Expire-Span keeps for so long."""
    alive: FiniteWindow | None = None
    """States that Expire-Span keeps for so long at every reach, in the place of a share."""
    memories: tuple[str, ...] = MEASURED
    """Memories to compare."""
    width: Width = 64
    """Size of states."""
    layers: Layers = 2
    """Layers."""
    heads: Heads = 4
    """Heads."""
    rows: NumEnvs = 4
    """Sequences side by side."""
    block: NSteps = 128
    """Steps of a block."""
    repeats: Number = 5
    """Measurements of a block in a round, of which the fastest counts; ten times as many of a step."""
    rounds: Number = 1
    """Rounds through all cases, of which the median counts."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    output: Path | None = None
    """JSON file for the numbers; the picture goes beside it."""


class OwnEnvironment(NamedTuple):
    """An environment that others wrote: id, wrappers, and environment steps of training."""

    gym_id: str
    steps: int
    wrappers: tuple[str, ...] = ()


OWN_ENVIRONMENTS = {
    "cartpole": OwnEnvironment("ExpireSpan/CartPoleNoVel-v1", 200_000),
    "pendulum": OwnEnvironment("ExpireSpan/PendulumNoVel-v1", 200_000),
    "memory-s11": OwnEnvironment("MiniGrid-MemoryS11-v0", 500_000, ("minigrid.wrappers.ImgObsWrapper",)),
    "repeat-first": OwnEnvironment("popgym-RepeatFirstEasy-v0", 300_000),
    "mortar-mayhem": OwnEnvironment(
        "MortarMayhem-Grid-v0", 100_000, ("gymnasium.wrappers.ResizeObservation(shape=(42,42))",)
    ),
}
"""Gymnasium's two without velocities, one of MiniGrid, one of POPGym, one of Memory Gym."""


@dataclass(frozen=True)
class OwnOptions:
    """What to train."""

    environments: tuple[str, ...] = tuple(OWN_ENVIRONMENTS)
    """Environments; repeat-first needs popgym, mortar-mayhem memory-gym."""
    agents: tuple[str, ...] = ("MemoryPPO", "PPO", "RecurrentPPO")
    """Agents."""
    seeds: tuple[Seed, ...] = (0, 1, 2)
    """Seeds of training."""
    total_timesteps: Steps | None = None
    """Environment steps of training; None for those chosen for the environment."""
    episodes: Number = 100
    """Episodes of the evaluation."""
    threads: Threads = 1
    """Threads of PyTorch."""
    progress: bool = True
    """Show a progress bar."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class TrackingOptions:
    """What to train."""

    recipe: str = "corridor"
    """Recipe."""
    steps: Count = 200_000
    """Environment steps of each training."""
    rounds: Number = 1
    """Trainings without and with tracking, in turn; the median counts."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class ViewerOptions:
    """What to measure."""

    scrubs: Number = 100
    """Steps of the slider."""
    output: Path | None = None
    """JSON file for the numbers."""


@dataclass(frozen=True)
class WorkersOptions:
    """What to train, and the network to assume beyond this machine."""

    recipe: str = "corridor"
    """Recipe whose run is shared."""
    workers: tuple[NumEnvs, ...] = (1, 2, 4)
    """Numbers of workers to measure."""
    rounds: Count = 3
    """Measured updates of each; one more comes before, to warm up."""
    extrapolate: tuple[NumEnvs, ...] = (8, 64, 1000)
    """Numbers of workers to compute, each with all environments of the recipe, one per core."""
    latency: Seconds = 50e-6
    """Seconds of a message between two machines."""
    bandwidth: PositiveRate = 1.25e9
    """Bytes per second that a machine sends: 10 Gbit/s."""
    output: Path | None = None
    """JSON file for the numbers."""


OPTIONS: dict[str, Any] = {
    "agents": AgentsOptions,
    "attention": AttentionOptions,
    "deployment": DeploymentOptions,
    "envs": EnvsOptions,
    "growth": GrowthOptions,
    "learning": LearningOptions,
    "memories": MemoriesOptions,
    "own": OwnOptions,
    "tracking": TrackingOptions,
    "viewer": ViewerOptions,
    "workers": WorkersOptions,
}
"""By the name of the bench."""
