"""``expirespan bench memories``: costs of each memory at the same reach, as in the paper's table of efficiency.

Every memory reads the same random blocks with states that have grown as old as they can: a window of ``reach`` states,
heads that reach ``reach`` and a sixteenth of it in turn, a window of half of it with summaries for the rest, and
Expire-Span with spans set by hand so that a share ``kept`` of the states lives for ``reach`` steps and the others die
at once. With ``alive`` that share is chosen so that about as many states live at every reach, which shows that cost and
memory follow what is alive and not the longest span. So this compares costs, not what is learned. A block is one
`unroll` with its gradient, a step one `step`. Every round measures all cases, each in a new process.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from multiprocessing import get_all_start_methods, get_context
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from expirespan.experiments.bench.costs import Cost, draw, middle, table
from expirespan.experiments.bench.options import MEASURED
from expirespan.experiments.bench.options import MemoriesOptions as Options
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.training.process_memory import KEPT, RETURNED, choose_malloc, peak_bytes
from expirespan.memory import (
    AdaptiveSpan,
    Compressive,
    ExpireSpan,
    FixedWindow,
    Rule,
    TransformerMemory,
    TransformerState,
)
from expirespan.memory.slots import ABSENT, LayerMemories

__all__ = ["MEASURED", "Cost", "Options", "aged", "build", "draw", "measure", "run", "table"]


CUT = 2.0
"""Normalised states that lie so far along a direction, in standard deviations, live long under Expire-Span."""


def build(name: str, reach: int, options: Options) -> TransformerMemory:
    """The memory called ``name``, which reads ``reach`` steps back."""
    rules: dict[str, Callable[[], Rule]] = {
        "fixed_window": lambda: FixedWindow(reach),
        "adaptive_span": lambda: AdaptiveSpan(reach, ramp=16),
        "compressive": lambda: Compressive(reach // 2, slots=reach // 8, factor=4),
        "expire_span": lambda: ExpireSpan(reach, ramp=16),
    }
    torch.manual_seed(0)
    memory = TransformerMemory(options.width, options.layers, options.heads, rules[name]())
    for rule in memory.rules:
        if isinstance(rule, AdaptiveSpan):
            share = torch.tensor([0.999, 1 / 16] * options.heads)[: options.heads]
            rule.reach_logit.data = torch.logit(share)
        elif isinstance(rule, ExpireSpan):
            direction = torch.randn(1, options.width)
            direction -= direction.mean()  # as layer normalisation does with states
            rule.predictor.weight.data = 1000 * direction / direction.norm()
            rule.predictor.bias.data.fill_(-1000 * CUT)
    return memory


def marked(h_BSD: Tensor, rule: ExpireSpan, share: float) -> Tensor:
    """The states, of which exactly that share, evenly spread, will be given the longest span and the others none."""
    direction = F.normalize(rule.predictor.weight[0], dim=0)
    place = torch.arange(h_BSD.shape[1], device=h_BSD.device, dtype=torch.float64)
    chosen = ((place + 1) * share).floor() > (place * share).floor()
    along = 3 * CUT * chosen.to(h_BSD)[None, :, None] - (h_BSD @ direction)[..., None]
    return h_BSD + along * direction


def aged(memory: TransformerMemory, rows: int, steps: int, kept: float) -> TransformerState:
    """A state after ``steps`` steps of random states, written down at once: what the rules keep of them.

    ``kept``: share of the states that Expire-Span is to keep for long. For rules with summaries ``steps`` must be a
    multiple of their factor.
    """
    first = memory.initial_state(rows)
    place = torch.arange(steps, device=first.time_B.device).expand(rows, -1)
    kept_by = []
    layers: list[Any] = list(memory.layers)
    for layer in layers:
        h = torch.randn(rows, steps, memory.width, device=place.device)
        rule = layer.rule
        if isinstance(rule, ExpireSpan):
            h = marked(h, rule, kept)
        span = rule.spans(layer.norm(h))
        dead = rule.expired(span, steps - place)
        own = LayerMemories(place.masked_fill(dead, ABSENT), span, h)
        if isinstance(rule, Compressive):
            begin = torch.arange(0, steps - rule.window + 1, rule.factor, device=place.device)[-rule.slots :]
            summary = torch.randn(rows, len(begin), memory.width, device=place.device)
            life = torch.full((rows, len(begin)), rule.max_span, device=place.device)
            summaries = LayerMemories(begin.expand(rows, -1), life, summary)
            own = LayerMemories(*(torch.cat(pair, 1) for pair in zip(summaries, own, strict=True)))
        kept_by.append(own)
    return TransformerState.of(first.time_B + steps, kept_by)


def measure(name: str, reach: int, options: Options) -> Cost:
    """The costs of one memory at one reach."""
    device = torch.device(
        options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    torch.set_num_threads(1)
    choose_malloc(RETURNED)  # first of all: what lies free in the heap is used before the system's pages
    memory = build(name, reach, options).to(device)
    with torch.no_grad():
        kept = options.kept if options.alive is None else options.alive / reach
        state = aged(memory, options.rows, 2 * reach, kept)
        ready = memory.refresh(state)
    x = torch.randn(options.rows, options.block, options.width, device=device)
    none = torch.zeros(options.rows, options.block, dtype=torch.bool, device=device)
    alive: list[Tensor] = []

    def block() -> None:
        out = memory.unroll(x, state, none)
        (out.y.square().mean() + out.auxiliary.sum()).backward()
        alive[:] = out.trace.alive

    def steps() -> None:
        following = ready
        for t in range(8):
            following = memory.step(x[:, t % options.block], following, none[:, 0]).state

    block()  # what is loaded once, and the gradients, are no part of the peak
    before = peak_bytes(device, reset=True)
    block()
    peak = peak_bytes(device) - before
    choose_malloc(KEPT)
    return Cost(
        memory=name,
        reach=reach,
        alive=torch.stack(alive).float().mean().item(),
        block_ms=1e3 * _fastest(block, options.repeats, device),
        step_ms=1e3 * _fastest(steps, 10 * options.repeats, device) / 8,  # they are short: more of them
        peak_mb=peak / 2**20,
        state_mb=ready.nbytes / 2**20,
    )


def _fastest(work: Callable[[], None], repeats: int, device: torch.device) -> float:
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    best = math.inf
    for _ in range(repeats + 1):  # the first is a warm-up in all but name
        begin = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, clock() - begin)
    return best


def run(options: Options) -> list[Cost]:
    """All memories at all reaches: the medians of ``options.rounds`` rounds.

    Each case runs in a separate process, so that none inherits another's peak. Every round measures all cases, so that
    a quiet hour of the machine does not favour one of them.

    Raises:
        UserError: sizes that do not fit.
    """
    check_settings(options)
    if not options.reach or min(options.reach) < 16 or any(reach % 8 for reach in options.reach):
        raise UserError(f"reach={options.reach}: expected multiples of 8 from 16 on")
    if not 0 < options.kept < 1:
        raise UserError(f"kept={options.kept}: expected a share within (0, 1)")
    if options.alive is not None and not 0 < options.alive < min(options.reach):
        raise UserError(
            f"alive={options.alive}: expected from 1 to less than the shortest reach, {min(options.reach)}"
        )
    for name in options.memories:
        if name not in MEASURED:
            raise unknown("memory", name, MEASURED)
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__])
    cases = [(name, reach, options) for reach in options.reach for name in options.memories]
    found: list[list[Cost]] = [[] for _ in cases]
    with (
        context.Pool(1, maxtasksperchild=1) as pool,
        tqdm(cases * options.rounds, unit="case", disable=None) as bar,
    ):
        for number, case in enumerate(bar):
            bar.set_postfix_str(f"{case[0]} at {case[1]:,}")
            found[number % len(cases)].append(pool.apply(measure, case))
    return [middle(costs) for costs in found]
