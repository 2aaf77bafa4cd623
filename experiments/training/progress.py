"""Progress of training on the terminal: a bar, and a line for each evaluation."""

from __future__ import annotations

import sys
from typing import Any

from stable_baselines3.common.logger import KVWriter
from tqdm import tqdm


class ProgressBar(KVWriter):
    """A bar over environment steps, with steps per second, success rate and memories alive."""

    def __init__(self, total: int, done: int, shown: bool) -> None:
        self._bar = tqdm(
            total=total, initial=done, unit=" steps", unit_scale=True, dynamic_ncols=True, disable=not shown,
            smoothing=0.05, file=sys.stderr,
        )  # fmt: skip
        self._facts: dict[str, str] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Move to the step and show what is logged with it."""
        if "rollout/success_rate" in key_values:
            self._facts["success"] = f"{key_values['rollout/success_rate']:.2f}"
        alive = [
            v for k, v in sorted(key_values.items()) if k.startswith("expire/layer") and k.endswith("/alive")
        ]
        if alive:
            self._facts["alive"] = "/".join(f"{count:.0f}" for count in alive)
        self._bar.set_postfix(self._facts, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def say(text: str) -> None:
    """Print a line above the bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()
