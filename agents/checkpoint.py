"""Saving and loading agents: files are written whole or not at all, errors say which file and what to do.

The format is SB3's: a zip of ``data`` (attributes), ``policy.pth`` and ``policy.optimizer.pth``.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
import secrets
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Self

import torch as th
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.save_util import json_to_data, load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv, TensorDict

Source = str | pathlib.Path | io.BufferedIOBase
PARTS = ("data", "policy.pth", "policy.optimizer.pth")
SPACES = {"observation_space": "observation space", "action_space": "action space"}


def destination(path: str | pathlib.Path) -> pathlib.Path:
    """Where SB3 saves to: ``.zip`` is added to a name without suffix, ``_2`` to that of a folder."""
    target = pathlib.Path(path)
    if target.suffix == "":
        target = target.with_name(f"{target.name}.zip")
    if target.is_dir():
        warnings.warn(f"Path '{target}' is a folder. Will save instead to {target}_2", stacklevel=3)
        target = target.with_name(f"{target.name}_2")
    return pathlib.Path(os.path.realpath(target))  # through links, as writing to them would


@contextmanager
def replacing(target: pathlib.Path) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``target`` when all is on disk. After an exception all is as before."""
    if not target.parent.exists():
        warnings.warn(f"Path '{target.parent}' does not exist. Will create it.", stacklevel=4)
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def origin(path: Source) -> Source:
    """The file that SB3 would read: ``path``, or with ``.zip`` added.

    Raises:
        FileNotFoundError: there is neither.
    """
    if not isinstance(path, (str, pathlib.Path)):
        return path
    tried = [pathlib.Path(path), pathlib.Path(f"{path}.zip")]
    found = [candidate for candidate in tried if candidate.is_file()]
    if not found:
        raise FileNotFoundError(
            f"there is no saved agent at {tried[0]} nor at {tried[1]}; give the path that save() was given "
            f"(relative paths start from {pathlib.Path.cwd()})"
        )
    return found[0]


def named(source: Source) -> str:
    """The source, for messages."""
    return str(source) if isinstance(source, (str, pathlib.Path)) else f"the given {type(source).__name__}"


def contents(source: Source) -> dict[str, Any]:
    """The attributes in a saved agent, still serialised; every byte of the file is checked.

    Raises:
        ValueError: it is no saved agent, or damaged.
    """
    start = source.tell() if isinstance(source, io.BufferedIOBase) else 0
    try:
        with zipfile.ZipFile(source) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
            if archive.infolist() and archive.infolist()[0].header_offset > 0:
                # The weights are zip files themselves: what was found is the end of one of those.
                raise zipfile.BadZipFile("it breaks off")
            data = json.loads(archive.read("data")) if damaged is None and "data" in names else {}
    except OSError:
        raise
    except Exception as error:  # zipfile, zlib and json each have their own
        raise ValueError(
            f"{named(source)} is no saved agent, or its end is missing: expected a zip file as save() writes "
            f"it, and reading it says: {error}; load an earlier checkpoint, or copy the file again"
        ) from error
    finally:
        if isinstance(source, io.BufferedIOBase):
            source.seek(start)
    if damaged is not None:
        raise ValueError(
            f"{named(source)} is damaged: the checksum of {damaged!r} inside is wrong; load an earlier "
            "checkpoint, or copy the file again"
        )
    missing = [part for part in PARTS if part not in names]
    if missing:
        raise ValueError(
            f"{named(source)} is a zip file but no saved agent: it lacks {', '.join(missing)} and holds "
            f"{', '.join(names[:5]) or 'nothing'}; expected what save() of an agent writes"
        )
    attributes: dict[str, Any] = data
    return attributes


