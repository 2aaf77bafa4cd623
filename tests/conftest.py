"""One thread for every test, because tests run side by side; slow tests begin first, shared out between two workers."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """A sample of the slow tests, for CI."""
    parser.addoption("--every", type=int, default=1, help="of each slow test that has many cases, every N-th")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Half of the slow tests first, the others at the middle, where the second worker begins; of each every N-th."""
    slow, rest, left_out, seen = [], [], [], Counter[str]()
    for item in items:
        if not item.get_closest_marker("slow"):
            rest.append(item)
            continue
        name = item.nodeid.partition("[")[0]
        (left_out if seen[name] % config.getoption("--every") else slow).append(item)
        seen[name] += 1
    config.hook.pytest_deselected(items=left_out)
    half = len(rest) // 2
    items[:] = slow[::2] + rest[:half] + slow[1::2] + rest[half:]
