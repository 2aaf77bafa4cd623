"""Pages of the viewer, one of each trained agent that comes with the package."""

from __future__ import annotations

import torch as th

from expirespan.agents import load_card, pretrained_names
from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.making.agents import pretrained_agent
from expirespan.experiments.settings import KINDS, Config
from expirespan.experiments.settings.config_file import from_dict
from expirespan.experiments.viewer import viewer_page

AGENTS = list(pretrained_names())
PAGES = [f"results/{name}.md" for name in AGENTS]


def make() -> dict[str, str | bytes]:
    """The viewer's pages, and around each a page of the site, by their place."""
    th.set_num_threads(1)
    made: dict[str, str | bytes] = {}
    for name in AGENTS:
        settings = from_dict(dict(load_card(name).settings), f"the card of {name!r}", Config, KINDS)
        trace = record_episode(pretrained_agent(name), settings.eval_env.longest(), 0, settings.recipe)
        made[f"viewers/{name}.html"] = viewer_page([trace], f"expirespan: {name}").encode()
        made[f"results/{name}.md"] = _page(name, f"It ends in {trace.outcome}. {kept_sentence(trace)}")
    return made


def frame(name: str, prefix: str) -> str:
    """The viewer's page of an agent within another page."""
    link = f"{prefix}viewers/{name}.html"
    return (
        f'<iframe class="viewer" src="{link}" title="The viewer: {name}" loading="lazy"></iframe>\n\n'
        f'<p><a href="{link}">The viewer alone, in the whole window</a></p>'
    )


def _page(name: str, verdict: str) -> str:
    card = load_card(name)
    origin = f"Seed {card.seed}, {card.steps:,} steps, commit `{card.commit[:9]}`, licence {card.licence}."
    paragraphs = [
        f"# What does the agent of {name} keep?",
        card.summary,
        verdict,
        f"{origin} `expirespan view pretrained:{name}` makes the same page; [The viewer](../viewer.md) explains it, "
        "[Results](../results.md) has the scores.",
        frame(name, "../"),
        f"The command that trained the agent:\n\n```text\n{card.command}\n```",
    ]
    return "\n\n".join(paragraphs) + "\n"
