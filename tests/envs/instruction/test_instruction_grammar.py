"""The episodes that the grammar of the find-instruction task makes, and the card's numbers about them."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expirespan.envs import FindInstructionVector
from expirespan.envs.instruction import grammar
from expirespan.envs.instruction.lines import grammar_lines
from expirespan.envs.instruction.rules import DRAWS, Episode, InstructionRules

GOLDEN = (
    (4, 18),
    1,
    59,
    "cb42bd9cf0183b040d4bea8e86853cba243489fb0a3997e502b991ffc3ca121d",
)
NAMES = {
    *grammar.CHARACTERS,
    *grammar.VERBS,
    *(w for part in grammar.OBJECTS for o in part for w in o.split()),
}


def episodes(count: int, **kwargs: Any) -> list[Episode]:
    rules, generator = InstructionRules(**kwargs), np.random.default_rng(0)
    return [rules.from_draws(generator.random(DRAWS)) for _ in range(count)]


def texts(episode: Episode) -> list[str]:
    return [grammar_lines(24).decode(line) for line in episode.tokens.tolist()]


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(4, 60))
    return {
        "min_length": low,
        "max_length": draw(st.integers(low, low + 60)),
        "length_distribution": draw(st.sampled_from(["uniform", "log_uniform", "mixed"])),
        "split": draw(st.sampled_from(["train", "test"])),
        "revisions": draw(st.sampled_from(["never", "replace", "cancel", "any"])),
        "token_length": draw(st.integers(22, 40)),
    }


@settings(max_examples=50, deadline=None)
@given(parameters(), st.integers(0, 2**31))
def test_every_episode_is_as_the_card_says(kwargs: dict[str, Any], seed: int) -> None:
    rules = InstructionRules(**kwargs)
    episode = rules.from_draws(np.random.default_rng(seed).random(DRAWS))
    lines = [rules.source.decode(line) for line in episode.tokens.tolist()]
    assert all(line in rules.observation_space() for line in episode.tokens)
    assert len(set(lines)) == len(lines) and all(lines)
    assert kwargs["min_length"] <= episode.length <= kwargs["max_length"]
    assert 1 <= episode.cues[0] <= 10 and len(lines) == episode.cues[0] + episode.length + 2
    assert [i for i, line in enumerate(lines) if " you to " in line] == list(episode.cues)
    orders = [offer.split() for offer in _offers(lines[-1])]
    for i in range(4):
        for j in range(i):  # verb, object, recipient
            shared = sum((a == b) for a, b in zip(_parts(orders[i]), _parts(orders[j]), strict=True))
            assert shared == 1
        said = "{} the {} {} to the {}".format(*orders[i])
        told = [number for number, line in enumerate(lines) if said in line]
        assert told, "every action offered was told to somebody"
        if len(episode.cues) == 1:
            assert (told == list(episode.cues)) == (episode.answer == i + 1)
    if len(episode.cues) == 2:
        last = lines[episode.cues[1]]
        assert ("forget" in last) == (episode.answer == 0)
        assert episode.answer == 0 or "{} the {} {} to the {}".format(*orders[episode.answer - 1]) in last


def _offers(turn: str) -> list[str]:
    words = turn.split()
    assert words[:2] == ["your", "turn"] and words[2::5] == list(grammar.MARKERS)
    return [" ".join(words[i : i + 4]) for i in range(3, 22, 5)]


def _parts(order: list[str]) -> tuple[str, str, str]:
    return order[0], f"{order[1]} {order[2]}", order[3]


def test_no_line_comes_twice_at_the_default_length() -> None:
    for episode in episodes(5, min_length=1000, max_length=1000):
        assert len(episode.tokens) >= 1003
        assert len(set(texts(episode))) == len(episode.tokens)


def test_vocabulary_is_large_and_frozen() -> None:
    source = grammar_lines(24)
    assert len(source.words) == 1 + 390 and source.words[0] == ""
    assert (source.words[1], source.words[100], source.words[-1]) == ("a", "daughter", "your")
    assert len(source.chatter) == 9323


def test_golden_episode() -> None:
    """What v0 makes of these numbers, whatever numpy's generators do."""
    draws = np.arange(1, DRAWS + 1) * 0.6180339887498949 % 1
    episode = InstructionRules(max_length=60, revisions="any").from_draws(draws)
    digest = hashlib.sha256("\n".join(texts(episode)).encode()).hexdigest()
    assert (episode.cues, episode.answer, episode.length, digest) == GOLDEN


