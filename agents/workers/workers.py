"""The processes that train one agent side by side, over torch.distributed; a single process is the case of one.

Alone every method returns what it is given, so that training has no branches. Environment i belongs to worker
i % size. Whatever is drawn for all environments is drawn by every worker from the same stream, of which it uses its
own rows: so the number of workers does not change what is drawn for an environment.
"""

from __future__ import annotations

import os
import pickle
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch as th
import torch.distributed as dist

T = TypeVar("T")
TIMEOUT = "EXPIRESPAN_WORKERS_TIMEOUT"
"""Environment variable: seconds that workers wait for each other, 600 unless given."""
REPORTING = 5.0
"""Seconds that workers have to say that they live, once the connection to one is lost."""


class WorkersError(RuntimeError):
    """A worker is gone or gives no answer. ``speaks``: this worker is the first of those left, which reports it."""

    def __init__(self, message: str, speaks: bool) -> None:
        super().__init__(message)
        self.speaks = speaks


class Part(NamedTuple):
    """What one worker has of ``total`` rows: those numbered ``rows``, with the ``weight`` that they have in a mean.

    A worker without any row reads one that does not count: weight 0.
    """

    total: int
    rows: th.Tensor | slice = slice(None)
    weight: float = 1.0

    def uniform(self, device: th.device | str = "cpu") -> th.Tensor:
        """A number from [0, 1) for each row of this part; every worker draws those of all rows."""
        return th.rand(self.total, device=device)[self.rows]


