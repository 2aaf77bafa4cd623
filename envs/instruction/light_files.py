"""Lines of text from a user's local LIGHT files: dialogues and descriptions, pickled or as text.

The files are Facebook AI Research's (Urbanek et al. 2019, arXiv 1903.03094), in the forms in which ParlAI keeps
them: ``light_data.pkl`` and ``light_unseen_data.pkl`` (a list of dialogues), ``light_environment.pkl`` (rooms,
objects, characters), and text files of one example a line. None is part of this package. A pickle can run any code,
so only containers of builtins are taken from it, and whatever is missing in a file is left out.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from expirespan.envs.instruction.lines import Lines, light_lines

__all__ = ["read_light_lines", "read_light_texts"]

CONTAINERS: Final = {"list": list, "dict": dict, "tuple": tuple, "set": set, "frozenset": frozenset}
SPOKEN: Final = tuple(f"_{tag}" for tag in ("setting_desc", "object_desc", "self_persona")) + tuple(
    f"_{who}_{does}" for who in ("partner", "self") for does in ("say", "act", "emote")
)
DESCRIPTIONS: Final = ("description", "background", "desc", "descriptions", "personas")


def read_light_lines(path: str, token_length: int) -> Lines:
    """Chatter from a LIGHT file, or from all of them in a folder; see `read_light_texts` for errors."""
    files = _files(path)
    stamp = tuple((str(file), file.stat().st_mtime_ns) for file in files)
    return _read(stamp, token_length)


def read_light_texts(path: str) -> list[str]:
    """All that is said and described in a LIGHT file, or in all ``*.pkl`` and ``*.txt`` of a folder, one text each.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a file is damaged, asks for a class that is no container of builtins, or holds no text.
    """
    texts = []
    for file in _files(path):
        found = [
            text for text in (_from_text if file.suffix == ".txt" else _from_pickle)(file) if text.strip()
        ]
        if not found:
            raise ValueError(f"{file}: no dialogue and no description in it; is it a LIGHT file?")
        texts += found
    return texts


@lru_cache(maxsize=4)
def _read(stamp: tuple[tuple[str, int], ...], token_length: int) -> Lines:
    return light_lines([text for file, _ in stamp for text in read_light_texts(file)], token_length)


def _files(path: str) -> list[Path]:
    place = Path(path)
    found = [*place.glob("*.pkl"), *place.glob("*.txt")] if place.is_dir() else [place]
    files = sorted(file for file in found if file.is_file())
    if not path or not files:
        raise FileNotFoundError(
            f"light_path={path!r}: no LIGHT file there; expected light_data.pkl, light_environment.pkl or a text "
            "file in ParlAI's format, or a folder of such files"
        )
    return files


class _ContainersOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in CONTAINERS:
            return CONTAINERS[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _from_pickle(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as stream:
            content = _ContainersOnly(stream).load()
    except Exception as error:  # damaged pickles raise nearly anything
        raise ValueError(
            f"{file}: refused, {error}. A LIGHT file is a pickle of containers of builtins; get it again from its "
            "source"
        ) from error
    if isinstance(content, (list, tuple)):
        for dialogue in content:
            yield from _from_dialogue(dialogue if isinstance(dialogue, Mapping) else {})
    elif isinstance(content, Mapping):
        for kind in ("rooms", "objects", "characters"):
            for thing in _values(content.get(kind)):
                for key in DESCRIPTIONS:
                    yield from _strings(thing.get(key) if isinstance(thing, Mapping) else None)


def _from_dialogue(dialogue: Mapping[str, Any]) -> Iterator[str]:
    """The setting, the things in it, and what is said and done, with the name of who does it."""
    setting = dialogue.get("setting")
    yield from _strings(setting.get("description") if isinstance(setting, Mapping) else None)
    yield from _strings(dialogue.get("all_descriptions"))
    names = _values(dialogue.get("character"))
    for key, says in (("speech", "says"), ("action", "does"), ("emote", "does")):
        for i, text in enumerate(_values(dialogue.get(key))):
            if isinstance(text, str):
                yield f"{names[i] if i < len(names) else 'somebody'} {says} : {text}"


def _from_text(file: Path) -> Iterator[str]:
    """From ParlAI's dialogue format: tab-separated fields, of which ``text`` holds tagged lines."""
    try:
        examples = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text ({error}); get it again from its source") from error
    for example in examples:
        for field in example.split("\t"):
            name, _, value = field.partition(":")
            if name == "labels":
                yield value.replace("\\n", " ").replace("__PIPE__", " ")
            elif name == "text":
                for line in value.split("\\n"):
                    tag, _, text = line.partition(" ")
                    if tag in SPOKEN:
                        yield text.replace("\\t", " ").replace("__PIPE__", " ")


def _values(content: Any) -> list[Any]:
    if isinstance(content, Mapping):
        return list(content.values())
    if isinstance(content, (set, frozenset)):
        return sorted(content, key=repr)
    return list(content) if isinstance(content, (list, tuple)) else []


def _strings(content: Any) -> Iterator[str]:
    """The strings in a string, a list or a dict's values."""
    if isinstance(content, str):
        yield content
    for item in _values(content):
        if isinstance(item, str):
            yield item
