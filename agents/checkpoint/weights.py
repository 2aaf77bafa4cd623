"""Checks that weights fit an agent, or they are refused as a whole; and what stands beside a memory's weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch as th

from expirespan.agents.base.checks import rules_of
from expirespan.ranges import require

EXTRACTORS = ("pi_features_extractor.", "vf_features_extractor.")
"""Where policies that share one features extractor have it a second and third time."""


class WeightsError(ValueError, RuntimeError):
    """Weights that do not fit. A RuntimeError as well, because that is what PyTorch and SB3 raise."""


def check_weights(given: Mapping[str, Any], own: Mapping[str, Any], exact_match: bool) -> None:
    """Raise WeightsError if weights do not fit an agent's ``own``, both in the form of `get_parameters`."""
    wrong = differences(given, own, exact_match)
    if wrong:
        raise WeightsError(
            f"these are the weights of another architecture: {listed(wrong)}. The agent's weights are unchanged. "
            "Make it with the policy_kwargs of the agent that was saved, as load does"
        )


def listed(wrong: list[str]) -> str:
    """The first three, and how many more there are."""
    return "; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")


def differences(given: Mapping[str, Any], own: Mapping[str, Any], exact_match: bool = True) -> list[str]:
    """Where weights differ from ``own`` in names, shapes and types, in words."""
    wrong = [f"{part} is missing" for part in own if exact_match and part not in given]
    for part, new in given.items():
        if part not in own:  # SB3 takes any attribute, if asked for less than an exact match
            wrong += [f"an agent has no {part!r}"] if exact_match else []
            continue
        mine = own[part]
        if "param_groups" in mine and "param_groups" in new:  # an optimizer
            sizes = [[len(group["params"]) for group in state["param_groups"]] for state in (new, mine)]
            if sizes[0] != sizes[1]:
                wrong.append(f"{part} has groups of {sizes[0]} tensors, expected {sizes[1]}")
            continue
        for name, tensor in new.items():
            if name not in mine:
                wrong += [f"{part} has {name!r}, expected no such"] if exact_match else []
            elif not isinstance(tensor, th.Tensor):
                wrong.append(f"{name!r} is no tensor")
            elif tensor.shape != mine[name].shape:
                wrong.append(f"{name!r} has shape {tuple(tensor.shape)}, expected {tuple(mine[name].shape)}")
            elif tensor.is_floating_point() != mine[name].is_floating_point():
                wrong.append(f"{name!r} has type {tensor.dtype}, expected {mine[name].dtype}")
        wrong += [f"{part} lacks {name!r}" for name in mine if exact_match and name not in new]
    return wrong


def with_shared_extractors(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, with copies of a shared features extractor that old agents were saved without; warns of them."""
    policy = dict(given["policy"])
    filled = []
    for name in own["policy"]:
        for prefix in EXTRACTORS:
            shared = f"features_extractor.{name.removeprefix(prefix)}"
            if name.startswith(prefix) and name not in policy and shared in policy:
                policy[name] = policy[shared]
                filled.append(name)
    if filled:
        warnings.warn(
            f"the saved policy lacks {filled[0]!r} and {len(filled) - 1} more, as policies saved with SB3 < 1.7 do; "
            "those of the shared features extractor are taken. Save the agent again",
            stacklevel=4,
        )
    return {**given, "policy": policy}


Raised = list[dict[str, float]]
"""Per layer the rule's ``max_span`` in steps and its ``stretch``."""


def raised(memory: Any) -> Raised:
    """Of every layer; nothing if the memory has no rules."""
    return [{"max_span": rule.max_span, "stretch": rule.stretch} for rule in rules_of(memory)]


def raise_again(memory: Any, saved: Raised | None) -> None:
    """Give the rules what `raised` returned; nothing for None, which stands for files without them.

    Raises:
        ValueError: it is of another number of layers, or no longest span can be such.
    """
    if saved is None:
        return
    rules = rules_of(memory)
    require(len(saved) == len(rules), "raised spans", saved, f"those of {len(rules)} layers")
    for rule, one in zip(rules, saved, strict=True):
        require(0 < one["stretch"] < float("inf"), "stretch", one["stretch"], "a finite number > 0")
        rule.max_span, rule.stretch = one["max_span"], float(one["stretch"])
