"""Reading the command line into typed settings; what does not fit is an error of one paragraph."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import takewhile
from typing import Any, TypeVar, get_args

import tyro

from expirespan.experiments.settings import KINDS, Config, Kinds, choose, settings
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.settings.help_texts import registry
from expirespan.experiments.settings.plugged import kinds_of
from expirespan.ranges import accepted, hints_of

T = TypeVar("T")

PARTS = """These options choose a component by name; --memory.FIELD VALUE then sets one of its settings:
""" + "\n".join(f"  --{part.replace('_', '-')} {{{','.join(kinds)}}}" for part, kinds in KINDS.items())
"""Help on how to choose the kinds of parts."""


def parse(default: T, args: Sequence[str], prog: str, description: str) -> T:
    """The settings in ``args`` on top of ``default``; ``--help`` prints them and exits.

    Raises:
        UserError: a flag is unknown or its value does not fit.
    """
    message = io.StringIO()
    try:
        with contextlib.redirect_stderr(message), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not match any type in Union")  # a plugin's settings
            found, rest = tyro.cli(
                tyro.conf.AvoidSubcommands[type(default)],  # type: ignore[misc]
                default=default,
                args=list(args),
                prog=prog,
                description=description,
                return_unknown_args=True,
                registry=registry,
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        said = _sentence(message.getvalue())
        raise UserError(f"{_misread(said, default, args) or said}; see `{prog} --help`") from None
    if rest:
        raise _unknown_flag(rest[0], default, prog)
    parsed: T = found
    check_settings(parsed)
    return parsed


def parse_config(default: Config, args: Sequence[str], prog: str, description: str) -> Config:
    """As `parse`, for a `Config`: chooses kinds of parts, and ``eval_env`` follows overrides of ``env``."""
    base, rest = choose_kinds(default, list(args), KINDS)
    return _follow(base, parse(base, rest, prog, f"{description}\n\n{PARTS}"))


def with_default(args: Sequence[str], flag: str, value: str) -> list[str]:
    """``args`` with ``value`` after the ``flag`` if nothing else follows it."""
    given = list(args)
    for i, arg in enumerate(given):
        if arg == flag and (i + 1 == len(given) or given[i + 1].startswith("--")):
            return [*given[: i + 1], value, *given[i + 1 :]]
    return given


def split_paths(args: Sequence[str], what: str) -> tuple[list[str], list[str]]:
    """Paths, at least one, and the options after them.

    Raises:
        UserError: an option comes first; ``what`` names what was expected there.
    """
    count = next((i for i, arg in enumerate(args) if arg.startswith("-")), len(args))
    if not count:
        raise UserError(f"{args[0]!r} is {what}")
    return list(args[:count]), list(args[count:])


def choose_kinds(config: T, args: list[str], kinds: Kinds) -> tuple[T, list[str]]:
    """Take ``--memory NAME`` and its like, for the parts in ``kinds``, out of ``args``."""
    rest: list[str] = []
    chosen: dict[str, str] = {}
    while args:
        flag, equals, name = args.pop(0).partition("=")
        part = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or part not in kinds:
            rest.append(flag + equals + name)
            continue
        if not equals and (not args or args[0].startswith("--")):
            raise UserError(f"{flag} needs a name, one of {', '.join(kinds[part])}")
        chosen[part] = name if equals else args.pop(0)
    if "env" in chosen:
        chosen.setdefault("eval_env", chosen["env"])
    for part, name in chosen.items():
        if name not in kinds_of(part, kinds[part], name):
            raise unknown(part.replace("_", "-"), name, kinds[part], _instead(part, name))
        if name != getattr(config, part).name:
            changed: Any = {part: choose(kinds[part][name], getattr(config, part))}
            config = replace(config, **changed)  # type: ignore[type-var]
    return config, rest


def _instead(part: str, name: str) -> str:
    """The line to type for an environment that only Gymnasium knows."""
    if part != "env" or not re.fullmatch(r"[\w.:/-]+-v\d+", name):
        return ""
    return f"for an environment that Gymnasium knows type: expirespan train own --env.id {name}"


def _follow(base: Config, config: Config) -> Config:
    """Give evaluation those overrides of the training environment that it was not given itself."""
    same = {name: value for name, value in settings(config.env).items() if value != getattr(base.env, name)}
    own, chosen = settings(base.eval_env), settings(config.eval_env)
    free = {
        name: value
        for name, value in same.items()
        if name in own and name in chosen and chosen[name] == own[name]
    }
    return replace(config, eval_env=replace(config.eval_env, **free)) if free else config


def _sentence(box: str) -> str:
    """The text of one of tyro's framed messages in one line, with semicolons between its sections."""
    sections: list[list[str]] = [[]]
    for row in box.splitlines()[1:]:  # the first is the frame's title
        line = row.strip().strip("│|╭╮╰╯").strip()
        if not line.strip("─-+ "):
            sections.append([])
        elif not line.startswith(("For full helptext", "Argument helptext")):
            sections[-1].append(line)
    return "; ".join(" ".join(lines).replace(" .", ".").rstrip(".") for lines in sections if lines)


def _misread(said: str, default: Any, args: Sequence[str]) -> str:
    """What was expected in the place of a text that is no number, by the setting's declaration, or nothing."""
    found = re.match(r"Error parsing (--[\w.-]+):", said)
    if not found:
        return ""
    flag, part, hint = found[1], default, None
    for name in flag.removeprefix("--").replace("-", "_").split("."):
        kind: Any = type(part)
        hint, part = hints_of(kind).get(name), getattr(part, name, None)
    given = next((list(args[i:]) for i, arg in enumerate(args) if arg.partition("=")[0] == flag), [flag])
    value = given[0].partition("=")[2] or " ".join(takewhile(lambda arg: not arg.startswith("--"), given[1:]))
    words = accepted(hint)
    return words and f"{flag} {value!r}: expected {words}"


def _unknown_flag(flag: str, default: Any, prog: str) -> UserError:
    known = list(_flags(default, ""))
    name = flag.partition("=")[0]
    part, _, item = (text.replace("-", "_") for text in name.removeprefix("--").partition("."))
    close = difflib.get_close_matches(name, known, 1, 0.85)
    same = [other.partition(".")[2] for other in known if other.startswith(name.partition(".")[0] + ".")]
    if close:
        hint = f"did you mean {close[0]}?"
    elif item and same:
        hint = f"here {part} has {', '.join(same)}"
        others = [kind for kind, cls in KINDS.get(part, {}).items() if item in cls.__dataclass_fields__]
        hint += f"; --{part} {' or '.join(others)} has it" if others else ""
    else:
        close = difflib.get_close_matches(name, known, 3, 0.6)
        hint = f"did you mean {' or '.join(close)}?" if close else "write --name value or --part.name value"
    return UserError(f"unknown option {flag!r}: {hint}; see `{prog} --help`")


def _flags(part: Any, prefix: str) -> Any:
    kind: Any = type(part)
    hints = hints_of(kind)
    for item in fields(part):
        value, name = getattr(part, item.name), f"{prefix}{item.name.replace('_', '-')}"
        if hasattr(value, "__dataclass_fields__"):
            nameless = any(getattr(one, "name", None) == "" for one in get_args(hints[item.name])[1:])
            yield from _flags(value, prefix if nameless else f"{name}.")  # as tyro names what is in it
        else:
            yield f"--{name}"
