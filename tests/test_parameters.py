"""Every declared parameter of every public constructor and of all settings: what is wrong is refused by name."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

import gymnasium as gym
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from expirespan.agents import (
    AdaptivePenalty,
    ConstantPenalty,
    Forgetting,
    MemoryA2C,
    MemoryPPO,
    PlateauPenalty,
    WarmupPenalty,
)
from expirespan.experiments import RECIPES, from_yaml, to_yaml
from expirespan.experiments.sequence.config import SequenceConfig
from expirespan.experiments.settings import KINDS, Config, EvaluationSettings, TargetSettings, choose
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse_config
from expirespan.memory import MEMORIES, make_memory
from expirespan.ranges import Range, hints_of, misfit

NEEDED: dict[str, dict[str, Any]] = {
    "expire_span": {"width": 8, "max_span": 8},
    "adaptive_span": {"width": 8, "max_span": 8},
    "fixed_window": {"width": 8, "window": 8},
    "compressive": {"width": 8},
    "lstm": {"width": 8},
    "gru": {"width": 8},
}
Maker = Callable[..., Any]
PRICES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "ConstantPenalty": (ConstantPenalty, {"coef": 0.1}),
    "WarmupPenalty": (WarmupPenalty, {"coef": 0.1, "start": 1, "steps": 1}),
    "AdaptivePenalty": (AdaptivePenalty, {"coef": 0.1, "target": 0.9}),
    "PlateauPenalty": (PlateauPenalty, {"coef": 0.1}),
    "Forgetting": (Forgetting, {}),
}


def constructors() -> Iterator[tuple[str, Maker, dict[str, Any]]]:
    """Name, what builds by keywords, and its hints."""
    from expirespan.memory import Rule, TransformerMemory

    for name, kind in MEMORIES.items():
        kinds = [kind, TransformerMemory] if issubclass(kind, Rule) else [kind]
        hints = {key: hint for one in kinds for key, hint in hints_of(one.__init__).items()}
        yield name, lambda name=name, **given: make_memory(name, **(NEEDED[name] | given)), hints
    for name, (kind, needed) in PRICES.items():
        hints = hints_of(kind)
        yield name, lambda kind=kind, needed=needed, **given: kind(**(needed | given)), hints
    for agent in (MemoryPPO, MemoryA2C):
        hints = hints_of(agent.__init__)
        yield agent.__name__, lambda agent=agent, **given: agent("MlpPolicy", "CartPole-v1", **given), hints


def declared(hint: Any) -> tuple[type[Any], Range] | None:
    """Type and range of a parameter, alone or beside None and other types."""
    if get_origin(hint) is Annotated:
        found = [item for item in hint.__metadata__ if isinstance(item, Range)]
        return (get_args(hint)[0], found[0]) if found else None
    options = [one for option in get_args(hint) if (one := declared(option)) is not None]
    return options[0] if options and get_origin(hint) is not tuple else None


def wrong_values(kind: type[Any], allowed: Range) -> list[Any]:
    """Of wrong types, outside either bound, and no numbers at all."""
    found: list[Any] = ["1", "many", [1], {}, (), object(), True, math.nan, -math.inf, 1j, b"1"]
    found += [] if allowed.infinite else [math.inf]
    found += [1.5, 2.0] if kind is int else []
    for bound, excluded, side in ((allowed.low, allowed.above, -1), (allowed.high, allowed.below, 1)):
        if abs(bound) < math.inf:
            found.append(bound + side * (1 if kind is int else max(abs(bound) * 1e-6, 1e-13)))
            found += [bound] if excluded else []
            found += [side * 10**30] if kind is int else [side * 1e300]
    return found


CONSTRUCTORS = list(constructors())
CASES = [
    pytest.param(make, key, *found, id=f"{name}-{key}")
    for name, make, hints in CONSTRUCTORS
    for key, hint in hints.items()
    if (found := declared(hint)) is not None
]


STATE = {"current", "settled", "lowest", "best", "mark", "marked_at"}
"""Fields of schedules that change while training."""


def test_every_number_of_a_constructor_is_declared() -> None:
    """A new parameter that counts or measures something gets its range with its type."""
    for name, _, hints in CONSTRUCTORS:
        for key, hint in hints.items():
            bare = {int, float} & {hint, *(() if get_origin(hint) is Annotated else get_args(hint))}
            assert not bare or (name in PRICES and key in STATE), f"{key} of {name} is {hint}"


@pytest.mark.parametrize(("make", "key", "kind", "allowed"), CASES)
def test_what_is_wrong_is_refused_by_name_at_once(
    make: Maker, key: str, kind: type[Any], allowed: Range
) -> None:
    for value in wrong_values(kind, allowed):
        began = time.monotonic()
        with pytest.raises((ValueError, TypeError)) as refused:
            make(**{key: value})
        assert str(refused.value).startswith(f"{key} must be "), refused.value
        assert time.monotonic() - began < 5, "a second, and more on a busy machine"


SETTINGS = [Config, SequenceConfig, EvaluationSettings, TargetSettings]
SETTINGS += [kind for kinds in KINDS.values() for kind in kinds.values()]
SETTINGS = list(dict.fromkeys(SETTINGS))
FIELDS = [
    pytest.param(kind, item.name, *found, id=f"{kind.__name__}-{item.name}")
    for kind in SETTINGS
    for item in dataclasses.fields(kind)
    if (found := declared(hints_of(kind)[item.name])) is not None
]


@pytest.mark.parametrize(("kind", "key", "number", "allowed"), FIELDS)
def test_settings_refuse_the_same(kind: type[Any], key: str, number: type[Any], allowed: Range) -> None:
    for value in wrong_values(number, allowed):
        made = dataclasses.replace(kind(), **{key: value})
        with pytest.raises(UserError, match=rf"^{key}=.*: expected"):
            check_settings(made)


def test_yaml_refuses_the_same() -> None:
    """What a YAML file can hold of it: each is refused in one sentence that names the setting with its part."""
    tried = 0
    for part, kinds in KINDS.items():
        for kind in kinds.values():
            for item in dataclasses.fields(kind):
                found = declared(hints_of(kind)[item.name])
                for value in wrong_values(*found) if found else ():
                    if type(value) not in (int, float, str, bool, list, dict) or (value == "1"):
                        continue
                    config = dataclasses.replace(Config(), **{part: choose(kind, getattr(Config(), part))})
                    text = to_yaml(config)
                    data = yaml.safe_load(text)
                    data[part][item.name] = value
                    with pytest.raises(UserError, match=rf"{part}\.{item.name}"):
                        from_yaml(yaml.safe_dump(data))
                    tried += 1
    assert tried > 300


@pytest.mark.parametrize(
    "given",
    [
        ["--algorithm.max-grad-norm", "-1"],
        ["--algorithm.target-kl", "nan"],
        ["--algorithm.net-arch", "64", "0"],
        ["--memory.ramp", "1e-300"],
        ["--memory.max-span", "1e308"],
        ["--penalty.coef", "inf"],
        ["--forgetting.fraction", "1"],
        ["--num-envs", "1000000000"],
        ["--evaluation.episodes", "0"],
        ["--total-timesteps", "-5"],
        ["--seed", "-1"],
    ],
)
def test_the_command_line_refuses_the_same(given: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        parse_config(RECIPES["corridor"].config, given, "expirespan train", "")
    name = given[0].removeprefix("--").replace("-", "_")
    assert str(refused.value).startswith(f"{name}=") and "expected" in str(refused.value)


@given(data=st.data())
def test_what_lies_within_is_accepted(data: st.DataObject) -> None:
    hint = data.draw(st.sampled_from([hint for _, _, hints in CONSTRUCTORS for hint in hints.values()]))
    found = declared(hint)
    if found is None:
        return
    kind, allowed = found
    low, high = max(allowed.low, -1e300), min(allowed.high, 1e300)
    if kind is int or allowed.whole:
        value: Any = data.draw(st.integers(int(low), int(high)))
    else:
        value = data.draw(
            st.floats(low, high, exclude_min=allowed.above, exclude_max=allowed.below, allow_nan=False)
        )
    assert misfit(hint, value) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("normalize_advantage", 1), ("use_sde", "yes"), ("normalize_advantage", None)],
)
def test_flags_are_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be True or False"):
        MemoryPPO("MlpPolicy", gym.make("CartPole-v1"), **{name: value})


def test_pairs_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="heads must be a divisor of width=8"):
        make_memory("expire_span", width=8, heads=3, max_span=8)
    with pytest.raises(ValueError, match="factor must be an integer from 1 to window=4"):
        make_memory("compressive", width=8, window=4, factor=5)
    with pytest.raises(ValueError, match=r"maximum must be None or at least coef=0\.1"):
        AdaptivePenalty(0.1, 0.9, maximum=0.05)
