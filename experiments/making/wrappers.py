"""Wrappers by dotted name, with or without arguments."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers.vector import DictInfoToList

from expirespan.experiments.making.registered import import_module
from expirespan.experiments.settings.errors import UserError

EXPECTED = 'module.Name, module:Name or "module.Name(argument=value)", with plain values'
Wrap = Callable[[Any], Any]


def read_wrappers(texts: tuple[str, ...]) -> tuple[list[Wrap], list[Wrap]]:
    """What wraps each environment, and what wraps all of them as one, innermost first.

    Raises:
        UserError: a text names no wrapper.
    """
    single: list[Wrap] = []
    around: list[Wrap] = []
    for text in texts:
        kind, args, kwargs = _read(text)
        is_vector = isinstance(kind, type) and issubclass(kind, VectorWrapper)
        if kind is DictInfoToList:
            raise UserError(f"wrapper {text!r}: infos are read as dicts of arrays here; leave it out")
        (around if is_vector else single).append(_Wrap(text, kind, args, kwargs))
    return single, around


class _Wrap:
    def __init__(self, text: str, kind: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.text, self.kind, self.args, self.kwargs = text, kind, args, kwargs

    def __call__(self, env: Any) -> Any:
        try:
            wrapped = self.kind(env, *self.args, **self.kwargs)
        except Exception as error:  # whatever somebody's wrapper raises
            said = " ".join(str(error).split()).rstrip(".")
            raise UserError(
                f"wrapper {self.text!r}: {type(error).__name__}: {said}; expected {EXPECTED}, around {env}"
            ) from error
        if not isinstance(wrapped, gym.Env | VectorEnv):
            raise UserError(
                f"wrapper {self.text!r} makes a {type(wrapped).__name__}: expected an environment"
            )
        return wrapped


def _read(text: str) -> tuple[Any, list[Any], dict[str, Any]]:
    path, bracket, rest = text.partition("(")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    if bracket:
        try:
            call = ast.parse(f"wrap({rest}", mode="eval").body
            assert isinstance(call, ast.Call)
            args = [ast.literal_eval(value) for value in call.args]
            kwargs = {str(item.arg): ast.literal_eval(item.value) for item in call.keywords}
        except (SyntaxError, ValueError, AssertionError):
            raise UserError(f"wrapper {text!r}: its arguments cannot be read; expected {EXPECTED}") from None
    module, _, name = path.rpartition(":" if ":" in path else ".")
    if not module or not name.isidentifier():
        raise UserError(f"wrapper {text!r}: expected {EXPECTED}")
    found = import_module(module, f"wrapper {text!r}", EXPECTED)
    if not callable(getattr(found, name, None)):
        close = difflib.get_close_matches(name, dir(found), 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(f"wrapper {text!r}: {module} has no {name}; {hint}expected {EXPECTED}")
    return getattr(found, name), args, kwargs
