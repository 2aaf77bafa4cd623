"""Report of ``expirespan compare``, printed and written: a table, pictures, and a page that holds both."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from expirespan.experiments.evaluation.compare import Comparison, Group
from expirespan.experiments.pictures.comparison import draw_learning, draw_memory
from expirespan.experiments.pictures.picture_file import FORMATS, write_picture
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.provenance import provenance

COLUMNS = (
    "runs", "memory", "n", "alive per layer", "{measure}, interquartile mean", "95 % interval", "each run",
    "cues held", "memory saved", "steps",
)  # fmt: skip
NOTES = (
    "Scores are of each run's last evaluation. Interquartile means leave out the lowest and the highest quarter of "
    "the runs, rounded down; intervals are percentiles of a bootstrap over runs, too narrow for few of them. Alive: "
    "memories at the end of the longest episodes. Cues held: recall at the decision. Memory saved: against the "
    "smallest fixed window of this comparison that scores at least as well. In the curves a run that has ended counts "
    "with its last evaluation."
)
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "img{max-width:100%;height:auto}figure{margin:1rem 0}.wide{overflow-x:auto}table{border-collapse:collapse}"
    "th,td{padding:.3rem .5rem;border-bottom:1px solid #ccc;text-align:right;vertical-align:top}"
    "td{overflow-wrap:break-word;max-width:16rem}td:nth-child(n+3):not(:nth-child(7)){white-space:nowrap}"
    "th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}p{color:#555;overflow-wrap:anywhere}"
)


def table(comparison: Comparison) -> list[tuple[str, ...]]:
    """Rows of texts, the first with the headings."""
    head = tuple(column.format(measure=comparison.measure) for column in COLUMNS)
    return [head, *map(_row, comparison.groups)]


def page(comparison: Comparison, pictures: dict[str, bytes]) -> str:
    """A self-contained HTML page: table, and pictures (PNG) under their captions."""
    head, *rows = table(comparison)
    title = html.escape(comparison.title)
    cells = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    figures = "".join(
        f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, data in pictures.items()
    )
    headings = "".join(f"<th>{html.escape(column)}</th>" for column in head)
    made = provenance()
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>Runs compared</h1><p>{title}</p>"
        f'<div class="wide"><table><thead><tr>{headings}</tr></thead><tbody>{cells}</tbody></table></div>'
        f"<p>{html.escape(NOTES)}</p>{figures}"
        f"<p>Made by <code>{html.escape(made['command'])}</code>, {html.escape(made['time'])}.</p></body></html>"
    )


def write_report(comparison: Comparison, folder: Path, form: str = "png") -> list[Path]:
    """Write ``compare.html``, ``compare.json``, and ``memory`` and ``learning`` if there is something to draw.

    ``form``: of these pictures, png, svg or pdf. Returns the paths written. Pictures of an earlier comparison in the
    folder do not stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "memory": ("Score against memories alive", draw_memory(comparison)),
        "learning": ("Scores during training", draw_learning(comparison)),
    }
    paths = []
    for name, (_, figure) in drawn.items():
        for suffix in FORMATS:
            (folder / name).with_suffix(suffix).unlink(missing_ok=True)
        if figure is not None:
            paths.append(write_picture(figure, folder / f"{name}.{form}"))
    pictures = {caption: _png(figure) for caption, figure in drawn.values() if figure is not None}
    write_text(folder / "compare.html", page(comparison, pictures))
    found = asdict(comparison) | {"provenance": provenance()}
    write_text(folder / "compare.json", json.dumps(found, indent=2, default=np.ndarray.tolist) + "\n")
    return [*paths, folder / "compare.json", folder / "compare.html"]


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=130)
    return file.getvalue()


def _row(group: Group) -> tuple[str, ...]:
    low, high = group.interval or (None, None)
    return (
        group.label,
        group.memory or "-",
        str(len(group.scores)),
        _number(group.alive, ".1f"),
        f"{group.mean:.3f}",
        "-" if low is None else f"{low:.3f} to {high:.3f}",
        ", ".join(f"{score:.3f}" for score in group.scores),
        _number(group.recall, ".2f"),
        _number(group.saved, ".0%"),
        f"{group.steps / 1e6:.2f} M",
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