def check_spaces(
    source: Source, data: Mapping[str, Any], env: Any, custom_objects: dict[str, Any] | None
) -> None:
    """Raise ValueError if the agent in the file has other spaces than ``env``."""
    part = json.dumps({key: data[key] for key in SPACES if key in data})
    saved = json_to_data(part, custom_objects)
    for key, words in SPACES.items():
        if key in saved and saved[key] != getattr(env, key):
            raise ValueError(
                f"{named(source)} holds an agent with {words} {saved[key]}, but the environment given has "
                f"{getattr(env, key)}; give an environment with the same spaces, or env=None to predict only"
            )


class WeightsError(ValueError, RuntimeError):
    """Weights that do not fit. A RuntimeError as well, because that is what PyTorch and SB3 raise."""


def check_weights(given: Mapping[str, Any], own: Mapping[str, Any], exact_match: bool) -> None:
    """Raise WeightsError if weights do not fit an agent's ``own``, both in the form of `get_parameters`."""
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
            elif isinstance(tensor, th.Tensor) and tensor.shape != mine[name].shape:
                wrong.append(f"{name!r} has shape {tuple(tensor.shape)}, expected {tuple(mine[name].shape)}")
        wrong += [f"{part} lacks {name!r}" for name in mine if exact_match and name not in new]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"these are the weights of another architecture: {'; '.join(wrong[:3])}{more}. The agent's "
            "weights are unchanged. Make it with the policy_kwargs of the agent that was saved, as load does"
        )


class CheckpointedAlgorithm(OnPolicyAlgorithm):
    """`OnPolicyAlgorithm` that saves atomically and explains what it cannot load."""

    def save(
        self, path: Source, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None
    ) -> None:
        """Save attributes, weights and optimiser, as SB3 does; a file of that name is replaced in one moment.

        Whatever interrupts it, ``path`` holds either what it held before or all of this agent.
        ``include=["_memory_state"]`` also saves what the agent remembers of the episodes under way, for
        ``load(..., force_reset=False)``.
        """
        if not isinstance(path, (str, pathlib.Path)):
            return super().save(path, exclude, include)
        with replacing(destination(path)) as file:
            super().save(file, exclude, include)  # type: ignore[arg-type]

    @classmethod
    def load(
        cls,
        path: Source,
        env: GymEnv | None = None,
        device: th.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """A new agent from a file; arguments as in SB3.

        With ``force_reset=False`` the environment goes on in the episodes under way, and the agent in its
        memory of them if the file has it (see `save`).

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, no saved agent, one that this class cannot continue, or ``env`` has
                other spaces.
        """
        source = origin(path)
        data = contents(source)
        if env is not None:
            env = cls._wrap_env(env, data.get("verbose", 0))
            check_spaces(source, data, env, custom_objects)
        try:
            agent = super().load(
                source,
                env,
                device,
                custom_objects,
                print_system_info,
                force_reset,
                **kwargs,
            )
        except (ValueError, RuntimeError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{named(source)} cannot be loaded as {cls.__name__}: {reason}") from error
        if not force_reset and agent._last_obs is not None and "_memory_state" not in data:
            warnings.warn(
                f"{named(source)} was saved without the agent's memory of the episodes under way, so with "
                "force_reset=False it goes on in them with an empty one; save with include=['_memory_state']",
                stacklevel=2,
            )
        return agent

    def set_parameters(
        self, load_path_or_dict: str | TensorDict, exact_match: bool = True, device: th.device | str = "auto"
    ) -> None:
        """Take over weights, as in SB3, but all or none of them.

        Raises:
            WeightsError: they are those of another architecture.
        """
        if isinstance(load_path_or_dict, dict):
            params: Any = load_path_or_dict
        else:
            source = origin(load_path_or_dict)
            contents(source)
            _, params, _ = load_from_zip_file(source, load_data=False, device=device)
        try:
            check_weights(params, self.get_parameters(), exact_match)
        except WeightsError as error:
            if isinstance(load_path_or_dict, dict):
                raise
            raise WeightsError(f"{named(source)} does not fit this agent: {error}") from error
        super().set_parameters(params, exact_match, device)
