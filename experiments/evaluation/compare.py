"""Comparison of runs: what each group of them reached, how soon, and with how many memories.

A group holds the runs with the same settings (seed, length of training and the like aside): the seeds of one thing.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.experiments.evaluation.stats import Interval, interquartile_interval, interquartile_mean
from expirespan.experiments.run_folder.evaluations import fault_of_score, score_of
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import HOUSEKEEPING, FixedWindowSettings, texts
from expirespan.experiments.settings.config_file import to_dict
from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import said, shown

WINDOW = FixedWindowSettings.name
ASIDE = (*HOUSEKEEPING, "evaluation", "target")
"""Settings in which runs of one group may differ: none that says what is learned, on what, or how."""


@dataclass(frozen=True)
class RunResult:
    """One run, or one file of ``expirespan evaluate``: evaluations as ``steps`` and their scores, the last one in full.

    ``task``: environment and settings of the evaluation. ``settings``: what groups the run, as flat names.
    """

    source: str
    label: str
    memory: str
    task: dict[str, Any]
    steps: list[int]
    evaluations: list[dict[str, Any]]
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def last(self) -> dict[str, Any]:
        """The last evaluation."""
        return self.evaluations[-1]


@dataclass(frozen=True)
class Curve:
    """Interquartile mean over runs after each of ``steps`` (n,), and its interval; ``low`` is None for one run."""

    steps: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64] | None
    high: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class Group:
    """Runs with the same settings.

    ``scores``: of their last evaluations, success rates, or mean returns where there are none; ``mean``: interquartile;
    ``interval``: 95 %, bootstrap over runs, None for one. ``alive``: memories per layer at the end of the longest
    episodes, None without memories. ``steps``: mean steps of training. ``recall``: of cues, None where not known.
    ``saved``: 1 - alive / that of the smallest fixed window in the comparison with at least the same mean.
    """

    label: str
    memory: str
    scores: list[float]
    mean: float
    interval: Interval | None
    alive: float | None
    steps: float
    recall: float | None
    saved: float | None
    curve: Curve | None


@dataclass(frozen=True)
class Comparison:
    """``groups``, fewest memories first; ``measure``: "success" or "return"; ``task``: what all were evaluated on."""

    groups: list[Group]
    measure: str
    task: dict[str, Any]

    @property
    def title(self) -> str:
        """The environment with its settings."""
        settings = ", ".join(f"{k} {v}" for k, v in self.task.items() if k != "name" and v is not None)
        return f"{self.task['name']} ({settings})" if settings else str(self.task["name"])


def read_results(paths: Iterable[str | Path]) -> list[RunResult]:
    """Runs by folder (a folder of runs gives all in it), and files that ``expirespan evaluate --output`` wrote.

    Raises:
        UserError: a path is neither, a run has no evaluation, or they were evaluated on different environments.
    """
    results = [result for path in paths for result in _read(Path(path))]
    if not results:
        raise UserError(
            "nothing to compare: expected folders of runs, such as runs/corridor runs/corridor-window"
        )
    for result in results[1:]:
        if result.task != results[0].task:
            raise UserError(_different(results[0], result))
    return results


def compare(results: list[RunResult]) -> Comparison:
    """Group the runs and summarise each group."""
    measure = "success" if all(result.last["success"] is not None for result in results) else "return"
    grouped: dict[str, list[RunResult]] = defaultdict(list)
    for result in results:
        grouped[json.dumps([result.label, result.settings])].append(result)
    named = zip(_labels([members[0] for members in grouped.values()]), grouped.values(), strict=True)
    groups = [_group(label, members, measure) for label, members in named]
    groups.sort(key=lambda group: (group.alive is None, group.alive or 0.0, group.label))
    windows = [group for group in groups if group.memory == WINDOW]
    return Comparison([_with_saving(group, windows) for group in groups], measure, results[0].task)


def _read(path: Path) -> list[RunResult]:
    if path.is_file() and path.suffix == ".json":
        return [_read_file(path)]
    if not (path / "config.yaml").is_file():
        for depth in ("*", "*/*", "*/*/*"):  # runs of a recipe; of all recipes, or of a sweep
            inside = sorted(file.parent for file in path.glob(f"{depth}/config.yaml"))
            if inside:
                return [_read_run(Run.open(folder)) for folder in inside]
    return [_read_run(Run.open(path))]


def _read_run(run: Run) -> RunResult:
    config, evaluations, later = run.config, run.evaluations(), run.folder / "evaluation.json"
    if not evaluations and later.is_file():
        return replace(_read_file(later), label=config.recipe)
    if not evaluations:
        raise UserError(
            f"{run.folder} has no evaluation yet: train it for longer (--resume), evaluate more often "
            "(--evaluation.every), score it with `expirespan evaluate`, or leave it out"
        )
    settings = {name: value for name, value in to_dict(config).items() if name not in (*ASIDE, "recipe")}
    return RunResult(
        source=str(run.folder),
        label=config.recipe,
        memory=config.memory.name,
        task={"name": config.eval_env.gym_id, **config.eval_env.played},
        steps=[int(entry["step"]) for entry in evaluations],
        evaluations=evaluations,
        settings=dict(_flat(settings)),
    )


def _read_file(path: Path) -> RunResult:
    try:
        file = texts.read_json(path)
        if wrong := _fault(file):
            raise ValueError(wrong)
        task = {"name": file["env"], **file["settings"]}
        label = re.sub(r"-seed\d+$", "", path.stem)
        # older files do not store the memory; their names show it
        memory = str(file.get("memory") or "") or (WINDOW if label.startswith("window") else "")
        return RunResult(str(path), label, memory, task, [file["trained_steps"]], [file["agent"]])
    except ValueError as error:
        raise UserError(
            f"{path} is no evaluation ({said(error)}): expected what `expirespan evaluate RUN "
            "--output FILE.json` writes"
        ) from None


def _fault(file: Any) -> str:
    """What is wrong with the content of a file; nothing if it is as it was written."""
    if not isinstance(file, dict):
        return f"{shown(file)}, expected values by name"
    if missing := [name for name in ("env", "settings", "trained_steps", "agent") if name not in file]:
        return f"it has no {missing[0]}"
    if not isinstance(file["env"], str) or not file["env"]:
        return f"env={shown(file['env'])}, expected the id of an environment"
    if not isinstance(file["settings"], dict):
        return f"settings={shown(file['settings'])}, expected values by name"
    if not texts.is_number(file["trained_steps"], 0):
        return f"trained_steps={shown(file['trained_steps'])}, expected a count"
    return fault_of_score(file["agent"])


def _flat(settings: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value).removesuffix(".0")


def _different(one: RunResult, other: RunResult) -> UserError:
    names = sorted({name for name in one.task | other.task if one.task.get(name) != other.task.get(name)})
    differ = ", ".join(f"{name} {one.task.get(name)!r} and {other.task.get(name)!r}" for name in names)
    return UserError(
        f"{one.source} and {other.source} were evaluated on different environments ({differ}); compare those of "
        "one, or evaluate all on the same with `expirespan evaluate RUN --output FILE.json` and compare the files"
    )


def _labels(firsts: list[RunResult]) -> list[str]:
    """Of each group its recipe, and the settings in which it differs from others of that recipe that have them."""
    labels = []
    for one in firsts:
        same = [other.settings for other in firsts if other.label == one.label]
        names = [name for name in one.settings if len({other[name] for other in same if name in other}) > 1]
        labels.append(", ".join([one.label, *(f"{name}={one.settings[name]}" for name in names)]))
    return labels


def _group(label: str, members: list[RunResult], measure: str) -> Group:
    scores = [_score(member.last, measure) for member in members]
    interval = Interval(*map(float, interquartile_interval(scores))) if len(scores) > 1 else None
    alive = [float(np.mean(m.last["alive_at_end"])) for m in members if m.last.get("alive_at_end")]
    retention = [m.last.get("retention") or {} for m in members]
    recall = [one["recall"] for one in retention if one.get("recall") is not None]
    return Group(
        label=label,
        memory=members[0].memory,
        scores=scores,
        mean=float(interquartile_mean(scores)),
        interval=interval,
        alive=float(np.mean(alive)) if alive else None,
        steps=float(np.mean([member.steps[-1] for member in members])),
        recall=float(np.mean(recall)) if recall else None,
        saved=None,
        curve=_curve(members, measure) if all(len(member.steps) > 1 for member in members) else None,
    )


def _with_saving(group: Group, windows: list[Group]) -> Group:
    equal = [other.alive for other in windows if other.mean >= group.mean and other.alive is not None]
    if group.memory == WINDOW or group.alive is None or not equal:
        return group
    return replace(group, saved=1 - group.alive / min(equal))


def _score(evaluation: dict[str, Any], measure: str) -> float:
    return score_of(evaluation, "success" if measure == "success" else "mean_return")


def _curve(members: list[RunResult], measure: str) -> Curve:
    """After every step at which a run was evaluated; a run that has ended counts with its last evaluation."""
    first = max(member.steps[0] for member in members)
    steps = np.array(sorted({step for member in members for step in member.steps if step >= first}))
    rows = []
    for member in members:
        scores = np.array([_score(entry, measure) for entry in member.evaluations])
        rows.append(scores[np.searchsorted(member.steps, steps, side="right") - 1])
    low, high = interquartile_interval(rows) if len(rows) > 1 else (None, None)
    return Curve(steps, interquartile_mean(rows), low, high)