class Workers:
    """The workers of a process: `start` joins those that torchrun has started, `current` returns them.

    ``rank``: number of this one among ``size``. ``sent``: bytes handed to each kind of collective operation so far.
    """

    _current: Workers | None = None

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.sent: Counter[str] = Counter()
        self.failed: Exception | None = None
        """What `together` raised last: all workers stand at the same point then."""

    @classmethod
    def current(cls) -> Workers:
        """The workers that this process has joined; a single one if it has not."""
        if cls._current is None:
            cls._current = cls()
        return cls._current

    @classmethod
    def start(cls) -> Workers:
        """Join the workers that torchrun has started; in a process that it has not started, a single one.

        ``LOCAL_RANK`` chooses the GPU. Tensors on GPUs go by NCCL if each worker has a GPU, all others by Gloo.

        Raises:
            WorkersError: not all came within the time-out (`TIMEOUT`).
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1 or cls.current().size > 1:
            return cls.current()
        gpus, local = th.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
        own = gpus >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if gpus:
            th.cuda.set_device(local % gpus)
        wait = timedelta(seconds=float(os.environ.get(TIMEOUT, "600")))
        rank = int(os.environ["RANK"])
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpus and own else "gloo", timeout=wait)
        except (RuntimeError, ValueError) as error:
            raise WorkersError(f"worker {rank} of {size} could not join the others: {error}", True) from error
        cls._current = cls(rank, size)
        return cls._current

    @staticmethod
    def warn_if_alone() -> None:
        """Warn in a process of torchrun that has not joined the others."""
        size, rank = os.environ.get("WORLD_SIZE", "1"), os.environ.get("RANK", "0")
        if Workers.current().size == 1 and size != "1" and "TORCHELASTIC_RUN_ID" in os.environ:
            warnings.warn(
                f"this process is number {rank} of {size} that torchrun has started, and trains alone; to train with "
                "the others call Workers.start() of expirespan.agents before making environments",
                stacklevel=2,
            )

    @property
    def lead(self) -> bool:
        """Whether this is worker 0, which writes and prints."""
        return self.rank == 0

    # what belongs to whom

    def share(self, total: int, what: str = "num_envs") -> int:
        """How many of ``total`` environments this worker has.

        Raises:
            ValueError: they cannot be shared out evenly.
        """
        if total % self.size:
            fits = [n for n in range(1, total + 1) if total % n == 0]
            near = [n for n in (total // self.size * self.size, -(-total // self.size) * self.size) if n]
            raise ValueError(
                f"{what}={total} cannot be shared out evenly among {self.size} workers; {what}="
                f"{' or '.join(map(str, dict.fromkeys(near)))} would fit, or {', '.join(map(str, fits))} workers"
            )
        return total // self.size

    def own(self, total: int) -> range:
        """The numbers, out of ``total``, that are this worker's."""
        return range(self.rank, total, self.size)

    def part(self, count: int) -> Part:
        """This worker's part of the environments of all, of which it has ``count``."""
        return Part(count * self.size, slice(self.rank, None, self.size), 1 / self.size)

    def part_of(self, numbers: th.Tensor) -> Part:
        """The rows whose environments, by their ``numbers``, are this worker's."""
        if self.size == 1:
            return Part(len(numbers))
        rows = (numbers % self.size == self.rank).nonzero()[:, 0]
        if len(rows):
            return Part(len(numbers), rows, len(rows) / len(numbers))
        return Part(len(numbers), th.zeros(1, dtype=th.long), 0.0)

    # sums and means

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

    def means(self, values: dict[str, th.Tensor], weight: th.Tensor | float) -> dict[str, th.Tensor]:
        """Means over all workers; this one's count ``weight``, all weights together 1. Not of weight 0, be they NaN."""
        if self.size == 1:
            return values
        weights = th.as_tensor(weight)
        mine = [th.where(weights.to(v.device) > 0, v * weights.to(v), 0.0) for v in values.values()]
        return dict(zip(values, self.totals(mine), strict=True))

    def average_gradients(self, parameters: Sequence[th.nn.Parameter], weight: float) -> None:
        """Replace gradients by their means over all workers, see `means`; one exchange for all."""
        if self.size == 1:
            return
        own = [th.zeros_like(p) if p.grad is None else p.grad * weight for p in parameters]
        for parameter, mean in zip(parameters, self.totals(own), strict=True):
            parameter.grad = mean

    def moments(self, x: th.Tensor, counts: bool = True) -> tuple[th.Tensor, th.Tensor]:
        """Mean and standard deviation (n - 1) of the numbers of all workers for whom it ``counts``."""
        if self.size == 1:
            return x.mean(), x.std()
        y = x.double() if counts else x.new_zeros(0, dtype=th.float64)
        (sums,) = self.totals([th.stack([y.new_tensor(y.numel()), y.sum(), y.square().sum()])])
        mean = sums[1] / sums[0]
        deviation = ((sums[2] - sums[0] * mean.square()).clamp(min=0) / (sums[0] - 1)).sqrt()
        return mean.to(x.dtype), deviation.to(x.dtype)

    def variance(self, x: np.ndarray) -> Any:
        """Variance of the numbers of all workers."""
        return np.var(x) if self.size == 1 else self.moments(th.from_numpy(x))[1].square().item()

    def largest(self, x: th.Tensor) -> th.Tensor:
        """Elementwise maximum over all workers."""
        if self.size == 1:
            return x
        most = x.detach().clone()
        self._exchange(dist.all_reduce, most, op=dist.ReduceOp.MAX)
        return most

    # agreement

    def any(self, flag: bool) -> bool:
        """Whether one of them says so."""
        return bool(self.largest(th.tensor(float(flag))).item() > 0) if self.size > 1 else flag

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

    def together(self, do: Callable[[], T]) -> list[T]:
        """Do something at every worker; what each returned. If it fails at one of them, it fails at all.

        Raises:
            RuntimeError: it failed at another worker; what failed here is raised as it is.
        """
        if self.size == 1:
            return [do()]
        failed: Exception | None = None
        done: Any = None
        try:
            done = do()
        except WorkersError:
            raise
        except Exception as error:
            failed = error
        found = self.gather((done, None if failed is None else f"{failed}"))
        for rank, (_, message) in enumerate(found):
            if message is not None:
                self.failed = failed or RuntimeError(f"worker {rank}: {message}")
                raise self.failed
        return [result for result, _ in found]

    def same(self, settings: dict[str, Any]) -> None:
        """Raise ValueError, at every worker, unless all have the same settings."""
        every = self.gather(settings)
        for rank, other in enumerate(every):
            wrong = [name for name in {**every[0], **other} if every[0].get(name) != other.get(name)]
            if wrong:
                first, here = (one.get(wrong[0]) for one in (every[0], other))
                self.failed = ValueError(
                    f"{wrong[0]} is {first!r} at worker 0 and {here!r} at worker {rank}: start all workers alike"
                )
                raise self.failed

    def share_random_state(self, device: th.device) -> None:
        """Let torch's random numbers go on from the same state, that of worker 0."""
        if self.size == 1:
            return
        state = th.get_rng_state()
        self._exchange(dist.broadcast, state, 0)
        th.set_rng_state(state)
        if device.type == "cuda":
            state = th.cuda.get_rng_state()
            self._exchange(dist.broadcast, state, 0)
            th.cuda.set_rng_state(state)

    def share_tensors(self, tensors: Sequence[th.Tensor]) -> None:
        """Overwrite tensors by those of worker 0."""
        if self.size > 1:
            for tensor in tensors:
                self._exchange(dist.broadcast, tensor.detach(), 0)

    def leave(self) -> None:
        """End what `start` began."""
        if self.size > 1:
            dist.destroy_process_group()
            type(self)._current = None

    # what outlives a restart

    def remember(self, key: str, value: str | None = None) -> str | None:
        """Note a ``value`` that workers find here when torchrun has restarted them; without one, what is noted."""
        if self.size == 1:
            return None
        name = f"expirespan/{os.environ.get('TORCHELASTIC_RUN_ID', '')}/{key}"
        if value is not None:
            self._store.set(name, value)
            return value
        return self._store.get(name).decode() if self._store.check([name]) else None

    @cached_property
    def _store(self) -> Any:
        """The store of torchrun, without the prefix that it gives to each attempt."""
        store: Any = dist.distributed_c10d._get_default_store()
        while isinstance(store, dist.PrefixStore):
            store = store.underlying_store
        return store

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
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        keys = [f"expirespan/alive/{attempt}/{rank}" for rank in range(self.size)]
        missing = list(range(self.size))
        try:
            self._store.set(keys[self.rank], "")
            end = time.monotonic() + REPORTING
            while missing and time.monotonic() < end:
                missing = [rank for rank in missing if not self._store.check([keys[rank]])]
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
