"""``expirespan bench attention``: checks a kernel for attention against PyTorch on random cases, then times both.

A case has random sizes, places, resets, spans and absent memories. Values and all gradients must be those of PyTorch in
64 bits, within bounds for numbers of 32 bits, and equal to the bit when they are computed again. What is timed is the
operator forward and backward: rows of ``block`` queries, and memories of which all can be read ("all"), or of which
spans of one step and a ramp of 8 leave the last few ("few").
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from tqdm import tqdm

from expirespan.experiments.bench.options import AttentionOptions as Options
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.training.process_memory import peak_bytes
from expirespan.memory.attention import Inputs, Sight, attend, in_triton, native
from expirespan.memory.rules.rule import FAR, LONGEST

OUTPUTS = ("y", "dq", "dk", "dv", "d_near", "d_reach")
RTOL, ATOL = 1e-4, 1e-4
"""Most that a number of 32 bits may differ: relative, and absolute."""


@dataclass(frozen=True)
class Check:
    """Largest differences from PyTorch in 64 bits by `OUTPUTS`, as shares of what is allowed, of the kernel and of
    PyTorch in 32 bits.
    """

    device: str
    kernel: str
    cases: int
    differences: dict[str, float]
    plain_differences: dict[str, float]


@dataclass(frozen=True)
class Speed:
    """Milliseconds of a median call forward and backward, and peak memory beyond the inputs (None on a CPU)."""

    head_width: int
    memories: int
    readable: str
    kernel_ms: float
    plain_ms: float
    kernel_mb: float | None
    plain_mb: float | None


def case(seed: int) -> Inputs:
    """Random inputs. Masks are never within rounding of 0 and 1, where the gradient jumps."""
    pick = random.Random(seed)
    B, H, T, S = (
        pick.randint(1, 3),
        pick.randint(1, 4),
        pick.choice([1, 7, 40, 130]),
        pick.choice([0, 5, 33, 250]),
    )
    d, M, G, ramp = (
        pick.choice([8, 16, 20, 64, 128]),
        pick.choice([1, 4, 16]),
        pick.choice([0, 9]),
        pick.choice([0.5, 6.0]),
    )
    draw, K = torch.Generator().manual_seed(seed), S + T + G
    q, kv = torch.randn(B, T, H, d, generator=draw), torch.randn(B, K, 2, H, d, generator=draw)
    near = torch.randn(H, B * T, M, generator=draw).transpose(0, 1).unflatten(0, (B, T))
    longest = pick.choice([4, 80, 800])
    eighths = torch.randint(8 * longest, (B, pick.choice([1, H]), K), generator=draw)
    reach = eighths / 8 + 1 / 16
    reach[0, 0, 0] = LONGEST
    before = -1 - torch.stack([torch.randperm(2 * S, generator=draw)[:S] for _ in range(B)])
    before[torch.rand(B, S, generator=draw) < 0.2] = -FAR
    summaries = torch.randint(-20, T, (B, G), generator=draw)
    place = torch.cat([before, torch.arange(T).expand(B, -1), summaries], 1)
    start = torch.rand(B, T, generator=draw) < pick.choice([0.0, 0.02, 0.2])
    begin = torch.where(start, torch.arange(T), -2 * S - 20).cummax(1).values
    youngest = torch.cat([torch.zeros(B, S + T), torch.full((B, G), 4)], 1).long() if G else None
    return Inputs(q, kv[:, :, 0], kv[:, :, 1], near, reach, Sight(place, begin, youngest, S), ramp)


def placed(inputs: Inputs, device: torch.device, dtype: torch.dtype = torch.float32) -> Inputs:
    """On a device, in a number type, ready for a gradient."""
    place, begin, youngest, before = inputs.sight
    youngest = None if youngest is None else youngest.to(device)
    sight = Sight(place.to(device), begin.to(device), youngest, before)
    q, k, v, near, reach = (x.to(device, dtype).requires_grad_() for x in inputs[:5])
    return Inputs(q, k, v, near, reach, sight, inputs.ramp)


def computed(inputs: Inputs, kernel: str) -> dict[str, Tensor]:
    """`OUTPUTS`, for the gradient of a fixed random direction."""
    y = attend(inputs, kernel)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).to(y)
    grads = torch.autograd.grad(y, inputs[:5], direction)
    return dict(zip(OUTPUTS, (y.detach(), *grads), strict=True))


def differences(found: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, float]:
    """Largest difference of each output as a share of what is allowed; inf where something is not finite."""
    shares = {name: (found[name] - x).abs() / (ATOL + RTOL * x.abs()) for name, x in truth.items()}
    return {name: share.nan_to_num(torch.inf).max().item() for name, share in shares.items()}


def check(kernel: str, device: torch.device, cases: int) -> Check:
    """Differences over many cases.

    Raises:
        UserError: in one of them the kernel is wrong.
    """
    worst, plain_worst = dict.fromkeys(OUTPUTS, 0.0), dict.fromkeys(OUTPUTS, 0.0)
    for seed in tqdm(range(cases), unit="case", disable=None):
        drawn = case(seed)
        given = placed(drawn, device)
        truth = computed(placed(drawn, device, torch.float64), "plain")
        found, again, plain = (computed(given, way) for way in (kernel, kernel, "plain"))
        for name, share in differences(found, truth).items():
            where = f"{name} of case {seed} (q {tuple(given.q.shape)}, {given.k.shape[1]} keys)"
            if not share <= 1:
                raise UserError(
                    f"kernel={kernel}: {where} differs from PyTorch's by {share:.3g} times what is allowed; "
                    "do not train with it, and report this line"
                )
            if not torch.equal(found[name], again[name]):
                raise UserError(f"kernel={kernel}: {where} is not equal from run to run; report this line")
            worst[name] = max(worst[name], share)
        for name, share in differences(plain, truth).items():
            plain_worst[name] = max(plain_worst[name], share)
    on = "Triton's interpreter" if kernel == "triton" and in_triton.interpreted() else "cpu"
    return Check(
        torch.cuda.get_device_name(device) if device.type == "cuda" else on, kernel, cases, worst, plain_worst
    )


def workload(options: Options, d: int, S: int, readable: str, device: torch.device) -> Inputs:
    """A block without resets after S memories."""
    B, T, H, M = options.rows, options.block, options.heads, 16
    draw = torch.Generator().manual_seed(0)
    q, kv = torch.randn(B, T, H, d, generator=draw), torch.randn(B, S + T, 2, H, d, generator=draw)
    near = torch.randn(B, T, H, M, generator=draw)
    reach, ramp = torch.full((B, 1, S + T), S + T - 0.5 if readable == "all" else 1.0), 8.0
    place, begin = torch.arange(-S, T).expand(B, -1), torch.full((B, T), -S)
    return placed(
        Inputs(q, kv[:, :, 0], kv[:, :, 1], near, reach, Sight(place, begin, None, S), ramp), device
    )


def speed(options: Options, d: int, S: int, readable: str, device: torch.device) -> Speed:
    """Kernel and PyTorch in turns."""
    inputs = workload(options, d, S, readable, device)
    direction = torch.randn_like(inputs.q)

    def call(kernel: str) -> Callable[[], object]:
        return lambda: torch.autograd.grad(attend(inputs, kernel), inputs[:5], direction)

    times: dict[str, list[float]] = {options.kernel: [], "plain": []}
    peaks: dict[str, float | None] = {}
    for kernel in times:
        call(kernel)()  # compiles
        before = peak_bytes(device, reset=True)
        call(kernel)()
        peaks[kernel] = (peak_bytes(device) - before) / 2**20 if device.type == "cuda" else None
    for _ in range(options.rounds):
        for kernel, found in times.items():
            found.append(_milliseconds(call(kernel), device))
    of_kernel, of_plain = (median(found) for found in times.values())
    return Speed(d, S, readable, of_kernel, of_plain, peaks[options.kernel], peaks["plain"])


def _milliseconds(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    begin = time.perf_counter()
    work()
    _wait(device)
    return 1e3 * (time.perf_counter() - begin)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run(options: Options) -> list[Check | Speed]:
    """The check, then the speeds.

    Raises:
        UserError: the kernel is not to be had here, is wrong, or sizes do not fit.
    """
    check_settings(options)
    for name in ("head_widths", "memories"):
        if not getattr(options, name):
            raise UserError(f"{name}=(): expected at least one")
    if options.kernel == "triton" and max(options.head_widths) > in_triton.WIDEST:
        raise UserError(f"head_widths={options.head_widths}: expected at most {in_triton.WIDEST} for triton")
    reason = {"triton": in_triton.why_not, "native": native.why_not}[options.kernel]()
    if reason:
        raise UserError(
            f"kernel={options.kernel} is not to be had here: {reason}; run this on a machine that has what is missing"
        )
    device = torch.device("cuda" if options.kernel == "triton" and torch.cuda.is_available() else "cpu")
    sizes = [(d, S, r) for d in options.head_widths for S in options.memories for r in ("all", "few")]
    found = check(options.kernel, device, options.cases)
    return [found, *(speed(options, *size, device) for size in sizes)]


def table(rows: Sequence[Check | Speed]) -> str:
    """Two tables in Markdown."""
    lines = []
    for row in (row for row in rows if isinstance(row, Check)):
        lines += [
            f"{row.kernel} on {row.device}: {row.cases} cases, all equal from run to run. Largest differences from "
            "PyTorch in 64 bits, as shares of what is allowed:",
            "",
            "| | " + " | ".join(OUTPUTS) + " |",
            "|---" + "|--:" * len(OUTPUTS) + "|",
        ]
        for name, found in ((row.kernel, row.differences), ("plain", row.plain_differences)):
            lines.append(f"| {name} | " + " | ".join(f"{found[output]:.2g}" for output in OUTPUTS) + " |")
    lines += [
        "",
        "| head width | memories | readable | ms | plain | ratio | peak MiB | plain |",
        "|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for timed in (row for row in rows if isinstance(row, Speed)):
        peaks = ["-" if peak is None else f"{peak:,.1f}" for peak in (timed.kernel_mb, timed.plain_mb)]
        times = [f"{x:.2f}" for x in (timed.kernel_ms, timed.plain_ms, timed.plain_ms / timed.kernel_ms)]
        cells = [str(timed.head_width), f"{timed.memories:,}", timed.readable, *times, *peaks]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
