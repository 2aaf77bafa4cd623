"""``expirespan demo``: load the agent that comes with the package, play, say what it keeps, write picture and page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expirespan.experiments.settings import CorridorSettings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse
from expirespan.experiments.terminal.text import facts, fitted
from expirespan.parameters import CorridorLength, Seed

HELP = """Play one corridor with an agent that comes with the package, say what it keeps at the end, and write a picture
and a page of it. The agent was trained on corridors of 3 to 200 cells."""


@dataclass(frozen=True)
class DemoOptions:
    """Which episode, and where the files go."""

    length: CorridorLength = 200
    """Cells of the corridor. The agent has seen no longer ones than 200."""
    seed: Seed = 0
    """Seed of the episode: the colour of the ball, and the sides of the doors."""
    output: Path = Path("runs/demo")
    """Folder for the picture and the page."""
    open: bool = True
    """Open the page in a browser, where there is a terminal and a display."""


def demo_command(args: Sequence[str]) -> int:
    """``expirespan demo``."""
    options = parse(DemoOptions(), args, "expirespan demo", HELP)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to {options.output}: {error.strerror or error}; choose another folder with --output FOLDER"
        ) from None
    import torch

    from expirespan.experiments.demo.shipped import about, load
    from expirespan.experiments.episodes.kept import kept_sentence
    from expirespan.experiments.episodes.record import record_episode
    from expirespan.experiments.episodes.showing import image_of
    from expirespan.experiments.pictures.retention import draw_retention
    from expirespan.experiments.run_folder.files import write_text
    from expirespan.experiments.viewer.command import show
    from expirespan.experiments.viewer.page import viewer_page

    env = CorridorSettings(options.length, options.length)
    torch.set_num_threads(1)  # more would only wait for each other
    made = about()
    trained = f"seed {made['seed']}, {made['steps']:,} steps of training"
    print(
        fitted(
            f"An agent of the recipe {made['recipe']} ({trained}) plays a corridor of {options.length:,} cells."
        )
    )
    trace = record_episode(load(), env, options.seed, made["recipe"])
    print(fitted(f"It ends in {trace.outcome}. {kept_sentence(trace)}"))
    picture = draw_retention(trace, options.output / "retention.png", image_of(env))
    page = options.output / "viewer.html"
    write_text(page, viewer_page([trace], "expirespan demo"))
    shown = options.open and show(page)
    opened = "opened in your browser" if shown else "open it in a browser"
    print(
        facts(
            [("picture", str(picture)), ("page", f"{page} ({opened})"), ("next", "expirespan train corridor")]
        )
    )
    return 0
