"""Ctrl-C during training: the first stops at the next step, so that a checkpoint can be saved."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopOnSignal:
    """Within its ``with``, an interrupt or termination sets ``requested``; a second interrupts at once."""

    def __init__(self, quiet: bool = False) -> None:
        self.requested, self._quiet = False, quiet
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if not self._quiet:
            print("\nstopping, to save a checkpoint; once more to stop at once", file=sys.stderr)
