"""Wrong values of every declared parameter: as arguments, in YAML, on the command line; wrong files of results."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import yaml
from trying import Case

from expirespan.experiments.settings import KINDS, Config
from expirespan.ranges import Range, hints_of
from tests import test_parameters
from tests.test_parameters import declared

MORE: list[Any] = [None, [], [[1]], {"a": {}}, "", -1, 0, 10**30, 1e300]
"""Beside those of `test_parameters.wrong_values`; what is right for a parameter is left out."""
PAIRS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("expire_span", {"width": 8, "heads": 3}, ("heads",)),
    ("adaptive_span", {"width": 8, "heads": 16}, ("heads",)),
    ("compressive", {"window": 4, "factor": 5}, ("factor",)),
    ("fixed_window", {"gate": "lstm"}, ("gate",)),
    ("AdaptivePenalty", {"coef": 0.1, "maximum": 0.05}, ("maximum",)),
    ("PlateauPenalty", {"coef": 0.1, "maximum": 0.05}, ("maximum",)),
    ("Corridor", {"min_length": 9, "max_length": 8}, ("max_length",)),
    ("CorridorVector", {"min_length": 9, "max_length": 8}, ("max_length",)),
    ("EndlessTMaze", {"min_length": 9, "max_length": 8}, ("max_length",)),
    ("EndlessTMazeVector", {"max_steps": 2}, ("max_steps",)),
    ("PortalRooms", {"rooms": 50, "max_steps": 10}, ("max_steps",)),
    ("PortalRoomsVector", {"room_size": 4}, ("room_size",)),
    ("FindInstruction", {"min_length": 90, "max_length": 80}, ("max_length",)),
    ("FindInstructionVector", {"lines": "light"}, ("lines",)),
    ("FindInstruction", {"token_length": 5}, ("token_length",)),
    ("ChoiceExtractor", {"choices": 9, "words": 9}, ("choices",)),
    ("MemoryPPO", {"policy_kwargs": {"memory": "expirespan"}}, ("expirespan",)),
    ("MemoryPPO", {"policy_kwargs": {"memory_kwargs": {"max_spam": 9}}}, ("max_spam",)),
    ("MemoryA2C", {"policy_kwargs": {"memory_kwargs": {"ramp": -1}}}, ("ramp",)),
]
"""Values that do not fit each other: class, arguments, and what a message must name."""
RESULTS: dict[str, Any] = {
    "env": "ExpireSpan/Corridor-v0",
    "settings": {"min_length": 3, "max_length": 50},
    "seed": 0,
    "trained_steps": 1000,
    "agent": {
        "episodes": 10,
        "success": 0.5,
        "mean_return": 0.5,
        "alive_at_end": [3.5],
        "retention": {"recall": 1.0},
    },
}
PLACES: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("env",): (5, None, [], {}, "", True),
    ("settings",): (5, None, [1], "x", True),
    ("trained_steps",): (-1, None, "x", [], {}, math.nan, math.inf, True),
    ("agent",): (5, None, [], "x", {}, True),
    ("agent", "success"): (-0.1, 1.1, "x", [], {}, math.nan, math.inf, True, 10**400),
    ("agent", "mean_return"): (None, "x", [], {}, math.nan, math.inf, -math.inf, True),
    ("agent", "alive_at_end"): (5, "x", {}, [-1], [math.nan], ["x"], [[1]], [None], True),
    ("agent", "retention"): (5, "x", [1], True),
    ("agent", "retention", "recall"): (-1, 2, "x", [1], math.nan, {"a": 1}, True),
}
"""What may not stand where in a file of results."""
FILES = [
    b"", b"{", b"null", b"[]", b"5", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000, b"a,b\n1,2\n",
    b'{"agent": 1, "agent": 2}', b"[" + b"0," * 3_000_000 + b"0]", b"\x89PNG\r\n\x1a\n" + bytes(50),
]  # fmt: skip


def wrong_values(kind: type[Any], allowed: Range, optional: bool) -> Iterator[Any]:
    """Of wrong types, outside the bounds, no numbers, empty, nested and huge."""
    for value in [*test_parameters.wrong_values(kind, allowed), *MORE]:
        if not (allowed.holds(value, kind) or (value is None and optional)):
            yield value


def cases() -> Iterator[Case]:
    """All of them."""
    for param in test_parameters.CASES:
        _, key, kind, allowed = param.values
        name = str(param.id).removesuffix(f"-{key}")
        if name in ("Environment", "Recipe"):  # no user builds them
            continue
        hints = next(hints for other, _, hints in test_parameters.CONSTRUCTORS if other == name)
        for value in wrong_values(kind, allowed, misfits_not(hints[key])):
            yield Case(f"constructors: {group(name)}", "construct", (name, {key: value}), (key,))
    for name, given, names in PAIRS:
        yield Case("pairs that do not fit", "construct", (name, given), names)
    for part, name, key, kind, allowed, optional in settings():
        setting = f"{part}.{key}" if part else key
        names = (setting, setting.replace("_", "-"))
        choice = {part: {"name": name, key: None}} if part else {key: None}
        for value in wrong_values(kind, allowed, optional):
            if isinstance(value, (int, float, str, list, dict, type(None))) and (value, kind) != ("1", float):
                (choice[part] if part else choice)[key] = value
                yield Case("settings in YAML", "yaml", yaml.safe_dump(choice), names)
            if isinstance(value, (int, float, str, complex)) and value not in ("1", 2.0):  # 2.0 steps are 2
                flags = [f"--{part.replace('_', '-')}", name] if part else []
                yield Case("command line", "train", ["corridor", *flags, f"--{names[1]}={value}"], names)
    for content in [*FILES, *changed()]:
        yield Case("files for `compare`", "compare", content, ("results.json",))


def misfits_not(hint: Any) -> bool:
    """Whether None is among the values."""
    return type(None) in getattr(hint, "__args__", ())


def group(name: str) -> str:
    """Row of a class in the table."""
    from expirespan import envs, memory

    if name in memory.MEMORIES:
        return "memories"
    if name in envs.__all__:
        return "environments"
    return (
        "agents"
        if name.startswith("Memory")
        else "features"
        if name.endswith(("CNN", "Extractor"))
        else "forgetting"
    )


def settings() -> Iterator[tuple[str, str, str, type[Any], Range, bool]]:
    """Part, its kind, setting, type, range, and whether None is a value."""
    for part, kinds in [
        ("", {"": Config}),
        *((part, kinds) for part, kinds in KINDS.items() if part != "eval_env"),
    ]:
        for name, kind in kinds.items():
            for item in dataclasses.fields(kind):
                hint = hints_of(kind)[item.name]
                if (found := declared(hint)) is not None:
                    yield part, name, item.name, *found, misfits_not(hint)


def changed() -> Iterator[bytes]:
    """Files of results with one thing wrong, or missing."""
    for place, values in PLACES.items():
        for value in [*values, ...]:
            if value is ... and place[-1] in ("alive_at_end", "retention", "recall"):
                continue  # older files have none
            made = copy.deepcopy(RESULTS)
            inner = made
            for name in place[:-1]:
                inner = inner[name]
            if value is ...:
                del inner[place[-1]]
            else:
                inner[place[-1]] = value
            yield json.dumps(made).encode()
