"""A lesson in forgetting: "forget what does not change what you would do".

The price of spans alone (paper, eq. 7) shortens every span, and once a task is solved nothing in the reward pulls
back before failures come: a cue deleted before its use has no gradient left. So some environments, the teachers,
act with every span held at ``max_span``. On their segments the same policy is read a second time through
its own spans, and the spans descend on

    alpha sum_layers mean log e  +  mean KL(pi_full || pi_forgetful)

whose first term shortens all of them and whose second lengthens those without which the policy would act
otherwise. Only the span predictors learn from it, and they learn from nothing else; while it is taught, reward
teaches the policy on the teachers' segments alone, so that what is forgotten on the way does not unsettle what is
known. The logarithm makes the price one of *how many* memories outlive their reading rather than for how long: the
many short spans feel it to the end and the few long ones hardly.

The second reading is what acting reads, deletion included, or less: a softer one finds no fault with spans under
which acting fails. What is deleted has gradient all the same (`expirespan.memory.attention`). Not in the paper;
docs/forgetting.md has the experiments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch as th

from expirespan.agents.base.checks import rules_of
from expirespan.agents.core.buffer import SegmentBatch
from expirespan.agents.core.distributions import divergence
from expirespan.agents.core.masks import masked
from expirespan.agents.core.policies import MemoryActorCriticPolicy
from expirespan.agents.core.steps import MemoryEvaluation
from expirespan.agents.forgetting.penalty import PenaltySchedule
from expirespan.agents.forgetting.price_decay import PriceDecay
from expirespan.agents.forgetting.span_descent import SpanDescent, take_steps
from expirespan.agents.workers import Part, Workers
from expirespan.memory import ExpireSpan, TransformerMemory, TransformerState
from expirespan.memory.core import Reading
from expirespan.memory.rules.mask import TINY
from expirespan.parameters import Decay, Share, Shortest, StepSize, Tolerance
from expirespan.ranges import check_fields


@dataclass(frozen=True)
class Forgetting:
    """Settings of the lesson.

    ``fraction``: share of the environments, within (0, 1), that act with full memory.
    ``shortest``: within (0, 1]; each segment is read as if all spans were multiplied by u ~ U(shortest, 1), so that
    what matters gets a span with a margin. 1 for none.
    ``step_size``: of the spans' descent, see `SpanDescent`.
    ``tolerance``: in nats per episode; the price falls as the divergence of whole episodes rises, to nothing where its
    running mean reaches this. First the policy must be read rightly, then memory may cost.
    ``settling``: within (0, 1]; the policy's learning rate falls by this factor per rollout in which success holds,
    see `AdaptivePenalty.settle`.

    Raises:
        ValueError: an argument is outside of its range.
    """

    fraction: Share = 0.5
    shortest: Shortest = 0.7
    step_size: StepSize = 0.25
    tolerance: Tolerance = 0.1
    settling: Decay = 0.98

    def __post_init__(self) -> None:
        check_fields(self)

    def pace(self, penalty: PenaltySchedule) -> float:
        """Factor of the policy's learning rate: the longer it succeeds, the less it moves, so that spans can settle."""
        return self.settling ** getattr(penalty, "settled", 0)

    def teachers(self, n_envs: int, device: th.device) -> th.Tensor:
        """(N,) bool: the last ``fraction`` of the environments, at least one."""
        count = max(1, round(self.fraction * n_envs))
        return th.arange(n_envs, device=device) >= n_envs - count

    def begin(
        self, memory: TransformerMemory, state: TransformerState, part: Part | None = None
    ) -> TransformerState:
        """State of the rollout's start in which teachers keep everything; ``part``: of all workers' environments."""
        longest = max(rule.max_span for rule in memory.rules)
        part = part or Part(state.batch_size)
        floor = self.teachers(part.total, state.time_B.device)[part.rows] * longest
        return state.with_spans(floor=floor, limit=state.spans.limit_B)


EMA_DECAY = 0.9
"""Share of the old divergence in its running mean, per minibatch."""


class LessonGradient(NamedTuple):
    """``kl``: divergence in nats, summed over the steps of an episode, mean over the episodes of the segments (those
    that only begin or end there too). ``share``: of the price that this divergence leaves, within [0, 1]. ``memory``:
    the mean life of the memories read, span and ramp, in steps, summed over the layers. Per layer, what its predictor
    read, the gradient of the lesson in its spans, and how many memories were read. All numbers are those of all
    workers, readings and gradients those of this one.
    """

    kl: th.Tensor
    share: th.Tensor
    memory: th.Tensor
    readings: list[list[Reading]]
    grads: list[tuple[th.Tensor, ...]]
    counts: list[th.Tensor]


