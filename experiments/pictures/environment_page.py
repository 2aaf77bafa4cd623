"""docs/environments.md from the environments' cards, with a picture of each.

    python -m expirespan.experiments.pictures.environment_page docs

writes the page and its pictures; a test compares the page with the cards.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from PIL import Image

from expirespan.envs import ENVIRONMENTS, ORACLES, Environment
from expirespan.experiments.settings.errors import UserError

COMMAND = "python -m expirespan.experiments.pictures.environment_page docs"
INTRODUCTION = f"""# Environments

Made from the cards in the code (the docstrings of the classes) by `{COMMAND}`.

`import expirespan.envs` registers them. `gym.make(id)` gives one environment, readable and renderable;
`gym.make_vec(id, num_envs=n)` many at once, in numpy, step for step equal to `SyncVectorEnv` of the first. Episodes of
the second begin anew within the step that ends one, and its `get_state` and `set_state` save and restore it. All
parameters below may be given to either. `expirespan.envs.ORACLES` has a player for each that reaches the optimum from
observations alone; `expirespan bench envs` measures speed ([results.md](results.md#speed-of-the-environments)).
A single environment is saved by pickling or by `copy.deepcopy`.

Three more ids are others' environments, made to demand memory, without cards: `ExpireSpan/CartPoleNoVel-v1` and
`ExpireSpan/PendulumNoVel-v1` show no velocities, `ExpireSpan/MiniGridMemoryS13-v0` is MiniGrid's memory room with a
twin in numpy.
"""


@dataclass(frozen=True)
class Picture:
    """What is shown of an environment: the oracle after some steps."""

    env_id: str
    steps: int
    seed: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict)


PICTURES = {
    "Corridor": Picture("ExpireSpan/Corridor-v0", 3, kwargs={"max_length": 12}),
    "EndlessTMaze": Picture("ExpireSpan/EndlessTMaze-v0", 14),
    "PortalRooms": Picture("ExpireSpan/PortalRooms-10-v0", 54),
    "FindInstruction": Picture("ExpireSpan/FindInstruction-v0", 7, 2, {"min_length": 4, "max_length": 5}),
}
"""What the page shows, by class."""


def page() -> str:
    """The text of docs/environments.md."""
    parts = [INTRODUCTION, _table()]
    for name, cls in classes().items():
        parts += [f"## {name}", f"![{name}](images/env-{name.lower()}.png)", *markdown(cls.__doc__ or "")]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def picture(shown: Picture) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The environment as pixels, after the oracle's first steps."""
    env, oracle = gym.make(shown.env_id, render_mode="rgb_array", **shown.kwargs), ORACLES[shown.env_id](1)
    observation, _ = env.reset(seed=shown.seed)
    for step in range(shown.steps):
        observation, *_ = env.step(oracle.act(observation[None], [step == 0])[0])
    pixels: Any = env.render()
    env.close()
    return np.asarray(pixels)


def write(folder: Path) -> list[Path]:
    """Write the page into a folder and the pictures into its ``images``; returns what was written."""
    written = [folder / "environments.md"]
    written[0].write_text(page(), encoding="utf-8")
    for name, shown in PICTURES.items():
        written.append(folder / "images" / f"env-{name.lower()}.png")
        Image.fromarray(picture(shown)).save(written[-1], optimize=True)
    return written


def markdown(card: str) -> Iterator[str]:
    """The parts of a card: its summary, then each heading in bold with its paragraphs, lists and drawings."""
    summary, *lines = cleandoc(card).splitlines()
    yield _plain(summary)
    sections: list[tuple[str, list[str]]] = []
    for line in lines:
        if line and not line.startswith(" "):
            sections.append((line, []))
        elif sections:
            sections[-1][1].append(line.removeprefix("    "))
    for heading, body in sections:
        yield f"**{heading}**"
        for paragraph in re.split(r"\n\s*\n", "\n".join(body).strip("\n")):
            yield _paragraph(paragraph, as_list=heading == "Parameters")


def _paragraph(text: str, as_list: bool) -> str:
    lines = text.splitlines()
    if lines[0].startswith("    "):
        return "\n".join(["```text", *(line.removeprefix("    ") for line in lines), "```"])
    text = _plain(text.removesuffix(":") if text.endswith("::") else text)
    if as_list and len(lines) > 1 and any(line.startswith("    ") for line in lines):
        items = re.split(r"\n(?!    )", text)
        return "\n".join("- " + re.sub(r"\n    ", "\n  ", item) for item in items)
    return text


def _plain(text: str) -> str:
    return text.replace("``", "`")


def classes() -> dict[str, Any]:
    """The scalar classes in the order in which they are registered."""
    classes: dict[str, Any] = {
        listed.entry_point: load_env_creator(listed.entry_point) for listed in ENVIRONMENTS.values()
    }
    return {cls.__name__: cls for cls in classes.values()}


def _table() -> str:
    rows = ["| id | differs from the defaults by | optimum |", "|---|---|---|"]
    rows += [
        f"| `{listed.id}` | {_differences(listed)} | {listed.optimum:g} |" for listed in ENVIRONMENTS.values()
    ]
    return "\n".join(rows)


def _differences(listed: Environment) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in listed.kwargs.items())


def main(argv: Sequence[str]) -> int:
    """Write the page and the pictures into the folder named."""
    if len(argv) != 1 or not Path(argv[0], "images").is_dir():
        raise UserError(
            f"arguments {list(argv)}: expected the docs folder, which has a folder images; {COMMAND}"
        )
    print("\n".join(map(str, write(Path(argv[0])))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
