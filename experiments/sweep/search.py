"""Search among settings by Optuna's TPE: each is chosen by the scores of those that were chosen well before it.

A choice depends on nothing but the command and the scores of the settings up to `AHEAD` before it, so that a search
that was killed and repeated chooses the same, with any number of trials at a time.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep.grid import Grid, Overrides, Trial, check_grid, trials_of
from expirespan.experiments.sweep.plan import FILE, Entry, Plan, read_plan
from expirespan.experiments.sweep.trial_run import find_run
from expirespan.experiments.training.target import rank

AHEAD = 4
"""Settings that are trained at a time: one is chosen as soon as all but so many before it have ended."""
DRAWS = 50
"""How often settings are drawn anew that were chosen before."""
JOURNAL = "search.log"
WIDE = 10.0
"""A range whose ends differ by this factor or more is searched on a logarithmic scale."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"


def distribution(key: str, values: tuple[str, ...]) -> BaseDistribution:
    """What `--over KEY VALUE ...` means in a search: some values, or the range LOW:HIGH of whole or other numbers.

    Raises:
        UserError: a range is empty.
    """
    found = re.fullmatch(rf"({_NUMBER}):({_NUMBER})", values[0], re.IGNORECASE) if len(values) == 1 else None
    if not found:
        return CategoricalDistribution(values)
    low, high = float(found[1]), float(found[2])
    if not low < high:
        raise UserError(f"--over {key} {values[0]}: expected LOW:HIGH with LOW below HIGH")
    log = low > 0 and high / low >= WIDE
    if re.fullmatch(r"[+-]?\d+", found[1]) and re.fullmatch(r"[+-]?\d+", found[2]):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _combinations(distributions: dict[str, BaseDistribution]) -> float:
    """How many different settings there are; infinite if a setting is searched among real numbers."""

    def number(of: BaseDistribution) -> float:
        if isinstance(of, CategoricalDistribution):
            return len(set(of.choices))
        return of.high - of.low + 1 if isinstance(of, IntDistribution) else math.inf

    return math.prod(map(number, distributions.values()))


def check_search(grid: Grid, folder: Path, engine: str) -> list[Trial]:
    """Trials at the ends of what is searched.

    Raises:
        UserError: there is nothing to search in, or a setting does not fit there.
    """
    check_grid(grid)
    if engine == "ray":
        raise UserError("--search chooses by finished trials: use --engine local or submitit")
    if not grid.over or len(grid.recipes) > 1:
        raise UserError(
            f"search={grid.search}: expected how many settings to try, one recipe, and where to search, such as --over "
            "memory.ramp 4:64"
        )
    ends = {key: _ends(distribution(key, values)) for key, values in grid.over}
    first = {key: values[0] for key, values in ends.items()}
    lines = [first | {key: value} for key, values in ends.items() for value in values]
    return [
        trial for line in lines for trial in trials_of(grid, grid.recipes[0], tuple(line.items()), folder)
    ]


@dataclass
class Search:
    """``plan`` has the trials of the settings chosen so far, seeds of each side by side."""

    grid: Grid
    plan: Plan
    distributions: dict[str, BaseDistribution]
    study: optuna.Study
    chosen: list[Overrides] = field(default_factory=list)

    @classmethod
    def open(cls, grid: Grid, folder: Path) -> Self:
        """The search in a folder, or a new one there; for the process that has the folder's lock."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        chosen = _chosen(folder)
        found = [trial for one in chosen for trial in trials_of(grid, grid.recipes[0], one, folder)]
        (folder / f"{JOURNAL}.lock").unlink(missing_ok=True)  # of a process that was killed
        plan = Plan.open(folder, grid, found)
        storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        study = optuna.create_study(
            storage=storage, study_name=folder.name, direction="maximize", load_if_exists=True
        )
        return cls(grid, plan, {key: distribution(key, v) for key, v in grid.over}, study, list(chosen))

    def more(self) -> list[Trial]:
        """Trials of the next setting, if it can be chosen now."""
        number, most = len(self.chosen), min(self.grid.search, _combinations(self.distributions))
        if number >= most or not self._tell(number + 1 - AHEAD):
            return []
        overrides = self._choose(number)
        if overrides is None:  # every draw was of settings that were chosen before
            return []
        self.chosen.append(overrides)
        return trials_of(self.grid, self.grid.recipes[0], overrides, self.plan.folder)

    def best(self) -> str:
        """The best settings in a sentence."""
        self._tell(len(self.chosen))
        complete = [one for one in self.study.trials if one.state is optuna.trial.TrialState.COMPLETE]
        if not complete:
            return "no settings have a score yet"
        found = max(complete, key=lambda one: one.value or 0.0)
        words = ", ".join(f"{key}={value}" for key, value in self.chosen[found.number])
        return f"best of {len(complete)} settings: {words}; score {found.value:.3f}"

    def _tell(self, count: int) -> bool:
        """Record the scores of the first settings; False if one of them has not ended."""
        seeds = len(self.grid.seeds)
        for number in range(len(self.study.trials), min(count, len(self.chosen))):
            entries = self.plan.entries[number * seeds : (number + 1) * seeds]
            if any(entry.status not in ("done", "failed") for entry in entries):
                return False
            failed = any(entry.status == "failed" for entry in entries)
            self.study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
                    value=None if failed else float(np.mean([_score(entry) for entry in entries])),
                    params=self._parameters(number),
                    distributions=self.distributions,
                )
            )
        return len(self.study.trials) >= count

    def _choose(self, number: int) -> Overrides | None:
        """New settings by those that were told by then; those still in training count as if they did badly."""
        for draw in range(DRAWS):
            study = self._study(number, seed=int(np.random.SeedSequence([number, draw]).generate_state(1)[0]))
            asked = study.ask(self.distributions)
            overrides = tuple((key, _text(asked.params[key])) for key in self.distributions)
            if overrides not in self.chosen:
                return overrides
        return None

    def _study(self, number: int, seed: int) -> optuna.Study:
        """What is known when a setting is chosen."""
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        told = max(0, number + 1 - AHEAD)
        study.add_trials(self.study.trials[:told])
        for pending in range(told, number):
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.RUNNING,
                    params=self._parameters(pending),
                    distributions=self.distributions,
                )
            )
        return study

    def _parameters(self, number: int) -> dict[str, Any]:
        return {key: _value(self.distributions[key], text) for key, text in self.chosen[number]}


def _chosen(folder: Path) -> list[Overrides]:
    """Settings that an earlier driver chose."""
    if not (folder / FILE).exists():
        return []
    stored = [tuple(entry["overrides"].items()) for entry in read_plan(folder)["trials"]]
    return list(dict.fromkeys(stored))


def _score(entry: Entry) -> float:
    run = find_run(entry.trial)
    assert run is not None
    return rank(run.evaluations()[-1], entry.trial.config.target)[0]


def _ends(found: BaseDistribution) -> tuple[str, ...]:
    if isinstance(found, CategoricalDistribution):
        return tuple(map(str, found.choices))
    assert isinstance(found, IntDistribution | FloatDistribution)
    return _text(found.low), _text(found.high)


def _text(value: Any) -> str:
    """A value as it is typed; four digits of a fraction are enough, and are then those that are used."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _value(found: BaseDistribution, text: str) -> Any:
    if isinstance(found, CategoricalDistribution):
        return text
    if isinstance(found, IntDistribution):
        return int(text)
    assert isinstance(found, FloatDistribution)
    return min(found.high, max(found.low, float(text)))
