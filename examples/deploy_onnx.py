"""Acting with an ONNX file by numpy and onnxruntime alone. Only writing the file, once, takes PyTorch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import onnxruntime

import expirespan.envs  # noqa: F401  (registers ExpireSpan/Corridor-v0; imports no PyTorch)

FILE = Path("policy.onnx")


def write() -> None:
    """The graph of the agent of `expirespan demo`; `expirespan export RUN --format onnx` writes that of a run."""
    from importlib.resources import files

    from expirespan.agents import DeployedPolicy, export_onnx

    policy = DeployedPolicy.load(str(files("expirespan.agents.pretrained") / "corridor.zip"))
    export_onnx(policy, FILE, capacity=32)


def main(episodes: int = 16) -> None:
    """Play corridors of 200 cells, 16 at a time."""
    if not FILE.is_file():
        write()
    session = onnxruntime.InferenceSession(FILE)
    about = json.loads(session.get_modelmeta().custom_metadata_map["expirespan"])
    state = {name: np.zeros((16, *part["shape"]), part["dtype"]) for name, part in about["state"].items()}
    envs = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=16, min_length=200, max_length=200)
    (obs, _), start, solved, overflow = envs.reset(seed=0), np.ones(16, bool), [], 0
    while len(solved) < episodes:
        found = session.run(None, {"observation": obs, "episode_start": start, **state})
        out = dict(zip(about["outputs"], found, strict=True))
        state = {name: out[part["output"]] for name, part in about["state"].items()}
        obs, reward, terminated, truncated, _ = envs.step(out["action"])
        start, overflow = terminated | truncated, overflow + out["overflow"].sum()
        solved += (reward[start] > 0).tolist()
    print(f"solved {sum(solved)} of {len(solved)} corridors; steps with too little capacity: {overflow}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
