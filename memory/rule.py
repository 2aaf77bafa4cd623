"""What a rule for forgetting must say: how long each memory lives, and how it fades at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


def require(ok: bool, name: str, value: object, expected: str) -> None:
    """Raise a ValueError that names the argument, the value given and what is expected."""
    if not ok:
        raise ValueError(f"{name} must be {expected}, got {value!r}")


class Rule(nn.Module, ABC):
    """One layer's rule for forgetting. `TransformerMemory` copies it for every layer and calls :meth:`attach`.

    Ages and spans are in steps. A memory written at step i has age t - i when step t reads it; age 0 is the
    step itself and must always be readable.
    """

    max_span: float
    """Longest life the rule gives a memory, in steps."""

    random_span = False
    """Whether training should shorten spans at random (see `TransformerMemory.shorten`)."""

    def attach(self, width: int) -> None:
        """Create the parameters for states of ``width``; a rule without parameters needs none."""

    @abstractmethod
    def spans(self, h_BSD: Tensor) -> Tensor:
        """Life (B, S) in steps of memories with normalised states ``h``; may be infinite."""

    @abstractmethod
    def log_mask(self, span: Tensor, age: Tensor) -> Tensor:
        """What is added to the attention scores: 0 readable, -inf not at all; shapes broadcast."""

    @abstractmethod
    def expired(self, span: Tensor, age: Tensor) -> Tensor:
        """True where a memory is unreadable at this age and at every greater one."""

    def penalty(self, span_BK: Tensor, age_BTK: Tensor, visible_BTK: Tensor) -> Tensor:
        """Price (scalar, in steps) of the T states written last; 0 for rules that learn no spans."""
        return span_BK.new_zeros(())
