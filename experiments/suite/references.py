"""What chance and our oracles reach on the tasks of the suites: measured once and kept beside this file.

`python -m expirespan.experiments.suite.references [SUITE ...]` measures the suites named, or all whose packages are
installed, and replaces their lines in the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expirespan.experiments.run_folder.evaluations import score_of
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.suite.tasks import SUITES, Task

FILE = Path(__file__).with_name("references.json")
EPISODES, ENVS, SEED = 500, 50, 3_000_000
"""Episodes of each measurement, the environments that they are spread over, and the seed of the first of these."""


@dataclass(frozen=True)
class Reference:
    """Scores between which those of a task are normalised: 0 is ``chance`` and 1 is ``best``."""

    chance: float
    best: float
    source: str

    def normalised(self, score: float) -> float:
        """A score on that scale; below chance it is negative."""
        return (score - self.chance) / (self.best - self.chance)


def reference(task: Task) -> Reference:
    """The stored reference of a task.

    Raises:
        UserError: it has not been measured.
    """
    stored = _stored().get(task.name)
    best = task.best if task.best is not None else (stored or {}).get("oracle")
    if stored is None or best is None:
        raise UserError(
            f"task {task.name}: the score of chance or of the oracle is not in {FILE.name}; "
            "`python -m expirespan.experiments.suite.references` measures it"
        )
    return Reference(stored["chance"], best, task.source)


def measure(task: Task, progress: bool = False) -> dict[str, Any]:
    """Scores of random actions and, where there is one, of our oracle, on a task's evaluation environment."""
    from expirespan.experiments.episodes.playing import OraclePlayer, RandomPlayer, has_oracle
    from expirespan.experiments.evaluation.evaluate import score
    from expirespan.experiments.making.envs import keeping_envs_open, lent_envs
    from expirespan.experiments.recipes import configured

    recipe, *options = task.train
    env = configured(recipe, options).eval_env
    limit = 30_000
    with keeping_envs_open():
        with lent_envs(env, ENVS) as envs:
            space = envs.single_action_space
        chance = score(RandomPlayer(space, ENVS, SEED), env, EPISODES, ENVS, SEED, limit)
        best = score(OraclePlayer(env, ENVS), env, EPISODES, ENVS, SEED, limit) if has_oracle(env) else None
    found = {"chance": score_of(asdict(chance), task.measure), "episodes": EPISODES}
    return found | ({"oracle": score_of(asdict(best), task.measure)} if best else {})


def main(names: Sequence[str]) -> int:
    """Measure suites and write the file."""
    for name in names or SUITES:
        for task in SUITES[name].tasks:
            try:
                found = measure(task)
            except UserError as error:
                if names:
                    raise
                print(f"{name}: left out ({error})")
                break
            command = f"python -m expirespan.experiments.suite.references {name}"
            stored = _stored() | {task.name: found | {"command": command}}
            write_text(FILE, json.dumps(dict(sorted(stored.items())), indent=2) + "\n")
            print(f"{name} {task.name}: {found}", flush=True)
    return 0


def _stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
