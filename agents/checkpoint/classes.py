"""Classes in checkpoints: stored as ``module:name``, looked up only where that is safe.

The module of our own classes is the package that exports them, so that their files may move.

Looking a class up imports nothing but our own package, Stable-Baselines3, PyTorch and Gymnasium; of other modules
those count that the program has imported by itself. What is found must be a class, must call itself by the
name under which it was found, and must be a subclass of what its place takes. Functions are never looked up.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch as th
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

TRUSTED = ("expirespan", "stable_baselines3", "torch", "gymnasium")
"""Packages from which modules are imported to find a class."""

PLACES: dict[str, tuple[type[Any], ...]] = {
    "policy_class": (BasePolicy,),
    "rollout_buffer_class": (BaseBuffer,),
    "features_extractor_class": (BaseFeaturesExtractor,),
    "optimizer_class": (th.optim.Optimizer,),
    "activation_fn": (th.nn.Module,),
}
"""What a class must be a subclass of, by the name of the argument it is given as."""

ELSEWHERE = (th.nn.Module, th.optim.Optimizer)
"""What it must be a subclass of in all other places."""


def path_of(cls: type[Any]) -> str:
    """The name of a class in files."""
    package = ".".join(cls.__module__.split(".")[:2])
    exported = package.startswith("expirespan.") and vars(sys.modules[package]).get(cls.__qualname__) is cls
    return f"{package if exported else cls.__module__}:{cls.__qualname__}"


def class_for(place: str, path: str, given: Mapping[str, Any]) -> type[Any]:
    """The class called ``path``, for the argument called ``place``; classes ``given`` by path come first.

    Raises:
        ValueError: it cannot be found, or does not belong there.
    """
    return find_class(path, PLACES.get(place, ELSEWHERE), place, given)


def find_class(
    path: str, bases: tuple[type[Any], ...], place: str, given: Mapping[str, Any] | None = None
) -> type[Any]:
    """The subclass of one of ``bases`` called ``path``; ``place`` is for messages.

    Raises:
        ValueError: it cannot be found, or is no such class.
    """
    module_name, _, name = path.partition(":")
    found = (given or {}).get(path)
    if found is None:
        module = _module(module_name)
        if module is None:
            raise ValueError(
                f"{place} is the class {path}, and {module_name!r} is not imported: a file may not make a "
                "program import what it likes. Import that module before loading, or pass "
                f"custom_objects={{{path!r}: the class}}"
            )
        found = module
        for part in name.split("."):
            found = vars(found).get(part) if isinstance(found, (ModuleType, type)) else None
        if not isinstance(found, type) or path not in (
            path_of(found),
            f"{found.__module__}:{found.__qualname__}",
        ):
            raise ValueError(
                f"{place} is the class {path}, and {module_name!r} defines no such class; load with the "
                f"version of the code that saved it, or pass custom_objects={{{path!r}: the class}}"
            )
    if not (isinstance(found, type) and issubclass(found, bases)):
        expected = " or ".join(f"{base.__module__}.{base.__name__}" for base in bases)
        raise ValueError(
            f"{place} is {path}, which does not belong there: expected a subclass of {expected}; the file may "
            "be damaged or made to do harm, so use one whose origin you know"
        )
    return found


def _module(name: str) -> ModuleType | None:
    """The module, imported only if it belongs to a trusted package; None if there is none."""
    if name not in sys.modules and name.partition(".")[0] in TRUSTED:
        try:
            return importlib.import_module(name)
        except ImportError:
            return None
    return sys.modules.get(name)
