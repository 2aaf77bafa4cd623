"""Which doors an agent of the portal rooms takes wrongly, and what return such mistakes leave.

`python docs/results/rooms/doors.py RUN [--episodes 200] [--output FILE]`: of the doors that it takes, by its most
likely actions and last checkpoint, those whose outcome it has seen before in the episode, by how long ago the room was
left and by the room: how many, how many wrong, and the steps from one door to the next.

`python docs/results/rooms/doors.py --ceilings [--output FILE]`: the mean return of fifty rooms of 3x3 in 1,000 steps,
of players that see an unknown door's outcome once and then go wrong with a chance, in three steps a door, or in five
through each right door, because they look for its colour on the left first.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from expirespan.experiments.episodes.playing import PolicyPlayer
from expirespan.experiments.making.agents import load_agent
from expirespan.experiments.making.envs import lent_envs
from expirespan.experiments.run_folder.files import check_output, write_text
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.run_folder.run import Run

SEED = 3_000_000
"""Of episodes that neither training nor evaluations use."""
AGES = (0, 25, 50, 100, 150, 1000)
ROOMS = (0, 10, 20, 30, 50)
CHANCES = (0.0, 0.0003, 0.001, 0.003, 0.01)


def doors(folder: Path, episodes: int) -> dict[str, Any]:
    """Mean return, how episodes end, and the doors taken."""
    run = Run.open(folder)
    agent = load_agent(run.config, run.find_checkpoint("last"), device="cpu")
    agent.policy.set_training_mode(False)
    taken: list[
        tuple[int, int, int, bool]
    ] = []  # room, steps, steps since the room was left (0 at first), wrong
    left: list[dict[int, int]] = [{} for _ in range(episodes)]
    begun, returns = np.zeros(episodes, int), np.zeros(episodes)
    starts, playing, ends = np.ones(episodes, bool), np.ones(episodes, bool), np.zeros(episodes, bool)
    with lent_envs(run.config.eval_env, episodes) as envs, tqdm(unit=" steps", desc=folder.name) as bar:
        player = PolicyPlayer(agent, episodes)
        observations, infos = envs.reset(seed=SEED)
        step = 0
        while playing.any():
            room, step = infos["room"], step + 1
            actions, _ = player.act(observations, starts, playing)
            observations, rewards, ended, truncated, infos = envs.step(actions)
            starts = ended | truncated
            last = infos.get("final_info", infos)
            returns += rewards * playing
            ends |= ended & playing & ~last.get("is_success", np.zeros(episodes, bool))
            came, now = (np.where(starts, last[name], infos[name]) for name in ("cue", "room"))
            for i in np.flatnonzero(came & playing):
                k = int(room[i])
                age = step - left[i][k] if k in left[i] else 0
                taken.append((k, int(step - begun[i]), age, bool(now[i] != k + 1)))
                left[i][k] = begun[i] = step
            playing &= ~starts
            bar.update()
    return {
        "seed": run.config.seed, "steps_of_training": agent.num_timesteps, "episodes": episodes,
        "mean_return": float(returns.mean()), "ended_by_a_mistake": float(ends.mean()),
        **summary(np.array(taken)), **provenance(),
    }  # fmt: skip


def summary(taken: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Of doors (n, 4), whose columns are room, steps, age and wrong: those of unknown outcome, and the others."""

    def of(some: np.ndarray[Any, Any]) -> dict[str, float]:
        n = len(some)
        return {"doors": n} | (
            {"wrong": float(some[:, 3].mean()), "steps": float(some[:, 1].mean())} if n else {}
        )

    def between(known: np.ndarray[Any, Any], column: int, limits: tuple[int, ...]) -> dict[str, Any]:
        return {
            f"{low} to {high}": of(known[(known[:, column] > low) & (known[:, column] <= high)])
            for low, high in pairwise(limits)
        }

    known = taken[taken[:, 2] > 0]
    return {
        "unknown": of(taken[taken[:, 2] == 0]),
        "known": of(known),
        "by_age": between(known, 2, AGES),
        "by_room": between(known, 0, ROOMS),
    }


def ceiling(chance: float, right_door: int, episodes: int = 4000, seed: int = 0) -> float:
    """Mean return if known doors are wrong with a ``chance``; a right door that is known takes ``right_door`` steps."""
    rng, total = np.random.default_rng(seed), 0.0
    for _ in range(episodes):
        right, known, mistaken = rng.random(51) < 0.5, set[int](), set[int]()
        step, room, furthest = 0, 1, 1
        while room < 50:
            step += right_door if room in known and right[room] else 3
            if step > 1000:
                break
            wrong = rng.random() < chance if room in known else bool(right[room])  # it tries the left one
            known.add(room)
            if wrong and room in mistaken:
                break
            mistaken |= {room} if wrong else set()
            room = 1 if wrong else room + 1
            total += 0.1 * (room - 1) * (room > furthest)
            furthest = max(furthest, room)
    return total / episodes


def ceilings() -> dict[str, Any]:
    """By the steps through a known right door, and by the chance of a mistake."""
    return {
        f"{steps} steps": {f"{chance:g}": ceiling(chance, steps) for chance in CHANCES} for steps in (3, 5)
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--ceilings", action="store_true")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.ceilings == bool(given.run):
        parser.error("expected a run, or --ceilings")
    check_output(given.output)
    found = ceilings() if given.ceilings else doors(given.run, given.episodes)
    print(json.dumps(found, indent=1))
    if given.output is not None:
        write_text(given.output, json.dumps(found, indent=1) + "\n")
