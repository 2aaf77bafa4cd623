"""Paragraphs, facts and tables: wrapped at the width of a terminal, one line each in a pipe or file."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence

Rows = Sequence[Sequence[str]]


def fitted(text: str, indent: str = "") -> str:
    """The text, on a terminal broken between words at its width; further lines begin with ``indent``."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def warn(text: str) -> None:
    """Print a warning beside the output."""
    print(f"expirespan: warning: {text}", file=sys.stderr)


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Labels in one column, what they stand for in the next."""
    pairs = list(rows)
    width = max(len(label) for label, _ in pairs) + 2
    return "\n".join(fitted(f"{label:<{width}}{text}", " " * width) for label, text in pairs)


def markdown(rows: Rows) -> str:
    """A Markdown table; the first row has the headings."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def fill_tables(text: str, kind: str, table: Callable[[str], Rows]) -> str:
    """A page with its tables anew: those between ``<!-- KIND: NAME -->`` and ``<!-- end -->``, by name."""

    def new(found: re.Match[str]) -> str:
        return f"{found[1]}{markdown(table(found[2]))}\n{found[3]}"

    return re.sub(rf"(<!-- {kind}: (\S+) -->\n).*?(<!-- end -->)", new, text, flags=re.DOTALL)


def show_table(rows: Rows, left: int = 1, spare: Sequence[str] = ()) -> None:
    """Print a table, the first row of which has the headings; the first ``left`` columns are texts, others numbers.

    A terminal gets lines and columns that fit it, without the ``spare`` ones where it is too narrow. A pipe or file
    gets Markdown, with all of them.
    """
    if not sys.stdout.isatty():
        print(markdown(rows))
        return
    from rich import box  # a tenth of a second
    from rich.console import Console
    from rich.table import Table

    columns, width = list(zip(*rows, strict=True)), shutil.get_terminal_size().columns
    for heading in spare:
        if sum(_widths(columns, 0)) > width:
            columns = [column for column in columns if column[0] != heading]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    for i, (column, size) in enumerate(zip(columns, _widths(columns, width), strict=True)):
        table.add_column(
            column[0], justify="left" if i < left else "right", width=size - 1, vertical="bottom"
        )
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*row)
    Console(highlight=False, markup=False, emoji=False, width=max(width, sum(_widths(columns, 0)))).print(
        table
    )


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Characters of each column and a gap after it: its cells and the longest word of its heading, and more of that
    as far as there is room."""
    sizes = [1 + max(map(len, [*head.split(), *cells])) for head, *cells in columns]
    for i, (head, *_) in enumerate(columns):
        sizes[i] += max(0, min(1 + len(head) - sizes[i], room - sum(sizes)))
    return sizes
