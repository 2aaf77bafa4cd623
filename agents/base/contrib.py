"""What sb3-contrib's RecurrentPPO and MaskablePPO are given and these agents are not: refused with the line to write.

sb3-contrib is recognised by names, and never imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from numbers import Integral
from typing import Any

LSTM = ("lstm_hidden_size", "n_lstm_layers", "shared_lstm", "enable_critic_lstm", "lstm_kwargs")
"""Arguments of RecurrentPPO's policies."""
HIDDEN_SIZE = 256
"""Width of RecurrentPPO's LSTM where none is given."""
SAME = {
    "hidden_size": "width",
    "lstm_hidden_size": "width",
    "n_lstm_layers": "layers",
    "num_layers": "layers",
}
"""Settings of an LSTM, by other names, as a memory's arguments."""
NAMES = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy", "ChoicePolicy")
RECURRENT_NAME = re.compile(r"(Mlp|Cnn|MultiInput)\w*Lstm\w*Policy")
RECURRENT, MASKABLE = "RecurrentActorCriticPolicy", "MaskableActorCriticPolicy"
BUFFERS = re.compile(r"(Recurrent|Maskable)(Dict)?RolloutBuffer")


class ContribNameError(TypeError, ValueError):
    """What another library takes and this one does not. Of both kinds, for either is what scripts expect."""


def ancestors(given: Any) -> list[str]:
    """Names of a class and its bases that Stable-Baselines3 and sb3-contrib define; empty for what is no class."""
    bases = given.__mro__ if isinstance(given, type) else ()
    theirs = ("sb3_contrib", "stable_baselines3")
    return [base.__name__ for base in bases if base.__module__.partition(".")[0] in theirs]


def alias_of(policy: Any) -> str:
    """The name under which our policies read what a policy of another library reads."""
    if policy in NAMES:
        return str(policy)
    text = (
        policy
        if isinstance(policy, str)
        else " ".join(base.__name__ for base in getattr(policy, "__mro__", ()))
    )
    return f"{next((kind for kind in ('MultiInput', 'Cnn') if kind in text), 'Mlp')}Policy"


def line(algorithm: str, policy: Any, kwargs: Mapping[str, Any] | None = None) -> str:
    """A call of a constructor, as code, with a policy of ours that reads what ``policy`` reads.

    What has no literal form is left out of ``kwargs``.
    """
    ours = [base for base in getattr(policy, "__mro__", ()) if base.__module__.startswith("expirespan.")]
    name = policy.__name__ if ours else f'"{alias_of(policy)}"'
    given = _code({key: value for key, value in (kwargs or {}).items() if _is_literal(value)})
    return f"{algorithm}({name}, env{f', policy_kwargs={given}' if given != 'dict()' else ''})"


def check_policy(algorithm: str, policy: Any, policy_kwargs: Mapping[str, Any] | None) -> None:
    """Raise ContribNameError for a policy of sb3-contrib, or arguments that only its recurrent policies take."""
    given = dict(policy_kwargs or {})
    names, theirs = ancestors(policy), [name for name in LSTM if name in given]
    if isinstance(policy, str):
        recurrent, what = RECURRENT_NAME.fullmatch(policy) is not None, f"policy {policy!r}"
    else:
        recurrent, what = RECURRENT in names, f"policy {getattr(policy, '__name__', policy)}"
    if MASKABLE in names:
        raise ContribNameError(
            f"{what} is for sb3-contrib's MaskablePPO; all policies of {algorithm} follow masks, so write "
            f"`{line(algorithm, policy, given)}`{_beside(given)}"
        )
    if not (recurrent or theirs):
        return
    subject = [what] if recurrent else []
    if theirs:
        subject.append(f"policy_kwargs {', '.join(theirs)}")
    own_class = recurrent and not isinstance(policy, str) and not policy.__module__.startswith("sb3_contrib")
    derive = "; derive your class from expirespan.agents.MemoryActorCriticPolicy" if own_class else ""
    ours = policy_kwargs_of(given)
    raise ContribNameError(
        f"{' and '.join(subject)}: for sb3-contrib's RecurrentPPO only; write `{line(algorithm, policy, ours)}`"
        f"{_beside(ours)}{_changes(given)}{derive}, or leave memory and memory_kwargs out for Expire-Span"
    )


