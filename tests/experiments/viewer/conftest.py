from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.viewer.browser import find_chromium


@pytest.fixture(scope="session")
def random_trace() -> Any:
    """Traces of any size, whose lives, spans and attention are random but fit each other."""

    def make(
        T: int, L: int = 3, k: int = 4, seed: int = 0, what_if: bool = False, **more: Any
    ) -> EpisodeTrace:
        rng = np.random.default_rng(seed)
        life = rng.geometric(0.3, (L, T)) + np.where(rng.random((L, T)) < 0.02, T, 0)
        death = np.minimum(np.arange(T) + life, T).astype(np.int32)
        attended = np.full((L, T, k), -1, np.int32)
        attention = np.zeros((L, T, k), np.float16)
        for layer in range(L):
            for t in range(T):
                alive = np.flatnonzero(death[layer, : t + 1] >= t)
                read = rng.permutation(alive)[:k]
                weights = np.sort(rng.dirichlet(np.ones(len(alive))))[::-1][:k]
                attended[layer, t, : len(read)], attention[layer, t, : len(read)] = read, weights
        if what_if and L:
            more = _what_if(death, attended, attention, rng) | more
        fields: dict[str, Any] = dict(
            observation=rng.normal(size=(T, 4)).astype(np.float32),
            action=rng.integers(0, 3, T),
            reward=(rng.random(T) < 0.1).astype(np.float32),
            value=rng.normal(size=T).astype(np.float32),
            cue=np.arange(T) == 3,
            span=life.astype(np.float32),
            alive=np.stack([(death[:, : t + 1] >= t).sum(1) for t in range(T)], 1).astype(np.int32),
            death=death,
            attended=attended,
            attention=attention,
            about={"env": "Random-v0", "seed": seed, "success": True, "ramp": 1, "trained_steps": 10},
        )
        return EpisodeTrace(**(fields | more))

    return make


def _what_if(death: Any, attended: Any, attention: Any, rng: Any) -> dict[str, Any]:
    """Four heads, and up to three memories that each step could read, removed; three actions."""
    T = death.shape[1]
    removed = np.full((T, 3), -1, np.int32)
    for t in range(T):
        there = np.flatnonzero((death[:, :t] >= t).any(0))
        few = rng.permutation(there)[:3]
        removed[t, : len(few)] = few
    share = rng.dirichlet(np.ones(4), attention.shape) * 4
    absent = removed < 0
    probability, without = rng.dirichlet(np.ones(3), T), rng.dirichlet(np.ones(3), (T, 3))
    shift = (probability[:, None] * np.log(probability[:, None] / without)).sum(-1)
    return {
        "heads": np.minimum(attention[..., None].astype(float) * share * 255, 255).round().astype(np.uint8),
        "removed": removed,
        "probability": probability.astype(np.float32),
        "without": np.where(absent[..., None], 0, without).astype(np.float32),
        "value_without": np.where(absent, 0, rng.normal(size=(T, 3))).astype(np.float32),
        "shift": np.where(absent, 0, shift).astype(np.float32),
    }


@pytest.fixture(scope="session")
def chromium() -> str:
    """Skips where there is no browser; .ci/run sets NEED_CHROMIUM, under which that is a failure."""
    try:
        return find_chromium()
    except UserError as error:
        if os.environ.get("NEED_CHROMIUM"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def write(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def to_file(html: str) -> Path:
        path = tmp_path_factory.mktemp("page") / "page.html"
        path.write_text(html, encoding="utf-8")
        return path

    return to_file
