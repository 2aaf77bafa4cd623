"""A lesson in forgetting: "forget what does not change what you would do".

The span penalty alone shortens every span, and once a task is solved nothing in the loss of reward pulls back
until failures come. So a fraction of the environments acts with every span held at ``max_span``: these teachers
remember everything. On their segments the same policy is read a second time through its own spans, shortened at random,
and pulled towards what it did with full memory:

    loss = coef * [KL(pi_full || pi_forgetful) + 1/2 (V_full - V_forgetful)^2]

with the full side detached. The gradient reaches a span through the ramp of its soft mask, also where the policy
never fails. Not in the paper; see docs/results.md for what it brings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch as th
from stable_baselines3.common.distributions import kl_divergence

from expirespan.agents.buffer import SegmentBatch
from expirespan.agents.histogram import Histogram
from expirespan.agents.policies import Evaluation, MemoryActorCriticPolicy
from expirespan.memory import Trace, TransformerMemory, TransformerState
from expirespan.memory.rule import require


@dataclass(frozen=True)
class Forgetting:
    """Settings of the lesson.

    ``fraction``: share of the environments, within (0, 1), that act with full memory.
    ``coef``: weight of the loss. ``shortest``: half of the segments are re-read with spans multiplied by
    u ~ U(shortest, 1), so that what matters gets a span with some margin; 1 for no margin.
    """

    fraction: float = 0.25
    coef: float = 1.0
    shortest: float = 0.5

    def __post_init__(self) -> None:
        require(0 < self.fraction < 1, "fraction", self.fraction, "within (0, 1), both ends excluded")
        require(self.coef >= 0, "coef", self.coef, "a number >= 0")
        require(0 < self.shortest <= 1, "shortest", self.shortest, "within (0, 1]")

    def teachers(self, n_envs: int, device: th.device) -> th.Tensor:
        """(N,) bool: the last ``fraction`` of the environments, at least one."""
        count = max(1, round(self.fraction * n_envs))
        return th.arange(n_envs, device=device) >= n_envs - count

    def begin(self, memory: TransformerMemory, state: TransformerState) -> TransformerState:
        """State of the rollout's start in which teachers keep everything."""
        longest = max(rule.max_span for rule in memory.rules)
        floor = self.teachers(state.batch_size, state.time_B.device) * longest
        return state.with_spans(floor=floor.to(state.floor_B), limit=state.limit_B)

    def loss(self, policy: MemoryActorCriticPolicy, batch: SegmentBatch, full: Evaluation) -> th.Tensor:
        """Mean over the teachers' steps in the minibatch of how forgetting changes the policy; 0 if there are none."""
        assert isinstance(batch.state, TransformerState)
        chosen = (batch.state.floor_B > 0).nonzero()[:, 0]
        if len(chosen) == 0:
            return full.values.new_zeros(())
        u = 1 - (1 - self.shortest) * th.rand(len(chosen), device=chosen.device)
        scale = th.where(th.rand(len(chosen), device=chosen.device) < 0.5, u, th.ones_like(u))
        state = batch.state[chosen].with_spans(scale=scale)
        obs = batch.observations
        own = policy.unroll(
            {k: v[chosen] for k, v in obs.items()} if isinstance(obs, dict) else obs[chosen],
            batch.actions[chosen],
            state,
            batch.episode_starts[chosen],
        )
        with th.no_grad():
            rows = full.memory.y[chosen].flatten(0, 1)
            teacher, teacher_values = policy.heads(rows)
        kl = kl_divergence(teacher, own.distribution)
        kl = kl.sum(-1) if kl.dim() > 1 else kl
        return self.coef * (kl.mean() + 0.5 * (own.values.flatten() - teacher_values.flatten()).pow(2).mean())


class RolloutSpans:
    """Spans given and memories read during one rollout, for the logger."""

    def __init__(self, counted: th.Tensor) -> None:
        self.counted = counted
        self.spans: list[list[th.Tensor]] = []
        self.alive: list[list[th.Tensor]] = []

    def add(self, trace: Trace) -> None:
        """Take in one step's trace."""
        self.spans.append([span[:, 0] for span in trace.spans])
        self.alive.append([alive[:, 0] for alive in trace.alive])

    def record(self, logger: Any, longest: float) -> None:
        """Write ``expire/layer{i}/...``: all environments' spans, memories alive in those that forget."""
        for i, (spans, alive) in enumerate(zip(zip(*self.spans, strict=True), zip(*self.alive, strict=True), strict=True)):
            span = th.stack(spans)
            key = f"expire/layer{i}"
            if th.isfinite(span).all():
                logger.record(f"{key}/span_mean", span.mean().item())
                logger.record(f"{key}/span_max", span.max().item())
                histogram = Histogram.of(span, 0.0, longest)
                logger.record(f"{key}/spans", histogram, exclude=("stdout", "log", "json", "csv"))
            logger.record(f"{key}/alive", th.stack(alive)[:, self.counted].float().mean().item())
