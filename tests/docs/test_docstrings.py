"""Docstrings of all public functions, classes and methods: what, shapes, units, errors, sources.

That public constants are documented as well is tested in tests/test_architecture.py.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Annotated, Any, get_args, get_origin

import pytest

from expirespan.ranges import Range, hints_of

PACKAGES = ("memory", "agents", "envs", "experiments")
ARRAY = re.compile(r"\b(Tensor|NDArray|ndarray)\b")
SHAPE = re.compile(r"\((?:[\w.+*\[\] ]{1,14},\s*)+[\w.+*\[\] ]{0,14}\)|scalar|any shape|\bshape of\b")
LETTERS = re.compile(r"_(?=[A-Z0-9])[A-Z0-9cdkx]+$")
RAISES = re.compile(r"\bRaises?\b|\braises? `?`?\w*Error|ValueError (?:for|if)\b")
QUIET = {"NotImplementedError", "AttributeError", "StopIteration", "AssertionError"}
"""Errors that no caller has to expect."""
CHECKS = {"require", "check_values", "check_fields", "checked", "check_names", "check_choice"}
"""What raises ValueError or TypeError for a caller's mistake."""
FORMULAS = {
    "memory": (
        *("expiration", "soft_mask", "log_soft_mask", "is_expired", "mean_span", "stretched"),
        *("ExpireSpan", "FixedWindow", "AdaptiveSpan", "Compressive", "LSTMMemory", "GRUMemory"),
    ),
    "agents": (
        "MemoryPPO",
        "MemoryA2C",
        "Forgetting",
        "AdaptivePenalty",
        "PlateauPenalty",
        "WarmupPenalty",
        "divergence",
    ),
}
SOURCE = re.compile(
    r"arXiv|[Nn]ot in (?:the|any) paper|\bours\b|\(paper\)|the paper|SB3's|Stable-Baselines3's|[a-z] \d{4}\b|Kullback"
)


def public() -> Iterator[tuple[str, str, Any, str]]:
    """Package, dotted name, function or class, and all text that documents it: its own and its class's."""
    for package in PACKAGES:
        module = import_module(f"expirespan.{package}")
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isfunction(found):
                yield package, name, found, found.__doc__ or ""
            if inspect.isclass(found):
                yield package, name, found, found.__doc__ or ""
                for key, method in methods(found):
                    yield package, f"{name}.{key}", method, f"{method.__doc__ or ''}\n{inherited(found, key)}"


def methods(kind: type[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public methods and properties that a class itself defines."""
    for key, value in vars(kind).items():
        inner = getattr(value, "__func__", getattr(value, "fget", value))
        if not key.startswith("_") and inspect.isfunction(inspect.unwrap(inner)):
            yield key, inner


def inherited(kind: type[Any], key: str) -> str:
    """What the methods say that this one overrides."""
    above = [
        vars(base)[key]
        for base in kind.__mro__[1:]
        if key in vars(base) and base.__module__.startswith("expirespan")
    ]
    return "\n".join(getattr(value, "__doc__", "") or "" for value in above)


CASES = [pytest.param(*case, id=f"{case[0]}-{case[1]}") for case in public()]
everything = pytest.mark.parametrize(("package", "name", "item", "text"), CASES)


@everything
def test_it_says_what(package: str, name: str, item: Any, text: str) -> None:
    summary = (item.__doc__ or "").strip().splitlines()[:1]
    assert summary and len(summary[0]) > 10, "a first line that says what it is or does"


@everything
def test_it_says_the_shapes(package: str, name: str, item: Any, text: str) -> None:
    if inspect.isclass(item):
        return
    hints = inspect.get_annotations(inspect.unwrap(item))
    arrays = [key for key, hint in hints.items() if ARRAY.search(str(hint))]
    unclear = [key for key in arrays if not LETTERS.search(key)]
    assert not unclear or SHAPE.search(text), f"the shapes of {unclear}, such as (B, S)"


@everything
def test_it_says_the_units(package: str, name: str, item: Any, text: str) -> None:
    target = item.__init__ if inspect.isclass(item) else item
    if "__init__" not in vars(item) and inspect.isclass(item):
        return
    for card in re.findall(r"on the card of `(\w+)`", text):
        text += getattr(import_module(f"expirespan.{package}"), card).__doc__
    for key, hint in hints_of(target).items():
        for one in (hint, *get_args(hint)):
            units = (
                [range_.unit for range_ in get_args(one)[1:] if isinstance(range_, Range)]
                if get_origin(one) is Annotated
                else []
            )
            for unit in filter(None, units):
                assert unit.rstrip("s") in text, f"{key} counts {unit}"


@everything
def test_it_says_what_it_raises(package: str, name: str, item: Any, text: str) -> None:
    raised = sorted(set(raised_by(item)))
    assert not raised or RAISES.search(text), f"it raises {', '.join(raised)}"


def raised_by(item: Any) -> Iterator[str]:
    """Errors for which the code of a function, or of a class's constructor, has a line."""
    targets = (
        [item]
        if not inspect.isclass(item)
        else [vars(item)[key] for key in ("__init__", "__post_init__") if key in vars(item)]
    )
    for target in targets:
        if inspect.unwrap(target).__code__.co_filename != inspect.getsourcefile(sys.modules[item.__module__]):
            continue  # a dataclass's, a protocol's
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(target))))
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                yield from {ast.unparse(node.exc.func)} - QUIET
            called = node.func if isinstance(node, ast.Call) else node
            if isinstance(called, ast.Name) and called.id in CHECKS:
                yield "ValueError"


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package, names in FORMULAS.items() for name in names]
)
def test_formulas_have_a_source(package: str, name: str) -> None:
    item = getattr(import_module(f"expirespan.{package}"), name)
    text = f"{item.__doc__} {sys.modules[item.__module__].__doc__}"
    assert SOURCE.search(" ".join(text.split())), "a paper, or that it is ours"


def test_the_reference_lists_every_public_name_once() -> None:
    from pathlib import Path

    pages = Path(__file__).parents[2] / "docs" / "reference" / "api"
    for package in PACKAGES:
        text = (pages / f"{package}.md").read_text(encoding="utf-8")
        listed = re.findall(rf"^::: expirespan\.{package}\.(\w+)$", text, re.M)
        assert sorted(listed) == sorted(import_module(f"expirespan.{package}").__all__)
