"""Reading of texts, YAML and JSON from files, within limits of size, depth and number of values.

A file of any content costs at most about a second and some hundred megabytes; errors are one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from expirespan.experiments.settings.errors import UserError
from expirespan.names import check_once, object_of
from expirespan.quoting import said

MOST_SETTINGS = 100_000
"""Bytes of a YAML file; settings of a run have about 3,000."""
MOST_JSON = 32 << 20
"""Bytes of a JSON file; results have about 5,000."""
MOST_LOG = 512 << 20
"""Bytes of a log."""
MOST_VALUES, DEEPEST = 2_000_000, 60
"""Values in a JSON file, nesting of JSON and YAML."""
MOST_NODES = 20_000
"""Values in a YAML file, those of aliases counted wherever they stand."""


def read_text(path: Path, most: int) -> str:
    """The text of a file.

    Raises:
        UserError: it cannot be read, has more bytes than ``most``, or is not UTF-8.
    """
    try:
        return read_bytes(path, most, "is it the right one?").decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8 (byte {error.start:,}); is it damaged?") from None


def read_bytes(path: Path, most: int, remedy: str) -> bytes:
    """What a file holds; ``remedy``: what to do if that is too much.

    Raises:
        UserError: it cannot be read, or has more bytes than ``most``.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > most:
        raise UserError(f"{path} has more than {most:,} bytes, which no such file has; {remedy}")
    return content


def parse_json(text: str) -> Any:
    """The value; NaN and Infinity are taken, as Python writes them.

    Raises:
        ValueError: it is not JSON, names something twice, or is larger or deeper than any file of ours.
    """
    values = text.count(",") + text.count("[") + text.count("{")
    if len(text) > MOST_JSON or values > MOST_VALUES:
        raise ValueError(f"it has {len(text):,} characters and about {values:,} values, which is too much")
    try:
        found = json.loads(text, object_pairs_hook=object_of)
        _check_depth(found)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    return found


def read_json(path: Path) -> Any:
    """The value in a file.

    Raises:
        UserError: it cannot be read; ValueError: as `parse_json`.
    """
    return parse_json(read_text(path, MOST_JSON))


def is_number(value: Any, low: float = float("-inf"), high: float = float("inf")) -> bool:
    """Whether a value is a finite number, no bool, within [low, high]."""
    kind = isinstance(value, int | float) and not isinstance(value, bool)
    return kind and low <= value <= high and abs(value) < float("inf")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            part
            for item in level
            if isinstance(item, dict | list)
            for part in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise RecursionError


class _Loader(yaml.SafeLoader):
    """SafeLoader that takes no name twice, and whose values are counted before they are made."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested deeper than {DEEPEST} levels")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_document(self, node: yaml.Node) -> Any:
        _count(node, {})
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        check_once(key for key in keys if key != "<<")
        return super().construct_mapping(node, deep)


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node stands for, aliases written out; YAMLError if there are too many, or without end."""
    if id(node) in known:
        if not known[id(node)]:
            raise yaml.YAMLError("something in it contains itself")
        return known[id(node)]
    known[id(node)] = 0  # not yet known
    total = 1
    if isinstance(node, yaml.CollectionNode):
        for part in node.value:
            for inner in part if isinstance(part, tuple) else (part,):
                total += _count(inner, known)
    if total > MOST_NODES:
        raise yaml.YAMLError(f"it stands for more than {MOST_NODES:,} values")
    known[id(node)] = total
    return total


def parse_yaml(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        ValueError: it is not YAML, names something twice, or is larger or deeper than any settings.
    """
    if len(text) > MOST_SETTINGS:
        raise ValueError(f"it has {len(text):,} characters, which is too much")
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(said(error, 400)) from None
