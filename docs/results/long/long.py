"""Corridor agents in corridors far longer than those of training, by how their spans are raised.

`python docs/results/long/long.py RUN --length 100000 --episodes 50 [--stretch all] [--output FILE]`: success,
memories alive, bytes of the state and milliseconds per step, from the last checkpoint. ``max_span`` is raised by four
times as much as the corridors are longer than those of training.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from expirespan.experiments.episodes.playing import Flags, Floats, PolicyPlayer, play
from expirespan.experiments.evaluation.evaluate import summarise
from expirespan.experiments.making.agents import load_agent, max_spans, override_max_span, rules
from expirespan.experiments.pictures.palette import GREY, LAYERS
from expirespan.experiments.pictures.picture_file import write_picture
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import CorridorSettings

PICTURE = Path(__file__).parents[2] / "images" / "long.png"
MARGIN = 4
EVERY = 1000
"""Steps between two looks at the state."""
KEPT = 2 * (3 * 64 * 4 + 12)
"""Bytes of one step kept in both layers: hidden state, key and value of 64 numbers, and birth and span."""


class Watched(PolicyPlayer):
    """Notes how many bytes the state has, and how many memories are alive, at every 1,000th step."""

    def __init__(self, *args: Any, progress: tqdm[Any]) -> None:
        super().__init__(*args)
        self.steps, self.progress = 0, progress
        self.seen: list[tuple[int, int, float]] = []

    def act(self, observations: Any, starts: Flags, playing: Flags, masks: Flags | None = None) -> Any:
        """As `PolicyPlayer`."""
        actions, alive = super().act(observations, starts, playing, masks)
        self.steps += 1
        self.progress.update()
        if self.steps % EVERY == 0:
            self.seen.append((self.steps, int(self.state.nbytes), _most(alive, playing)))
        return actions, alive


def _most(alive: Floats, playing: Flags) -> float:
    return float(alive[:, playing].max()) if len(alive) and playing.any() else 0.0


def measure(folder: Path, length: int, episodes: int, stretch: str, seed: int) -> dict[str, Any]:
    """One run in corridors of one length."""
    run = Run.open(folder)
    config = run.config
    assert isinstance(config.env, CorridorSettings)
    agent = load_agent(config, run.find_checkpoint("last"), device="cpu")
    factor = max(1.0, MARGIN * length / config.env.max_length)
    trained = max_spans(agent)[0]
    assert trained is not None
    override_max_span(agent, trained * factor, stretch)  # type: ignore[arg-type]
    agent.policy.set_training_mode(False)
    env, begin = CorridorSettings(length, length), time.perf_counter()
    with tqdm(total=length, unit="step", smoothing=0, desc=f"seed {config.seed}, {length:,} cells") as bar:
        player = Watched(agent, episodes, progress=bar)
        played = play(player, env, episodes, episodes, seed)
    score, tenth = summarise(played, env), max(1, played.first_end // 10)
    whole = played.step_seconds[: played.first_end] * 1000
    return {
        "seed": config.seed, "commit": json.loads((run.folder / "about.json").read_text()).get("commit"),
        "trained_on": config.env.max_length,
        "steps_of_training": agent.num_timesteps, "length": length, "episodes": episodes, "stretch": stretch,
        "max_span": max_spans(agent), "factors": [rule.stretch for rule in rules(agent)],
        "success": score.success, "interval": score.interval, "alive": score.alive,
        "alive_at_end": played.alive_at_end.mean(1).tolist(), "most_alive": max(most for *_, most in player.seen),
        "bytes": [(step, size // episodes) for step, size, _ in player.seen[:: max(1, len(player.seen) // 100)]],
        "step_milliseconds": {
            "first_tenth": float(np.median(whole[:tenth])), "last_tenth": float(np.median(whole[-tenth:])),
        },
        "seconds": time.perf_counter() - begin,
    }  # fmt: skip


def draw(rows: list[dict[str, Any]]) -> Path:
    """Bytes of an environment's memories, and times of its first and last tenth of steps; each run a line.

    A row that says by what it was ``disturbed`` (added by hand) has no line of times.
    """
    figure = Figure(figsize=(9, 3.6), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    size, pace = figure.subplots(1, 2)
    for length, colour in zip(sorted({row["length"] for row in rows}), LAYERS, strict=False):
        same = [row for row in rows if row["length"] == length]
        timed = [row for row in same if "disturbed" not in row]
        for row in same:
            steps, states = zip(*row["bytes"], strict=True)
            size.plot(steps, np.array(states) / 1024, color=colour, alpha=0.7)
        for row in timed:
            ends = row["step_milliseconds"]
            pace.plot(
                (length / 20, length * 0.95),
                (ends["first_tenth"], ends["last_tenth"]),
                marker="o",
                color=colour,
                alpha=0.7,
            )
        seeds = f"seed{'s' * (len(timed) > 1)} {', '.join(str(row['seed']) for row in timed)}"
        pace.plot(
            [], [], color=colour, label=f"{length:,} cells, {same[0]['episodes']} environments,\n{seeds}"
        )
    grown = np.geomspace(200, max(row["length"] for row in rows))
    size.plot(grown, grown * KEPT / 1024, color=GREY, linestyle="--")
    size.annotate(
        "if all were kept",
        (grown[25], grown[25] * KEPT / 1024),
        (8, -4),
        textcoords="offset points",
        color=GREY,
    )
    for axes, label in ((size, "KiB of memories per environment"), (pace, "ms per step of all environments")):
        axes.set_xscale("log")
        axes.set_xlabel("steps of the episode")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    size.set_yscale("log")
    size.set_ylim(10, None)
    pace.legend(frameon=False, loc="lower left")
    return write_picture(figure, PICTURE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--length", type=int, default=100_000)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--stretch", choices=("all", "long"), default="long")
    parser.add_argument("--draw", action="store_true", help="only the picture, from the output")
    parser.add_argument("--seed", type=int, default=3_000_000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("long.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(given.output.read_text())["rows"] if given.output.exists() else []
    if given.draw:
        print(draw(rows))
    for one in given.runs:
        rows.append(measure(one, given.length, given.episodes, given.stretch, given.seed))
        print({name: value for name, value in rows[-1].items() if name != "bytes"})
        given.output.write_text(json.dumps({"rows": rows, **provenance()}, indent=1) + "\n")
