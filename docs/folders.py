"""Draw docs/images/folders.svg, the folders and who imports whom: `python docs/folders.py`. A test keeps it true.

An arrow that follows from others is left out. The files that lie loose in a folder count as a folder of their own.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "folders.svg"
PACKAGES = {"memory": "#d9ead3", "agents": "#cfe2f3", "envs": "#fce5cd", "experiments": "#ead1dc"}
CORNERS = {"experiments": (10, 10), "envs": (590, 10), "agents": (590, 300), "memory": (1050, 300)}
"""Upper left corner of each package's field."""
LOOSE = {
    "experiments": "cli",
    "agents": "ppo, a2c, rollout",
    "envs": "oracles, ids",
    "memory": "rules, layers",
}
"""What lies loose in a package."""
WIDTH, HEIGHT, ACROSS, DOWN = 112, 30, 124, 58
Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Files by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(["expirespan", *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> Iterator[Path]:
    """Files of ours that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found = known.get(f"{node.module}.{alias.name}", known.get(node.module))
                if found not in (None, path):
                    yield found


def file_graph() -> Graph:
    """Which file imports which; names relative to the root."""
    known = modules()
    return {name(path): {name(other) for other in imported(path, known)} for path in known.values()}


def folder_graph() -> Graph:
    """Which folder imports which."""
    graph: Graph = defaultdict(set)
    for file, others in file_graph().items():
        here = file.rpartition("/")[0]
        graph[here] |= {there for other in others if (there := other.rpartition("/")[0]) != here}
    return dict(graph)


def name(path: Path) -> str:
    """Relative to the root."""
    return path.relative_to(ROOT).as_posix()


def cycle(graph: Graph) -> list[str]:
    """Nodes of one cycle, or none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return []
        done.add(node)
        return next(
            (found for other in sorted(graph.get(node, ())) if (found := visit(other, [*path, node]))), []
        )

    return next((found for node in sorted(graph) if (found := visit(node, []))), [])


def levels(graph: Graph) -> dict[str, int]:
    """Of each node, the arrows on the longest way down."""

    @cache
    def level(node: str) -> int:
        return 1 + max((level(other) for other in graph[node]), default=-1)

    return {node: level(node) for node in graph}


def reduced(graph: Graph) -> Graph:
    """Without arrows that follow from others."""

    @cache
    def below(node: str) -> frozenset[str]:
        return frozenset(graph[node]).union(*(below(other) for other in graph[node]))

    return {
        node: {b for b in others if not any(b in below(other) for other in others if other != b)}
        for node, others in graph.items()
    }


def inside(graph: Graph, package: str) -> Graph:
    """The part of a graph within one package."""
    mine = {node for node in graph if node.partition("/")[0] == package}
    return {node: graph[node] & mine for node in mine}


def svg() -> str:
    """The picture: packages as fields, in each its folders; who imports stands above who is imported."""
    graph = folder_graph()
    parts: list[str] = []
    boxes = {}
    for package, (left, top) in CORNERS.items():
        drawn, width, height = _package(inside(graph, package), left + 14, top + 30)
        boxes[package] = (left, top, width + 28, height + 40)
        parts += _field(package, boxes[package]) + drawn
    for package, others in (("experiments", ("envs", "agents")), ("agents", ("memory",))):
        for other in others:
            parts.append(_arrow(boxes[package], boxes[other]))
    width = max(left + wide for left, _, wide, _ in boxes.values()) + 10
    height = max(top + high for _, top, _, high in boxes.values()) + 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def _package(graph: Graph, left: int, top: int) -> tuple[list[str], int, int]:
    """Boxes and lines of one package, and the width and height that they take."""
    level, arrows = levels(graph), reduced(graph)
    rows = [sorted(node for node in graph if level[node] == i) for i in range(max(level.values()) + 1)]
    widest = max(map(len, rows))
    place: dict[str, tuple[int, int]] = {}
    for i, row in reversed(list(enumerate(rows))):

        def users(node: str) -> float:  # where those that import it stand, from left to right
            found = [x for other, (x, _) in place.items() if node in arrows[other]]
            return sum(found) / len(found) if found else 0

        for column, node in enumerate(sorted(row, key=users)):
            x = left + round((column + 0.5 + (widest - len(row)) / 2) * ACROSS)
            place[node] = x, top + round((len(rows) - i - 0.5) * DOWN)
    lines = []
    for node, others in sorted(arrows.items()):
        for other in sorted(others):
            (x, y), (u, v) = place[node], place[other]
            y, v = y + HEIGHT // 2, v - HEIGHT // 2
            bend = (y + v) // 2
            lines.append(f'<path d="M{x} {y} C{x} {bend} {u} {bend} {u} {v}" fill="none" stroke="#777777"/>')
    for node, (x, y) in sorted(place.items()):
        box = f'x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="5"'
        lines.append(f'<rect {box} fill="white" stroke="#666666"/>')
        inner = node.partition("/")[2] or LOOSE.get(node, "its files")
        lines.append(f'<text x="{x}" y="{y + 4}" text-anchor="middle">{inner}</text>')
    return lines, widest * ACROSS, len(rows) * DOWN


def _field(package: str, box: tuple[int, int, int, int]) -> list[str]:
    left, top, width, height = box
    return [
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" fill="{PACKAGES[package]}"/>',
        f'<text x="{left + 12}" y="{top + 20}" font-size="14" font-weight="bold">{package}/</text>',
    ]


def _arrow(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> str:
    """From the right edge of one field straight to the left edge of another."""
    y = (max(one[1], other[1]) + min(one[1] + one[3], other[1] + other[3])) // 2
    start, end = one[0] + one[2], other[0]
    head = f"M{end - 9} {y - 6} L{end} {y} L{end - 9} {y + 6}"
    return f'<path d="M{start} {y} L{end} {y} {head}" fill="none" stroke="black" stroke-width="2"/>'


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
    print(PICTURE)
