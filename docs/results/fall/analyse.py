"""Numbers of one fall: what acting reads of the cues, and what the lesson believed it reads, by checkpoint.

At commit ed19093, whose lesson reads through logistic masks (later ones have no `softness`):

    expirespan train tmaze --seed 9 --evaluation.every 20000 --checkpoints 200
    python analyse.py RUN seed9.json
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import torch as th

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents.span_descent import recording
from expirespan.experiments.build import load_agent
from expirespan.experiments.run import Run

PATTERNS = list(itertools.product([True, False], repeat=3))  # whether each of three cues is left
N, T = len(PATTERNS), 18
JUNCTIONS = [5, 11, 17]
WANTED = th.tensor([[0 if left else 1 for left in cues] for cues in PATTERNS])


def walks() -> th.Tensor:
    """(8, 18, 4): what the oracle observes in three corridors of 5 cells, for each pattern of cues."""
    obs = th.zeros(N, T, 4)
    for n, cues in enumerate(PATTERNS):
        for t in range(T):
            left, x = cues[t // 6], t % 6
            obs[n, t] = th.tensor([float(x == 0 and left), float(x == 0 and not left), float(x == 5), x / 5])
    return obs


OBS = walks()
START = th.zeros(N, T, dtype=th.bool)
START[:, 0] = True


def read(policy: Any, **altered: th.Tensor) -> tuple[th.Tensor, list[th.Tensor]]:
    """(8, 18, 3) probabilities of the actions, and the spans of each layer."""
    state = policy.initial_state(N).with_spans(**altered)
    out = policy.unroll(OBS, th.zeros(N, T, 1), state, START)
    return out.distribution.distribution.probs.view(N, T, -1), out.memory.trace.spans


def divergence(p: th.Tensor, q: th.Tensor) -> th.Tensor:
    """KL(p || q) in nats of each step."""
    return (p * (p.clamp_min(1e-12).log() - q.clamp_min(1e-12).log())).sum(-1)


def right(p: th.Tensor) -> list[bool]:
    """Whether the most likely turns are those of the cues, by pattern."""
    return (p[:, JUNCTIONS].argmax(-1) == WANTED).all(1).tolist()


def kinds(value: th.Tensor) -> dict[str, list[float]]:
    """Means of (8, 18) over the left and the right cues of each corridor, and over its other steps by position."""
    cue = {
        name: [
            value[[n for n, c in enumerate(PATTERNS) if c[k] is left], 6 * k].mean().item() for k in range(3)
        ]
        for name, left in (("left", True), ("right", False))
    }
    return cue | {"position": [value[:, [6 * k + x for k in range(3)]].mean().item() for x in range(1, 6)]}


def row(agent: Any) -> dict[str, Any]:
    """All numbers of one checkpoint."""
    policy = agent.policy
    with th.no_grad():
        full, spans = read(policy, floor=th.full((N,), 64.0))
        acted, _ = read(policy)
        th.manual_seed(0)
        draws = [dict(softness=0.5 * 8 ** th.rand(N), scale=1 - 0.2 * th.rand(N)) for _ in range(64)]
        lesson = th.stack([divergence(full, read(policy, **draw)[0]) for draw in draws]).mean(0)
    with recording([rule.predictor for rule in policy.memory.rules]) as readings:
        soft, _ = read(policy, softness=th.full((N,), 1.4), scale=th.full((N,), 0.9))
    outputs = [z for reading in readings for z in reading.outputs]
    grads = th.autograd.grad(divergence(full, soft).mean(), outputs)
    return {
        "step": agent.num_timesteps,
        "patterns_full": sum(right(full)),
        "patterns_acted": sum(right(acted)),
        "lost": [n for n, (a, b) in enumerate(zip(right(full), right(acted), strict=True)) if a and not b],
        "kl_acted": divergence(full, acted).mean().item(),
        "kl_lesson": lesson.mean().item(),
        "kl_acted_junction": divergence(full, acted)[:, JUNCTIONS].tolist(),
        "kl_lesson_junction": lesson[:, JUNCTIONS].tolist(),
        "spans": [kinds(layer) for layer in spans],
        "gradient": [kinds(g.view(N, T) * N * T) for g in grads],
    }


if __name__ == "__main__":
    run = Run.open(Path(sys.argv[1]))
    rows = [row(load_agent(run.config, file)) for file in run.step_checkpoints()]
    found = {"commit": "ed19093", "seed": run.config.seed, "rows": rows}
    Path(sys.argv[2]).write_text(json.dumps(found, default=float) + "\n")
