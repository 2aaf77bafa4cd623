"""Golden traces: what v0 of each environment did when it was released, whatever numpy's generators do.

`tests/envs/golden` holds a file for each environment: cases of parameters, a layout and actions, and what came of
them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import expirespan.envs  # noqa: F401  registers the environments

GOLDEN = Path(__file__).parent / "golden"
FILES = {
    "corridor-v0.json": "ExpireSpan/Corridor-v0",
    "endless-tmaze-v0.json": "ExpireSpan/EndlessTMaze-v0",
    "find-instruction-v0.json": "ExpireSpan/FindInstruction-v0",
    "portal-rooms-v0.json": "ExpireSpan/PortalRooms-v0",
}
CASES = [(FILES[name], case) for name in FILES for case in json.loads((GOLDEN / name).read_text())]


def trace(env: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Play the case's actions in a scalar environment: a hash of all observations, rewards and flags."""
    observation, info = env.reset(options={"layout": case["layout"]})
    digest, steps = hashlib.sha256(observation.tobytes()), []
    cues = [info["cue"]]
    for action in case["actions"]:
        observation, reward, terminated, truncated, info = env.step(action)
        digest.update(observation.tobytes())
        steps.append((reward, terminated, truncated))
        cues.append(info["cue"])
    rewards, terminated, truncated = (list(column) for column in zip(*steps, strict=True))
    return {
        "observations_sha256": digest.hexdigest(),
        "rewards": rewards,
        "terminated": terminated,
        "truncated": truncated,
        "cues": cues,
    }


def test_every_file_is_played() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(FILES)


@pytest.mark.parametrize(("env_id", "case"), CASES, ids=[f"{name}: {case['name']}" for name, case in CASES])
def test_golden_trace(env_id: str, case: dict[str, Any]) -> None:
    assert trace(gym.make(env_id, **case["kwargs"]), case) == case["expected"]
