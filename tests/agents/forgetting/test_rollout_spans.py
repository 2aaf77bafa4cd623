from __future__ import annotations

import math

import pytest
import torch as th
from stable_baselines3.common.logger import Logger

from expirespan.agents.forgetting.rollout_spans import RolloutSpans
from expirespan.memory import ExpireSpan, Trace, TransformerMemory


def test_numbers_by_hand():
    """Two steps of three environments, of which two count, in one layer with spans up to 100 steps."""
    spans = RolloutSpans(th.tensor([True, True, False]))
    memory = TransformerMemory(8, layers=1, heads=1, rule=ExpireSpan(max_span=100))
    state = memory.initial_state(3)
    for time, span, alive in (
        ([4, 10, 7], [0.0, 0.9, 50.0], [2, 5, 7]),
        ([5, 1, 8], [99.5, 20.0, 1.1], [2, 1, 8]),
    ):
        trace = Trace([th.tensor(span)[:, None]], [th.tensor(alive)[:, None]], [th.zeros(3, 0)])
        spans.add(trace, state.map(lambda tensor: tensor))
        spans.written[-1] = th.tensor(time)
    logger = Logger(None, [])
    spans.record(logger, [100.0])
    found = {key.removeprefix("expire/layer0/"): value for key, value in logger.name_to_value.items()}
    histogram = found.pop("spans")
    assert found == pytest.approx(
        {
            "span_mean": (0.0 + 0.9 + 50 + 99.5 + 20 + 1.1) / 6,
            "span_max": 99.5,
            "span_at_min": 2 / 6,  # 0 and 0.9, not 1.1
            "span_at_max": 1 / 6,
            "alive": (2 + 5 + 2 + 1) / 4,
            "freed": 1 - (2 + 5 + 2 + 1) / (4 + 10 + 5 + 1),
        }
    )
    assert histogram.counts.sum() == 6 and histogram.counts[0] == 3 and histogram.counts[-1] == 1
    assert histogram.edges[[0, -1]].tolist() == [0, 100]


def test_without_a_step_there_is_nothing_to_tell():
    logger = Logger(None, [])
    RolloutSpans(th.tensor([True])).record(logger, [100.0])
    assert logger.name_to_value == {}


def test_spans_without_end_are_not_told(make_agent, collect):
    agent = make_agent(memory="fixed_window", memory_kwargs={"window": math.inf})
    collect(agent)
    agent.train()
    logged = agent.logger.name_to_value
    assert {key.rpartition("/")[2] for key in logged if key.startswith("expire/layer0")} == {"alive", "freed"}
    assert logged["expire/layer0/freed"] == 0


@pytest.mark.parametrize("memory", ["fixed_window", "adaptive_span", "compressive"])
def test_every_memory_with_spans_is_told(memory, make_agent, collect):
    agent = make_agent(memory=memory)
    collect(agent)
    agent.train()
    logged = agent.logger.name_to_value
    for layer in (0, 1):
        assert 0 <= logged[f"expire/layer{layer}/freed"] < 1
        if memory == "fixed_window":
            assert logged[f"expire/layer{layer}/span_at_max"] == 1