class Lesson:
    """The spans of one policy under instruction. ``teachers``: numbers of the environments it is given in.

    ``n_envs``: of all ``workers``, who take the same steps.
    """

    def __init__(self, settings: Forgetting, policy: MemoryActorCriticPolicy, n_envs: int) -> None:
        self.settings, self.policy, self.workers = settings, policy, Workers.current()
        self.teachers = settings.teachers(n_envs, th.device("cpu")).nonzero()[:, 0]
        self.rules = [rule for rule in rules_of(policy.memory) if isinstance(rule, ExpireSpan)]
        self.descents = [SpanDescent(rule, settings.step_size) for rule in self.rules]
        self.episode_kl = th.zeros((), device=policy.device)
        self.price_decay = PriceDecay()

    @property
    def parameters(self) -> list[th.nn.Parameter]:
        """Of the span predictors."""
        return [p for rule in self.rules for p in rule.predictor.parameters()]

    def state_dict(self) -> dict[str, Any]:
        """What it has learned beside the weights, for a checkpoint."""
        return {
            "episode_kl": self.episode_kl.item(),
            "price_decay": self.price_decay.state_dict(),
            "descents": [descent.state_dict() for descent in self.descents],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        before = state.get("episode_kl", 0.0)  # version 0.1 kept a mean over steps
        self.episode_kl = th.full_like(self.episode_kl, before)
        if "price_decay" in state:
            self.price_decay.load_state_dict(state["price_decay"])
        for descent, part in zip(self.descents, state["descents"], strict=True):
            descent.load_state_dict(part)

    def gradient(self, batch: SegmentBatch, full: MemoryEvaluation, alpha: float) -> LessonGradient:
        """Gradient on a minibatch of the teachers' segments. ``full``: the batch as acted."""
        assert isinstance(batch.state, TransformerState)
        n, part = batch.state.batch_size, batch.share
        scale = 1 - (1 - self.settings.shortest) * part.uniform(batch.actions.device)
        state = batch.state.with_spans(scale=scale, taught=True)
        masks = batch.action_masks
        forgetful = self.policy.unroll(batch.observations, batch.actions, state, batch.episode_starts, masks)
        readings = [[_counted(reading, part) for reading in layer] for layer in forgetful.memory.readings]
        with th.no_grad():
            teacher = masked(self.policy.distribution(full.memory.y.flatten(0, 1)), masks)
        kl_n = divergence(teacher, forgetful.distribution)
        with th.no_grad():
            counts = [th.stack([reading.present_BK.sum() for reading in layer]).sum() for layer in readings]
            lives = [_sum(layer, lambda e: e) for layer in readings]
            own = float(part.weight > 0)
            of_part = [kl_n.sum() * own, (n + batch.episode_starts[:, 1:].sum()) * own]
            total_kl, episodes, *sums = self.workers.totals([*of_part, *counts, *lives])
            counts, lives = sums[: len(counts)], sums[len(counts) :]
        of_episode = total_kl / episodes
        kl = kl_n.mean()
        self.episode_kl = EMA_DECAY * self.episode_kl + (1 - EMA_DECAY) * of_episode
        share = (1 - self.episode_kl / self.settings.tolerance).clamp(min=0)
        priced = alpha * self.price_decay.factor * share
        price = th.stack(
            [
                _sum(layer, lambda e: e.clamp(min=TINY).log()) / count
                for layer, count in zip(readings, counts, strict=True)
            ]
        ).sum()
        spans = th.stack([life / count for life, count in zip(lives, counts, strict=True)]).sum()
        memory = spans + sum(rule.ramp for rule in self.rules)
        wanted = part.weight * kl + priced * price
        flat = iter(th.autograd.grad(wanted, [r.span_BK for layer in readings for r in layer]))
        grads = [tuple(next(flat) for _ in layer) for layer in readings]
        return LessonGradient(of_episode, share, memory, readings, grads, counts)

    def learn(self, lesson: LessonGradient, fine: th.Tensor | bool = True) -> None:
        """Take one step on the spans, none where not ``fine``.

        Call when nothing will be differentiated through the predictors any more.
        """
        take_steps(self.descents, lesson.readings, lesson.grads, lesson.counts, fine, self.workers)


def _counted(reading: Reading, part: Part) -> Reading:
    """A reading, without any memory if its part of the minibatch does not count."""
    return reading if part.weight else reading._replace(present_BK=th.zeros_like(reading.present_BK))


def _sum(readings: Sequence[Reading], fn: Callable[[th.Tensor], th.Tensor]) -> th.Tensor:
    """Sum of a function of the span over the memories read.

    The price is the mean of log e: its gradient never vanishes, however short a span is.
    """
    return th.stack([(fn(reading.span_BK) * reading.present_BK).sum() for reading in readings]).sum()
