"""How workers find each other in torchrun's store, whatever processes of earlier attempts have left in it."""

from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta
from typing import Any

import torch.distributed

c10d: Any = torch.distributed  # its stores are not typed as public


class WorkersError(RuntimeError):
    """A worker is gone or gives no answer. ``speaks``: this worker is the first of those left, which reports it."""

    def __init__(self, message: str, speaks: bool) -> None:
        super().__init__(message)
        self.speaks = speaks


def meet(rank: int, size: int, wait: float) -> tuple[Any, Any]:
    """The store that torchrun (or worker 0) serves, and the same under a name that only processes of now know.

    torchrun may start workers anew without counting it as a restart, and they would then take the addresses of their
    predecessors for those of each other. So every process draws a new name, and worker 0 answers under that name.

    Raises:
        WorkersError: not all came within ``wait`` seconds; it names those that did not.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    serves = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    limit = timedelta(seconds=wait)
    try:
        store = c10d.TCPStore(address, port, None, serves, limit, wait_for_workers=False)
        me, end = uuid.uuid4().hex, time.monotonic() + wait
        store.set(f"expirespan/hello/{rank}", me)
        if rank > 0:
            group = store.get(f"expirespan/answer/{me}").decode()  # waits for it
            store.set(f"expirespan/{group}/here/{rank}", "")
            return store, c10d.PrefixStore(f"expirespan/{group}", store)
        missing = list(range(1, size))
        while missing and time.monotonic() < end:
            for other in [r for r in missing if store.check([f"expirespan/hello/{r}"])]:
                store.set(f"expirespan/answer/{store.get(f'expirespan/hello/{other}').decode()}", me)
            missing = [r for r in missing if not store.check([f"expirespan/{me}/here/{r}"])]
            time.sleep(0.02)
    except RuntimeError as error:
        raise WorkersError(f"worker 0 of {size} did not answer within {wait:.0f} s: {error}", True) from error
    if missing:
        who = f"worker{'s' * (len(missing) > 1)} {', '.join(map(str, missing))} of {size}"
        raise WorkersError(f"{who} did not come within {wait:.0f} s", True)
    return store, c10d.PrefixStore(f"expirespan/{me}", store)
