"""Times of deployed policies: small sizes."""

from __future__ import annotations

import pytest

from expirespan.experiments.bench import deployment
from expirespan.experiments.bench.options import DeploymentOptions
from expirespan.experiments.settings.errors import UserError


@pytest.mark.slow
def test_every_way_is_timed() -> None:
    rows = deployment.run(DeploymentOptions(capacities=(9,), envs=(1, 2), steps=2, rounds=2))
    ways = ["policy file, PyTorch", "ONNX, capacity 9"]
    assert [(row.way, row.envs) for row in rows] == [(way, envs) for envs in (1, 2) for way in ways]
    assert all(0 < row.best <= row.median < 1000 for row in rows)
    assert all(row.way in deployment.table(rows) for row in rows)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (DeploymentOptions(steps=0), "steps=0: expected an integer >= 1"),
        (DeploymentOptions(envs=()), "envs=.*: expected at least one"),
        (DeploymentOptions(capacities=(3,)), "capacities: capacity=3: expected at least 7"),
    ],
)
def test_what_it_refuses(options: DeploymentOptions, words: str) -> None:
    with pytest.raises(UserError, match=words):
        deployment.run(options)
