"""Every declared parameter of every public constructor and of all settings: what is wrong is refused by name."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import gymnasium as gym
import numpy as np
import pytest
import yaml
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from expirespan import agents, envs, experiments, memory
from expirespan.agents import AdaptivePenalty, CardScore, MemoryPPO
from expirespan.envs import CorridorVector
from expirespan.experiments import RECIPES, from_yaml
from expirespan.experiments.bench.options import OPTIONS
from expirespan.experiments.demo.command import DemoOptions
from expirespan.experiments.export.command import ExportOptions
from expirespan.experiments.reproduce.command import ReproduceOptions
from expirespan.experiments.sequence.config import KINDS as SEQUENCE_KINDS
from expirespan.experiments.sequence.config import SequenceConfig
from expirespan.experiments.settings import KINDS, Config, EvaluationSettings, TargetSettings
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse_config
from expirespan.experiments.suite.command import SuiteOptions
from expirespan.experiments.sweep.command import SweepOptions
from expirespan.memory import MEMORIES, Rule, TransformerMemory, make_memory
from expirespan.ranges import Range, hints_of, misfit

Maker = Callable[..., Any]
MEMORY: dict[str, dict[str, Any]] = {
    "expire_span": {"width": 8, "max_span": 8},
    "adaptive_span": {"width": 8, "max_span": 8},
    "fixed_window": {"width": 8, "window": 8},
    "compressive": {"width": 8},
    "lstm": {"width": 8},
    "gru": {"width": 8},
}
TOKENS = spaces.Box(0, 9, (4,), np.int64)
DISCRETE = spaces.Discrete(2)
SCORE: dict[str, Any] = {
    "env": "a", "parameters": {}, "episodes": 1, "seed": 0, "success": 1.0, "success_interval": (0.0, 1.0),
    "mean_return": 1.0, "return_interval": (0.0, 1.0), "alive_at_end": None,
}  # fmt: skip
NEEDED: dict[str, dict[str, Any]] = {
    "ConstantPenalty": {"coef": 0.1},
    "WarmupPenalty": {"coef": 0.1, "start": 1, "steps": 1},
    "AdaptivePenalty": {"coef": 0.1, "target": 0.9},
    "PlateauPenalty": {"coef": 0.1},
    "Forgetting": {},
    "MemoryPPO": {"policy": "MlpPolicy", "env": "CartPole-v1"},
    "MemoryA2C": {"policy": "MlpPolicy", "env": "CartPole-v1"},
    "MemoryActorCriticPolicy": {
        "observation_space": spaces.Box(-1, 1, (2,)),
        "action_space": DISCRETE,
        "lr_schedule": lambda _: 1e-3,
    },
    "MemoryChoicePolicy": {
        "observation_space": TOKENS,
        "action_space": DISCRETE,
        "lr_schedule": lambda _: 1e-3,
    },
    "SmallCNN": {"observation_space": spaces.Box(0, 255, (3, 7, 7), np.uint8)},
    "TokenExtractor": {"observation_space": TOKENS},
    "ChoiceExtractor": {"observation_space": TOKENS},
    "StandardizedExtractor": {"observation_space": spaces.Box(-1, 1, (2,))},
    "VectorFrameStackObservation": {"env": CorridorVector(2), "stack_size": 2},
    "Environment": {"id": "a", "entry_point": "b", "vector_entry_point": "c", "optimum": 1.0},
    "Workers": {},
    "CardScore": SCORE,
    "Card": {**dict.fromkeys(["name", "summary", "licence", "command", "commit"], "a"), "seed": 0, "steps": 1}
    | {"versions": {}, "score": CardScore(**SCORE), "settings": {}},
    "Recipe": {"summary": "a", "source": "b", "expected": "c", "config": Config()},
    **{kind.__name__: {"num_envs": 2} for kind in envs.ORACLES.values()},
    **{name: {} for name in envs.__all__ if f"{name}Vector" in envs.__all__},
    **{name: {} for name in envs.__all__ if name.endswith("Vector")},
}
"""What the constructors of public classes must be given."""
STATE = {"current", "settled", "lowest", "best", "mark", "marked_at"}
"""Fields of schedules that change while training."""
ELSEWHERE = {*MEMORIES.values(), TransformerMemory, Config}
"""Made by `make_memory`, which is tested with all their parameters; settings are checked as a whole."""


def constructors() -> Iterator[tuple[str, Maker, dict[str, Any]]]:
    """Name, what builds by keywords, and its hints."""
    for name, kind in MEMORIES.items():
        kinds = [kind, TransformerMemory] if issubclass(kind, Rule) else [kind]
        hints = {key: hint for one in kinds for key, hint in hints_of(one.__init__).items()}
        yield name, lambda name=name, **given: make_memory(name, **(MEMORY[name] | given)), hints
    for kind in sorted(public_classes() - ELSEWHERE, key=lambda kind: kind.__name__):
        hints = {key: hint for key, hint in own_hints(kind).items() if key not in STATE}
        needed = NEEDED.get(kind.__name__, {})
        yield kind.__name__, lambda kind=kind, needed=needed, **given: kind(**(needed | given)), hints


def public_classes() -> set[type[Any]]:
    """Those that the four packages name in ``__all__``."""
    packages = (memory, agents, envs, experiments)
    found = [getattr(package, name) for package in packages for name in package.__all__]
    return {kind for kind in found if inspect.isclass(kind) and not getattr(kind, "_is_protocol", False)}


def own_hints(kind: type[Any]) -> dict[str, Any]:
    """Of a class's constructor, and of those that it hands its keywords on to."""
    found: dict[str, Any] = {}
    for one in kind.__mro__:
        init = vars(one).get("__init__")
        if inspect.isfunction(init) and one.__module__.startswith("expirespan."):
            found = hints_of(init) | found
            if inspect.getfullargspec(inspect.unwrap(init)).varkw is None:
                break
    return found


