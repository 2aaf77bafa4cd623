"""What an update costs in exchanges between workers, on paper."""

from __future__ import annotations

import math
from dataclasses import dataclass

RANDOM_STATE = 5056
"""Bytes of the state of torch's random numbers on the CPU, which go out before each rollout and each update."""
BINS = 64
"""Of a histogram of spans."""
LOGS = 10
"""Numbers that each minibatch reports: three of the policy, value, entropy, penalty, loss, three of the lesson."""
PER_MINIBATCH, PER_LESSON = 3, 3
"""Exchanges: moments of advantages, numbers to log, gradients; and of the lesson its sums, moments and change."""


@dataclass(frozen=True)
class Sizes:
    """Of a run of PPO with an Expire-Span memory and a lesson: its policy, and the minibatches of an update."""

    parameters: int
    layers: int
    width: int
    minibatches: int

    @property
    def exchanges(self) -> int:
        """Of an update with the rollout before it."""
        return self.minibatches * (PER_MINIBATCH + PER_LESSON) + 10 + 2 * self.layers


def bytes_of_update(sizes: Sizes) -> int:
    """Bytes that each worker hands to the exchanges of a rollout and its update, apart from the episodes that ended."""
    inputs = sizes.width + 1  # of a span predictor, with its bias
    lesson = 4 * (2 + 2 * sizes.layers) + 4 * sizes.layers * (inputs * inputs + inputs) + 4 * sizes.layers
    minibatch = 4 * sizes.parameters + 24 + 4 * LOGS + lesson
    spans = 4 * (2 + sizes.layers) + 4 * sizes.layers * (BINS + 7)
    explained = 2 * 24
    return 2 * RANDOM_STATE + sizes.minibatches * minibatch + spans + explained


def seconds_of_exchanges(sizes: Sizes, workers: int, latency: float, bandwidth: float) -> float:
    """Of an update: each exchange takes 2 log2(workers) messages one after another, and each byte passes twice.

    ``latency`` in seconds a message; ``bandwidth`` in bytes per second of a machine.
    """
    messages = sizes.exchanges * 2 * math.ceil(math.log2(max(workers, 1)))
    passed = 2 * (workers - 1) / workers * bytes_of_update(sizes)
    return messages * latency + passed / bandwidth
