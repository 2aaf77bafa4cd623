"""The factor of the price: 1 while memory gets smaller, falling while it does not, rising when it may again."""

import pytest

from expirespan.agents.forgetting.price_decay import DECAY, GROWTH, PROGRESS, RELAX, PriceDecay


def after(*memory):
    decay = PriceDecay()
    for value in memory:
        decay.update(value)
    return decay


def test_it_stays_while_memory_gets_smaller():
    """Five per cent less per rollout."""
    assert after(*(400 * 0.95**n for n in range(60))).factor == 1


def test_it_falls_while_memory_stays():
    """For ten rollouts by `DECAY`. Then the least has risen so far that the same memory counts as progress, once."""
    decay = after(20.0, *[20.0] * 10)
    assert decay.factor == pytest.approx(DECAY**10)
    assert decay.least == pytest.approx(20 * RELAX**10)
    assert after(*[20.0] * 100).factor < 0.15


def test_fluctuations_of_five_per_cent_do_not_keep_it_up():
    """Memory between 20 and 21 steps, as on the corridor once all walls are forgotten."""
    assert after(*[20.0, 21.0] * 100).factor < 0.1


def test_progress_brings_it_back():
    decay = after(*[20.0] * 40)
    low, least = decay.factor, decay.least
    decay.update(0.99 * PROGRESS * least)
    assert decay.factor == pytest.approx(GROWTH * low)
    for n in range(40):
        decay.update(0.5**n)
    assert decay.factor == 1


def test_without_a_price_nothing_is_learned_of_it():
    decay = after(20.0)
    for memory in (20.0, 30.0, 1.0):
        decay.update(memory, share=0.0)
    assert decay == after(20.0)


def test_a_part_of_the_price_counts_as_a_part_of_a_rollout():
    decay, whole = after(20.0), after(20.0, 20.0)
    for _ in range(4):
        decay.update(20.0, share=0.25)
    assert decay.factor == pytest.approx(whole.factor) and decay.least == pytest.approx(whole.least)


def test_it_is_kept_in_a_checkpoint():
    decay, other = after(20.0, 20.0, 19.0), PriceDecay()
    other.load_state_dict(decay.state_dict())
    assert other == decay