def bare(hint: Any) -> bool:
    """Whether an annotation takes numbers without a range, in a tuple or beside other types as well."""
    if get_origin(hint) is Annotated:
        return not any(isinstance(item, Range) for item in hint.__metadata__) and bare(get_args(hint)[0])
    if get_origin(hint) in (Literal, Callable, Mapping, dict):  # Callable is abc's
        return False
    return hint in (int, float) or any(map(bare, get_args(hint)))


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


SETTINGS = [Config, SequenceConfig, EvaluationSettings, TargetSettings, *OPTIONS.values()]
SETTINGS += [DemoOptions, ExportOptions, ReproduceOptions, SuiteOptions, SweepOptions]
SETTINGS += [kind for kinds in (KINDS, SEQUENCE_KINDS) for part in kinds.values() for kind in part.values()]
SETTINGS = list(dict.fromkeys(SETTINGS))
CONSTRUCTORS = list(constructors())
CASES = [
    pytest.param(make, key, *found, id=f"{name}-{key}")
    for name, make, hints in CONSTRUCTORS
    for key, hint in hints.items()
    if (found := declared(hint)) is not None
]


def test_every_number_of_a_public_constructor_is_declared() -> None:
    """A new parameter that counts or measures something gets its range with its type."""
    for name, _, hints in CONSTRUCTORS:
        assert not (found := {key: hint for key, hint in hints.items() if key != "return" and bare(hint)}), (
            name,
            found,
        )
    declaring = {name for name, _, hints in CONSTRUCTORS if any(map(declared, hints.values()))}
    assert declaring <= NEEDED.keys() | MEMORY.keys(), "say what these need to be built"
    assert (
        bare(int | None)
        and bare(tuple[float, ...])
        and not bare(Config)
        and not bare(Callable[[float], float])
    )


def test_every_number_of_settings_and_options_is_declared() -> None:
    for kind in SETTINGS:
        assert not (
            found := [item.name for item in dataclasses.fields(kind) if bare(hints_of(kind)[item.name])]
        ), (
            kind,
            found,
        )


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
        for name, kind in kinds.items():
            for item in dataclasses.fields(kind) if part != "eval_env" else ():
                found = declared(hints_of(kind)[item.name])
                for value in wrong_values(*found) if found else ():
                    if type(value) not in (int, float, str, bool, list, dict) or (value == "1"):
                        continue
                    text = yaml.safe_dump({part: {"name": name, item.name: value}})
                    with pytest.raises(UserError, match=rf"{part}\.{item.name}"):
                        from_yaml(text)
                    tried += 1
    assert tried > 1000


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
