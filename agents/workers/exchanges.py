"""Exchanges of tensors and values between workers, over torch.distributed: counted, and clear about who is missing."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch as th
import torch.distributed as dist

from expirespan.agents.workers.meeting import WorkersError
from expirespan.parameters import NumEnvs, Place
from expirespan.ranges import checked

T = TypeVar("T")
REPORTING = 5.0
"""Seconds that workers have to say that they live, once the connection to one is lost."""


class Exchanges:
    """``rank``: number of this worker among ``size``. ``sent``: bytes handed to each kind of operation so far."""

    _store: Any
    """That of torchrun, which outlives restarts."""
    _group: Any
    """The same, for the processes of now."""

    @checked
    def __init__(self, rank: Place = 0, size: NumEnvs = 1) -> None:
        self.rank, self.size = rank, size
        self.sent: Counter[str] = Counter()

    @property
    def lead(self) -> bool:
        """Whether this is worker 0, which writes and prints."""
        return self.rank == 0

    def totals(self, tensors: Sequence[th.Tensor]) -> list[th.Tensor]:
        """The sums of tensors over all workers, by one exchange."""
        if self.size == 1:
            return list(tensors)
        kind = tensors[0].dtype
        for tensor in tensors:
            kind = th.promote_types(kind, tensor.dtype)
        flat = th.cat([tensor.detach().flatten().to(kind) for tensor in tensors])
        self._exchange(dist.all_reduce, flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def largest(self, x: th.Tensor) -> th.Tensor:
        """Elementwise maximum over all workers."""
        if self.size == 1:
            return x
        most = x.detach().clone()
        self._exchange(dist.all_reduce, most, op=dist.ReduceOp.MAX)
        return most

    def gather(self, value: T) -> list[T]:
        """The values of all workers, at every worker."""
        if self.size == 1:
            return [value]
        data, sizes = self._packed(value)
        into = [th.empty(max(sizes), dtype=th.uint8) for _ in sizes]
        self._exchange(dist.all_gather, into, data)
        return [pickle.loads(part[:n].numpy().tobytes()) for part, n in zip(into, sizes, strict=True)]

    def collect(self, value: T) -> list[T]:
        """The values of all workers at worker 0; nothing at the others."""
        if self.size == 1:
            return [value]
        data, sizes = self._packed(value)
        into = [th.empty(max(sizes), dtype=th.uint8) for _ in sizes] if self.lead else None
        self._exchange(dist.gather, data, into)
        return [pickle.loads(part[:n].numpy().tobytes()) for part, n in zip(into or [], sizes, strict=False)]

    def broadcast(self, value: T) -> T:
        """That of worker 0."""
        if self.size == 1:
            return value
        data = th.frombuffer(bytearray(pickle.dumps(value)), dtype=th.uint8)
        size = th.tensor(len(data))
        self._exchange(dist.broadcast, size, 0)
        data = data if self.lead else th.empty(int(size), dtype=th.uint8)
        self._exchange(dist.broadcast, data, 0)
        found: T = pickle.loads(data.numpy().tobytes())
        return found

    def _packed(self, value: Any) -> tuple[th.Tensor, list[int]]:
        """Bytes padded to the longest of all workers', and how many each has."""
        data = pickle.dumps(value)
        sizes = [th.empty((), dtype=th.long) for _ in range(self.size)]
        self._exchange(dist.all_gather, sizes, th.tensor(len(data)))
        counts = [int(size) for size in sizes]
        return th.frombuffer(bytearray(data.ljust(max(counts), b"\0")), dtype=th.uint8), counts

    def _exchange(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        mine = next(arg for arg in (args[1:2] if isinstance(args[0], list) else args))
        self.sent[operation.__name__] += mine.nbytes
        begin = time.monotonic()
        try:
            operation(*args, **kwargs)
        except RuntimeError as error:
            raise self._loss(error, time.monotonic() - begin) from error

    def _loss(self, error: RuntimeError, waited: float) -> WorkersError:
        """The error that names the workers that are gone, or silent, when an exchange has failed."""
        keys = [f"alive/{rank}" for rank in range(self.size)]
        missing = list(range(self.size))
        try:
            self._group.set(keys[self.rank], "")
            end = time.monotonic() + REPORTING
            while missing and time.monotonic() < end:
                missing = [rank for rank in missing if not self._group.check([keys[rank]])]
                time.sleep(0.05)
        except RuntimeError:  # torchrun itself is gone
            return WorkersError(f"the connection between the workers broke: {error}", True)
        left = [rank for rank in range(self.size) if rank not in missing]
        who = f"worker{'s' * (len(missing) > 1)} {', '.join(map(str, missing))} of {self.size}"
        late = "timed out" in f"{error}".lower() or "timeout" in f"{error}".lower()
        said = f"gave no answer within {waited:.0f} s" if late else "is gone"
        if not missing:
            who, said = "the workers", f"lost their connection ({' '.join(str(error).split())[:200]})"
        return WorkersError(f"{who} {said}", self.rank == min(left))