def policy_kwargs_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """``policy_kwargs`` with our names for what RecurrentPPO's policies take: the same sizes, in an LSTM."""
    memory = given.get("memory", "lstm")
    own: dict[str, Any] = {}
    if memory in ("lstm", "gru"):
        own["width"] = _count(given.get("lstm_hidden_size"), HIDDEN_SIZE)
        if (layers := _count(given.get("n_lstm_layers"), 1)) > 1:
            own["layers"] = layers
    own |= given.get("memory_kwargs") or {}
    others = {key: value for key, value in given.items() if key not in (*LSTM, "memory", "memory_kwargs")}
    return {"memory": memory} | ({"memory_kwargs": own} if own else {}) | others


def check_memory_names(algorithm: str, policy: Any, policy_kwargs: Mapping[str, Any]) -> None:
    """Raise ContribNameError for the sizes of an LSTM by other names in ``memory_kwargs``."""
    given = policy_kwargs.get("memory_kwargs") or {}
    if theirs := [name for name in SAME if name in given]:
        ours = {**policy_kwargs, "memory_kwargs": {SAME.get(key, key): value for key, value in given.items()}}
        raise ContribNameError(
            f"memory_kwargs call {', '.join(f'{name} {SAME[name]}' for name in theirs)} here; write "
            f"`{line(algorithm, policy, ours)}`{_beside(ours)}"
        )


def check_buffer(algorithm: str, policy: Any, policy_kwargs: Mapping[str, Any] | None, buffer: Any) -> None:
    """Raise ContribNameError for a rollout buffer of sb3-contrib, or one derived from it."""
    if any(BUFFERS.fullmatch(name) for name in ancestors(buffer)):
        given = dict(policy_kwargs or {})
        raise ContribNameError(
            f"rollout_buffer_class {buffer.__name__} is for sb3-contrib's RecurrentPPO or MaskablePPO; {algorithm} "
            f"keeps memory and masks itself, so leave it out: `{line(algorithm, policy, given)}`{_beside(given)}"
        )


def check_file(algorithm: str, file: str, data: Mapping[str, Any]) -> None:
    """Raise ContribNameError if the JSON of a file of SB3's format holds an agent of RecurrentPPO or MaskablePPO."""
    policy, given = data.get("policy_class"), data.get("policy_kwargs")
    text = f"{policy} {policy.get('__module__', '')}" if isinstance(policy, dict) else str(policy)
    kwargs = {key: _value(value) for key, value in given.items()} if isinstance(given, dict) else {}
    kwargs = {key: value for key, value in kwargs.items() if key[:1] != ":" and str(value)[:1] != "<"}
    if "common.recurrent" in text or set(kwargs) & set(LSTM):
        name, ours = "RecurrentPPO", policy_kwargs_of(kwargs)
    elif "common.maskable" in text:
        name, ours = "MaskablePPO", kwargs
    else:
        return
    kind = "MultiInputPolicy" if "spaces.dict" in str(data.get("observation_space")) else alias_of(text)
    raise ContribNameError(
        f"{file} holds an agent of sb3-contrib's {name}, whose weights fit no policy of {algorithm}; load it with "
        f"{name}, or train anew: `{line(algorithm, kind, ours)}`"
    )


def _count(value: Any, otherwise: int) -> int:
    fine = type(value) is not bool and isinstance(value, Integral) and int(value) >= 1
    return int(value) if fine else otherwise


def _value(text: Any) -> Any:
    """A value that SB3 stored as its ``str``, where that can be read back; else the string itself."""
    try:
        return ast.literal_eval(text) if isinstance(text, str) else text
    except (ValueError, SyntaxError):
        return text


def _changes(given: Mapping[str, Any]) -> str:
    """What an LSTM of RecurrentPPO has and ours has not."""
    words = []
    if {"shared_lstm", "enable_critic_lstm"} & set(given):
        words.append("actor and critic share one memory, which both teach")
    if "lstm_kwargs" in given:
        words.append("lstm_kwargs have no counterpart")
    return f" ({'; '.join(words)})" if words else ""


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


def _code(value: Any) -> str:
    if isinstance(value, dict) and all(isinstance(key, str) and key.isidentifier() for key in value):
        return f"dict({', '.join(f'{key}={_code(part)}' for key, part in value.items())})"
    return f'"{value}"' if isinstance(value, str) and value.isidentifier() else repr(value)


def _beside(given: Mapping[str, Any]) -> str:
    """Which policy_kwargs stay as they are, though they have no literal form."""
    kept: Collection[str] = [key for key, value in given.items() if not _is_literal(value)]
    return f" with {', '.join(kept)} in policy_kwargs as they are" if kept else ""
