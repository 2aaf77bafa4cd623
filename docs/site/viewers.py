"""Pages of the viewer, one of each trained agent that comes with the package."""

from __future__ import annotations

import torch as th

from expirespan.experiments.demo.shipped import about, load
from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.settings import CorridorSettings
from expirespan.experiments.viewer import viewer_page

TASKS = {"corridor": ("Corridor: what does an agent keep of 201 steps?", CorridorSettings(200, 200))}
"""Of each task the title of its page, and the episode shown."""
PAGES = [f"results/{task}.md" for task in TASKS]


def make() -> dict[str, str | bytes]:
    """The viewer's pages, and around each a page of the site, by their place."""
    th.set_num_threads(1)
    made: dict[str, str | bytes] = {}
    for task, (title, env) in TASKS.items():
        trace = record_episode(load(), env, 0, about()["recipe"])
        made[f"viewers/{task}.html"] = viewer_page([trace], f"expirespan: {task}").encode()
        made[f"results/{task}.md"] = _page(task, title, f"It ends in {trace.outcome}. {kept_sentence(trace)}")
    return made


def frame(task: str, prefix: str) -> str:
    """The viewer's page of a task within another page."""
    link = f"{prefix}viewers/{task}.html"
    return (
        f'<iframe class="viewer" src="{link}" title="The viewer: {task}" loading="lazy"></iframe>\n\n'
        f'<p><a href="{link}">The viewer alone, in the whole window</a></p>'
    )


def _page(task: str, title: str, verdict: str) -> str:
    made = about()
    origin = f"Recipe `{made['recipe']}`, seed {made['seed']}, {made['steps']:,} steps, commit `{made['commit'][:9]}`"
    return (
        "\n\n".join(
            [
                f"# {title}",
                verdict,
                f"{origin}. `expirespan demo` writes the same page; [The viewer](../viewer.md) explains "
                "it, [Results](../results.md) has the scores.",
                frame(task, "../"),
                f"The command that trained the agent:\n\n```text\n{made['command']}\n```",
            ]
        )
        + "\n"
    )
