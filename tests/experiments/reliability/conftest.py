from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.training import train
from expirespan.experiments.viewer import episode_media


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time of such short runs; these say which episode they are of."""

    def draw(trace: EpisodeTrace, path: Path, image_of: Any = None) -> Path:
        write_text(path, f"{trace.about['trained_steps']} {trace.span.tolist()} {trace.action.tolist()}")
        return path

    monkeypatch.setattr(train, "draw_retention", draw)
    monkeypatch.setattr(episode_media, "draw_heatmap", lambda trace: np.zeros((4, 4, 3), np.uint8))
