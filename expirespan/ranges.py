"""Ranges of parameters, declared in annotations: checked by constructors and settings alike, read without PyTorch.

    def __init__(self, ramp: Annotated[float, Range(0, 100, above=True, unit="steps")] = 16) -> None: ...

`checked` lets a constructor check its arguments by their annotations, `check_fields` a dataclass its fields.
`Literal`, ``bool``, ``str``, ``| None`` and tuples of these need no range.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Annotated, Any, Literal, ParamSpec, Union, get_args, get_origin, get_type_hints

from expirespan.quoting import shown

P = ParamSpec("P")
SLACK = 1000
"""Upper bounds from here on are there against slips and what no machine can hold."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, which are among them unless ``above`` or ``below`` says otherwise.

    ``infinite``: the upper bound may be infinity, and infinity a value. ``whole``: of a float, that it counts.
    ``unit``: what is counted, such as "steps". ``remedy``: what to do where a value does not fit.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    infinite: bool = False
    whole: bool = False
    unit: str = ""
    remedy: str = ""

    def holds(self, value: Any, kind: type[Any]) -> bool:
        """Whether ``value`` is a number of that ``kind``, int or float, within the range."""
        given: Any = value
        if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
            return False
        number = given if type(given) is int else float(given)  # the comparison of an int is exact
        if number == math.inf:
            return self.infinite
        if not (self.low <= number <= self.high and -math.inf < number):
            return False
        ends = (self.above and number == self.low) or (self.below and number == self.high)
        return not ends and (not self.whole or number == int(number))

    def expected(self, kind: type[Any], value: Any = None) -> str:
        """The range in words; an upper bound that is only there against slips is named if ``value`` is beyond it."""
        slack = self.high >= SLACK
        endless = slack and not self.infinite
        words = "an integer" if kind is int or self.whole else "a finite number" if endless else "a number"
        words += f" of {self.unit}" if self.unit else ""
        beyond = type(value) is not bool and isinstance(value, Real) and float(value) > self.high
        if not slack:
            words += f" within {'[('[self.above]}{_plain(self.low)}, {_plain(self.high)}{'])'[self.below]}"
        elif self.low > -SLACK:
            words += f" {'>' if self.above else '>='} {_plain(self.low)}"
        if slack and beyond:
            words += f", at most {_plain(self.high)}"
        return words + (" or infinity" if self.infinite else "")


def require(ok: bool, name: str, value: object, expected: str) -> None:
    """Raise a ValueError that names the argument, the value given and what is expected."""
    if not ok:
        raise ValueError(f"{name} must be {expected}, got {shown(value)}")


def checked(init: Callable[P, None]) -> Callable[P, None]:
    """A constructor whose arguments are checked by their annotations before it begins.

    Raises:
        ValueError: by the constructor, for an argument that does not fit its annotation.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        check_values(hints_of(init), signature.bind(*args, **kwargs).arguments)
        init(*args, **kwargs)

    return wrapper


def check_fields(made: Any) -> None:
    """Raise ValueError if a field of a dataclass does not fit its annotation."""
    kind: Any = type(made)
    check_values(hints_of(kind), {item.name: getattr(made, item.name) for item in fields(made)})


def check_attributes(made: Any) -> None:
    """Raise ValueError if what an object holds under an argument's name does not fit the constructors' annotations."""
    for kind in reversed(type(made).__mro__):
        if inspect.isfunction(init := vars(kind).get("__init__")) and kind.__module__.startswith(
            "expirespan."
        ):
            check_values(hints_of(init), vars(made))


def check_values(hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Raise ValueError if one of the ``values`` does not fit the annotation of its name."""
    for name, hint in hints.items():
        if name in values:
            wrong = misfit(hint, values[name])
            require(not wrong, name, values[name], wrong)


def misfit(hint: Any, value: Any) -> str:
    """What was expected, if ``value`` does not fit the annotation; empty if it fits or nothing is declared."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        ranges = _ranges(hint)
        for item in ranges:
            if not item.holds(value, args[0]):
                return item.expected(args[0], value) + (f" ({item.remedy})" if item.remedy else "")
        return "" if ranges else misfit(args[0], value)
    if origin in (Union, types.UnionType):
        return _no_option(args, value)
    if origin is Literal:
        fits = any(type(value) is type(option) and value == option for option in args)
        return "" if fits else f"one of {', '.join(map(repr, args))}"
    if origin is tuple and args[1:] == (...,):
        if not isinstance(value, (tuple, list)):
            return "a tuple"
        wrong = next((found for item in value if (found := misfit(args[0], item))), "")
        return wrong and f"a tuple, each item {wrong}"
    if origin is Callable:
        return "" if callable(value) else "a function, such as a schedule"
    if hint is bool:
        return "" if type(value).__name__ in ("bool", "bool_") else "True or False"
    if hint is str:
        return "" if isinstance(value, str | os.PathLike) else "a text"
    return ""


def accepted(hint: Any) -> str:
    """What an annotation accepts, in words; empty where no range is declared."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return misfit(hint, None) if _ranges(hint) else accepted(args[0])
    if origin is tuple and args[1:] == (...,):
        each = accepted(args[0])
        return each and f"for each {each}"
    if origin in (Union, types.UnionType):
        options = [accepted(option) for option in args if option is not type(None)]
        return " or ".join([*options, *["None"] * (type(None) in args)]) if all(options) else ""
    return ""


def _ranges(hint: Any) -> list[Range]:
    return [item for item in hint.__metadata__ if isinstance(item, Range)]


def _no_option(options: tuple[Any, ...], value: Any) -> str:
    """What was expected, if ``value`` fits none of the annotations."""
    if value is None and type(None) in options:
        return ""
    others = [option for option in options if option is not type(None)]
    telling = [option for option in others if get_origin(option) or option in (bool, str)]
    if isinstance(value, Real) and telling:
        others = telling  # what is no number may be of a type that declares nothing
    wrong = [misfit(option, value) for option in others]
    return " or ".join([*wrong, *["None"] * (type(None) in options)]) if all(wrong) else ""


@functools.cache
def hints_of(declared: Any) -> dict[str, Any]:
    """Annotations of a class's fields or of a constructor's arguments, those that cannot be evaluated left out."""
    if isinstance(declared, type):
        return get_type_hints(declared, include_extras=True)
    function = inspect.unwrap(declared)
    found: dict[str, Any] = {}
    for name, text in function.__annotations__.items():
        alone = types.SimpleNamespace(__annotations__={name: text})
        with contextlib.suppress(NameError):  # SB3 names a class that its module does not import
            found |= get_type_hints(alone, function.__globals__, include_extras=True)
    return found


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"
