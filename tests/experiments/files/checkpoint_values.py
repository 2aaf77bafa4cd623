"""Checkpoints that are whole and hold something different: settings, weights, memories."""

from __future__ import annotations

import json
import random

import safetensors.torch
import torch

from tests.experiments.files import damage
from tests.experiments.files.damage import Files, places
from tests.experiments.files.foreign import of_zips


def of_checkpoints(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from of_zips(content, other, draw, count)
    if "data" in damage.members_of(content):
        yield from of_values(content, draw, count)


WEIRD = (None, True, -1, 0, 1e9, 10**7, 10**30, "x" * 1000, "", [], {}, [[]] * 3, {":": "float", "value": "nan"},
         {":": "tuple", "items": [10**9] * 3})  # fmt: skip


def of_values(content: bytes, draw: random.Random, count: int) -> Files:
    """Checkpoints that are whole and hold something different: settings, weights, memories. A value that differs is
    no damage that could be noticed, so they are wrong in what was NaN, of another type or shape, or gigantic; those
    whose words begin with ~ may be read.
    """
    members = damage.members_of(content)
    data = json.loads(members["data"])
    data.pop("digests", None)

    def again(**changed: bytes) -> bytes:
        found = {"data": json.dumps(data).encode(), **{n: c for n, c in members.items() if n != "data"}}
        return damage.packed(list((found | {n.replace("_", "."): c for n, c in changed.items()}).items()))

    for part in ("policy", "state"):
        tensors = dict(sorted(safetensors.torch.load(members[f"{part}.safetensors"]).items()))
        weights = [n for n, t in tensors.items() if t.is_floating_point() and t.numel() and
                   (part == "policy" or n.startswith(("weights", "position.memory", "sequence.state")))]  # fmt: skip
        for name in draw.sample(weights, min(len(weights), max(3, count // 8))):
            tensor = tensors[name]
            nan = tensor.clone()
            nan.view(-1)[-1] = torch.nan
            bad = {
                "NaN": nan,
                "a tensor of another type": tensor.int(),
                "another shape": torch.cat([tensor.view(-1)] * 3),
            }
            if not name.endswith((".span", "limit")):
                bad["inf"] = torch.where(nan.isnan(), torch.inf, nan)
            for what, wrong in bad.items():
                file = safetensors.torch.save(tensors | {name: wrong})
                yield f"{name}: {what}", again(**{f"{part}_safetensors": file})
    for place in HUGE:
        node = data
        *path, last = place
        for key in path:
            node = node.get(key, {}) if isinstance(node, dict) else {}
        if last in node:
            before = node[last]
            for value in (10**7, 10**12, -1, "many", None):
                node[last] = value
                yield f"{'.'.join(place)} = {value}", again()
            node[last] = before
    leaves = list(places(data))
    for node, key in draw.sample(leaves, min(len(leaves), 2 * count)):
        before, node[key] = node[key], draw.choice(WEIRD)
        yield f"~{key} = {str(node[key])[:30]}", again()
        node[key] = before


_KWARGS = ("attributes", "policy_kwargs", "memory_kwargs")
HUGE = [
    *((*_KWARGS, name) for name in ("layers", "width", "heads", "positions")),
    *(("arguments", "memory_kwargs", name) for name in ("layers", "width", "heads", "positions")),
    ("attributes", "observation_space", "data", "shape"), ("attributes", "action_space", "data", "n"),
    ("arguments", "observation_space", "data", "shape"), ("arguments", "action_space", "data", "n"),
    ("sequence", "config", "memory", "layers"), ("sequence", "config", "rows"), ("sequence", "counters"),
]  # fmt: skip
