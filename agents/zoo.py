"""MemoryPPO and MemoryA2C among the algorithms of rl-baselines3-zoo: for its `train`, `enjoy` and search of settings.

The zoo is imported where it is needed, and is an extra: ``pip install 'expirespan[zoo]'``.
"""

from __future__ import annotations

from typing import Any

from expirespan.agents.a2c import MemoryA2C
from expirespan.agents.ppo import MemoryPPO

ALGORITHMS = {"memory_ppo": MemoryPPO, "memory_a2c": MemoryA2C}
"""Under these names the zoo's ``--algo`` knows the agents."""


def register_zoo() -> None:
    """Add `ALGORITHMS` to the zoo's, with what it tries for each setting where it is told to ``-optimize``.

    Raises:
        ImportError: the zoo is not installed.
    """
    try:
        from rl_zoo3.hyperparams_opt import HYPERPARAMS_CONVERTER, HYPERPARAMS_SAMPLER
        from rl_zoo3.utils import ALGOS
    except ModuleNotFoundError as error:
        raise ImportError(
            f"rl-baselines3-zoo needs {error.name}, which is not installed: pip install 'expirespan[zoo]'"
        ) from error
    known: dict[str, Any] = ALGOS
    known.update(ALGORITHMS)
    HYPERPARAMS_SAMPLER.update(memory_ppo=sample_ppo, memory_a2c=sample_a2c)
    converters: dict[str, Any] = HYPERPARAMS_CONVERTER
    converters.update(dict.fromkeys(ALGORITHMS, settings_of))


def sample_ppo(trial: Any, n_actions: int, n_envs: int, additional_args: dict[str, Any]) -> dict[str, Any]:
    """Settings of `MemoryPPO` to try; the arguments are the zoo's, ``trial`` Optuna's.

    Minibatches hold 16 steps or more: shorter segments teach little about what to remember.
    """
    params = _both(trial) | {
        "batch_size_pow": trial.suggest_int("batch_size_pow", 4, 10),
        "n_epochs": trial.suggest_categorical("n_epochs", [1, 3, 5, 10]),
        "clip_range": trial.suggest_categorical("clip_range", [0.1, 0.2, 0.3]),
    }
    return settings_of(params)


def sample_a2c(trial: Any, n_actions: int, n_envs: int, additional_args: dict[str, Any]) -> dict[str, Any]:
    """Settings of `MemoryA2C` to try, as `sample_ppo`."""
    return settings_of(_both(trial))


def _both(trial: Any) -> dict[str, Any]:
    """What is tried for both agents, as Optuna stores it."""
    return {
        "n_steps_pow": trial.suggest_int("n_steps_pow", 4, 9),
        "one_minus_gamma": trial.suggest_float("one_minus_gamma", 0.0001, 0.03, log=True),
        "one_minus_gae_lambda": trial.suggest_float("one_minus_gae_lambda", 0.0001, 0.1, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 0.002, log=True),
        "ent_coef": trial.suggest_float("ent_coef", 1e-8, 0.1, log=True),
        "max_grad_norm": trial.suggest_float("max_grad_norm", 0.3, 2),
        "width": trial.suggest_categorical("width", [32, 64, 128]),
        "layers": trial.suggest_int("layers", 1, 2),
        "max_span_pow": trial.suggest_int("max_span_pow", 5, 9),
        "ramp_pow": trial.suggest_int("ramp_pow", 2, 5),
    }


def settings_of(params: dict[str, Any]) -> dict[str, Any]:
    """Arguments of an agent, of what a trial of Optuna stores: powers of 2 and differences from 1 resolved."""
    own = dict(params)
    for name in [name for name in own if name.endswith("_pow")]:
        own[name.removesuffix("_pow")] = 2 ** own.pop(name)
    for name in [name for name in own if name.startswith("one_minus_")]:
        own[name.removeprefix("one_minus_")] = 1 - own.pop(name)
    memory = {name: own.pop(name) for name in ("width", "layers", "max_span", "ramp")}
    return own | {"policy_kwargs": {"memory": "expire_span", "memory_kwargs": memory}}