def test_the_turn_tells_nothing() -> None:
    """The right action has any position, and any rank among the four by verb, by object and by recipient."""
    drawn = episodes(2000, max_length=10)
    orders = [[_parts(offer.split()) for offer in _offers(texts(episode)[-1])] for episode in drawn]
    tolerance = 4 * np.sqrt(2000 * 0.25 * 0.75)
    for first in range(3):
        keys = [[parts[first:] + parts[:first] for parts in four] for four in orders]
        ranks = [
            sorted(four).index(four[episode.answer - 1]) for four, episode in zip(keys, drawn, strict=True)
        ]
        np.testing.assert_allclose(np.bincount(ranks, minlength=4), 500, atol=tolerance)
    positions = np.bincount([episode.answer for episode in drawn], minlength=5)
    np.testing.assert_allclose(positions, [0, 500, 500, 500, 500], atol=tolerance)


def test_positions_of_what_is_told() -> None:
    """Own instruction uniform in line 1 to 10; in half of the episodes that have room for it another comes before."""
    before, first = [], []
    for episode in episodes(600, min_length=40, max_length=40):
        other = [i for i, line in enumerate(texts(episode)) if " to the " in line and _is_order(line)]
        before.append(episode.cues[0])
        first.append(min(other) < episode.cues[0])
        assert sorted(other)[-4:] == other[-4:] and len(other) == 4
    assert set(before) == set(range(1, 11))
    assert np.mean(before) == pytest.approx(5.5, abs=0.5)
    assert np.mean(first) == pytest.approx(0.5 * 0.9, abs=0.09)


def _is_order(line: str) -> bool:
    verbs = {f"to {verb} the" for verb in grammar.VERBS}
    return any(verb in line for verb in verbs) and not line.startswith("your turn")


@pytest.mark.parametrize("revisions", ["never", "replace", "cancel", "any"])
def test_held_out_sentences(revisions: str) -> None:
    """No cue of a test episode has the words, but for names and what is to be done, of one of a training episode."""
    train, test = (
        {
            tuple(word for word in text.split() if word not in NAMES)
            for episode in episodes(200, max_length=10, split=split, revisions=revisions)
            for text in _told(episode)
        }
        for split in ("train", "test")
    )
    assert train and test and not train & test


def test_held_out_objects() -> None:
    train, test = (episodes(100, max_length=10, split=split) for split in ("train", "test"))
    words = [{text for episode in part for text in _told(episode)} for part in (train, test)]
    assert words[0] and words[1] and not words[0] & words[1]
    objects = [{" ".join(text.split(" the ")[-2].split()[:2]) for text in part} for part in words]
    assert objects[0] <= set(grammar.OBJECTS[0]) and objects[1] <= set(grammar.OBJECTS[1])
    assert set(" ".join(grammar.OBJECTS[1]).split()) <= set(" ".join(grammar.OBJECTS[0]).split())
    assert len(grammar.OBJECTS[1]) == 89
    shown = {word for episode in episodes(600) for line in texts(episode) for word in line.split()}
    unseen = set(grammar_lines(24).words[1:]) - shown
    assert unseen == {"door", "smile", "urges", "forget", "instead", "new", "plan"}, "the last four revise"


def _told(episode: Episode) -> list[str]:
    return [texts(episode)[cue] for cue in episode.cues]


@pytest.mark.parametrize(
    ("revisions", "answered", "cues"),
    [("never", 1.0, 1.0), ("replace", 1.0, 1.5), ("cancel", 0.5, 1.5), ("any", 2 / 3, 1 + 2 / 3)],
)
def test_shares_of_revisions(revisions: str, answered: float, cues: float) -> None:
    drawn = episodes(800, max_length=10, revisions=revisions)
    assert np.mean([episode.answer > 0 for episode in drawn]) == pytest.approx(answered, abs=0.07)
    assert np.mean([len(episode.cues) for episode in drawn]) == pytest.approx(cues, abs=0.07)


def test_chance() -> None:
    """With up to 60 lines, and from it by default: the cost is that of the steps before the turn."""
    env, generator = FindInstructionVector(600, max_length=60), np.random.default_rng(0)
    env.reset(seed=0)
    total, first, success = np.zeros(600), np.ones(600, bool), 0
    while first.any():
        _, rewards, ended, _, infos = env.step(generator.integers(5, size=600))
        total += rewards * first
        success += int(infos["final_info"]["is_success"][first].sum()) if ended.any() else 0
        first &= ~ended
    assert success / 600 == pytest.approx(0.2, abs=0.06)
    assert total.mean() == pytest.approx(_chance(35), abs=0.06)
    assert _chance(35) == pytest.approx(-0.13, abs=0.005)
    mean = np.mean([episode.length for episode in episodes(600)])
    assert _chance(mean) == pytest.approx(-3.9, abs=4 * 0.008 * 286 / 600**0.5)


def _chance(length: float) -> float:
    return float(0.2 - 0.8 * 0.01 * (1 + 5.5 + length))
