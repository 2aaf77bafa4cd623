"""Makes `memory_harness` importable, gives tests their memories, and seeds each of them alike."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from expirespan.memory import Memory

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("memory_harness")

from memory_harness import CASES, Case, build  # noqa: E402


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def memory(case: Case) -> Memory[Any]:
    return build(case)
