"""FixedWindow: the memory of Transformer-XL (Dai et al. 2019, arXiv 1901.02860). All memories live equally long."""

from __future__ import annotations

from torch import Tensor

from expirespan.memory.rules.rule import LONGEST, Rule, constant_spans
from expirespan.parameters import Window
from expirespan.ranges import checked


class FixedWindow(Rule):
    """A query reads itself and the ``window`` - 1 states before it, whatever they hold.

    ``window`` counts states (int >= 1, or ``math.inf`` for the whole episode). Written as a span it is the
    constant ``window`` - 1: `ExpireSpan` with that span and a ramp going to 0 is the same memory.

    Raises:
        ValueError: an argument is outside of its range.
    """

    @checked
    def __init__(self, window: Window) -> None:
        super().__init__()
        self.max_span = float(window) - 1

    def spans(self, h_BSD: Tensor) -> Tensor:
        """The same life for all."""
        return constant_spans(h_BSD, min(self.max_span, LONGEST))
