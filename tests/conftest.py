"""One thread for every test, because tests run side by side; slow tests begin first, shared out between two workers."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Half of the slow tests first, the others at the middle, where the second worker begins."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    half = len(rest) // 2
    items[:] = slow[::2] + rest[:half] + slow[1::2] + rest[half:]
