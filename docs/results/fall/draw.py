"""Draw docs/images/fall.png from seed8.json and seed9.json: `python docs/results/fall/draw.py`."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
RAMP, NEEDED = 4, 5


def draw(output: Path) -> None:
    """One column for each seed: what is solved, what is misread, how long the cues live."""
    figure, axes = plt.subplots(3, 2, figsize=(10, 7.5), sharex="col", sharey="row", layout="constrained")
    for (top, middle, bottom), seed in zip(axes.T, (8, 9), strict=True):
        rows = json.loads((HERE / f"seed{seed}.json").read_text())["rows"]
        rows = [r for r in rows if 150_000 <= r["step"] <= 700_000]
        step = [r["step"] / 1e6 for r in rows]
        top.step(step, [r["patterns_full"] for r in rows], where="mid", color="#666666", label="full memory")
        top.step(step, [r["patterns_acted"] for r in rows], where="mid", color="#d55e00", label="as it acts")
        top.set(title=f"seed {seed}", ylim=(0, 8.5))
        for key, label, color in (
            ("kl_acted_junction", "what acting misreads", "#d55e00"),
            ("kl_lesson_junction", "what the lesson saw of it", "#0072b2"),
        ):
            worst = [max(max(pattern) for pattern in r[key]) for r in rows]
            middle.plot(step, [max(w, 1e-4) for w in worst], color=color, label=label)
        middle.set_yscale("log")
        for name, color in (("left", "#009e73"), ("right", "#cc79a7")):
            bottom.plot(
                step, [r["spans"][1][name][2] for r in rows], color=color, label=f"cue {name}, layer 2"
            )
        bottom.axhline(NEEDED - RAMP, color="black", linewidth=0.8, linestyle="--")
        bottom.set_yscale("log")
        bottom.set_xlabel("environment steps, millions")
    axes[0, 0].set_ylabel("patterns of cues solved, of 8")
    axes[1, 0].set_ylabel("divergence at the worst\njunction, nats")
    axes[2, 0].set_ylabel("span, steps")
    axes[2, 0].annotate("below: deleted before the junction", (0.16, 0.95), fontsize=8, va="top")
    for axis in axes[:, 0]:
        axis.legend(fontsize=8, loc="best")
    figure.savefig(output, dpi=110)
    print(output)


if __name__ == "__main__":
    draw(HERE.parents[1] / "images" / "fall.png")
