"""Progress of training on the terminal: a bar with an honest estimate, and a row for each evaluation."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

from stable_baselines3.common.logger import KVWriter
from tqdm import tqdm

from expirespan.experiments.evaluation.describe import WIDTHS, cells, legend, line, not_ended
from expirespan.experiments.evaluation.evaluate import Score
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.settings import HOUSEKEEPING, Config, TargetSettings
from expirespan.experiments.terminal.text import fitted
from expirespan.experiments.training.target import is_target


def usual_steps(config: Config) -> int | None:
    """Environment steps after which runs with these settings usually end; None where that was not measured."""
    recipe = RECIPES.get(config.recipe)
    if recipe is None or recipe.usual_steps is None:
        return None
    known = replace(recipe.config, **{name: getattr(config, name) for name in HOUSEKEEPING})
    hold = config.target.hold
    same = replace(config, target=replace(config.target, hold=known.target.hold)) == known
    usual = recipe.usual_steps + hold
    return usual if same and usual < config.total_timesteps else None


def estimate(step: int, rate: float | None, usual: int | None, most: int, target: bool) -> str:
    """What is left of a run, in words.

    Args:
        step: environment steps so far.
        rate: environment steps per second; None where nothing was measured yet.
        usual: steps after which such runs end, see `usual_steps`.
        most: steps after which it ends in any case.
        target: whether it ends before that when a target is met.
    """

    def left(words: str, until: int) -> str:
        return "" if rate is None else f", {words}{duration((until - step) / rate)} left"

    done = millions(step)
    if not target:
        return f"{done} of {millions(most)} steps{left('', most)}"
    if usual is None:
        return f"{done} steps, until its target{left('at most ', most)}"
    if step < usual:
        return f"{done} of usually {millions(usual)} steps{left('about ', usual)}"
    return f"{done} steps, more than usual{left('at most ', most)}"


def millions(steps: int) -> str:
    """Steps in millions."""
    return f"{steps / 1e6:.2f} M"


def duration(seconds: float) -> str:
    """A time in its two largest units: "40 s", "3 min", "1 h 5 min"."""
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class ProgressBar(KVWriter):
    """A bar over environment steps, as far as such runs usually go; shown from `begin` on, and on a terminal only."""

    def __init__(self, config: Config, done: int) -> None:
        self._most, self._usual = config.total_timesteps, usual_steps(config)
        self._target, self._first = is_target(config.target), done
        self._shown, self._begun = config.progress, 0.0
        self._bar: Any = None

    def begin(self) -> None:
        """Show the bar; time begins."""
        self._begun = time.monotonic()
        self._bar = tqdm(
            total=self._usual or self._most, initial=self._first, dynamic_ncols=True, file=sys.stderr,
            bar_format="{percentage:3.0f}%|{bar}| {desc}", disable=None if self._shown else True,
        )  # fmt: skip
        self._move(self._first)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Move to the step."""
        if self._bar is not None:
            self._move(step)

    def _move(self, step: int) -> None:
        seconds = time.monotonic() - self._begun
        rate = (step - self._first) / seconds if step > self._first and seconds > 0 else None
        speed = "" if rate is None else f", {rate:,.0f} steps/s"
        words = estimate(step, rate, self._usual, self._most, self._target)
        self._bar.set_description_str(words + speed, refresh=False)
        self._bar.update(min(step, self._bar.total or step) - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


class EvaluationTable:
    """Evaluations as rows, printed one by one; the headings come with the first."""

    def __init__(self, target: TargetSettings) -> None:
        self._target = target
        self._headings: list[str] = []

    def add(self, step: int, score: Score, met: int) -> None:
        """Print the evaluation after ``step`` steps; ``met``: evaluations in a row, this included, at the target."""
        row = cells(score) | {"steps": f"{step:,}"}
        if met:
            wanted = self._target.evaluations
            row["target"] = f"met {met} of {wanted}" if met <= wanted else "held"
        if not self._headings:
            self._headings = [
                name for name in WIDTHS if name in row or (name == "target" and is_target(self._target))
            ]
            say(fitted(f"Evaluations of {score.episodes:,} episodes each. {legend(self._headings)}"))
            say(line({name: name for name in self._headings}, self._headings))
        say(line(row, self._headings))
        if score.not_ended:
            say(fitted(not_ended(score)))


def say(text: str) -> None:
    """Print above the bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()
