"""The processes that train one agent side by side, over torch.distributed; a single process is the case of one.

Alone every method returns what it is given, so that training has no branches. Environment i belongs to worker
i % size. Whatever is drawn for all environments is drawn by every worker from the same stream, of which it uses its
own rows: so the number of workers does not change what is drawn for an environment.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch as th
import torch.distributed as dist

from expirespan.agents.workers.exchanges import Exchanges
from expirespan.agents.workers.meeting import WorkersError, meet

T = TypeVar("T")
TIMEOUT = "EXPIRESPAN_WORKERS_TIMEOUT"
"""Environment variable: seconds that workers wait for each other, 600 unless given."""


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


class Workers(Exchanges):
    """The workers of a process: `start` joins those that torchrun has started, `current` returns them.

    ``rank``: number of this one among ``size``. ``failed``: what `together` or `same` raised last; all workers stand at
    the same point then.
    """

    _current: Workers | None = None
    failed: Exception | None = None

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
        wait, rank = float(os.environ.get(TIMEOUT, "600")), int(os.environ["RANK"])
        workers = cls(rank, size)
        workers._store, workers._group = meet(rank, size, wait)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus and own else "gloo",
            store=workers._group,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=wait),
        )
        cls._current = workers
        return workers

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
        """The rows whose environments, by their ``numbers`` (n,), are this worker's."""
        if self.size == 1:
            return Part(len(numbers))
        rows = (numbers % self.size == self.rank).nonzero()[:, 0]
        if len(rows):
            return Part(len(numbers), rows, len(rows) / len(numbers))
        return Part(len(numbers), th.zeros(1, dtype=th.long), 0.0)

    # sums and means

    def means(self, values: dict[str, th.Tensor], weight: th.Tensor | float) -> dict[str, th.Tensor]:
        """Means (any shape) over workers; this one counts ``weight``, all together 1. Weight 0 leaves out even NaN."""
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
        """Mean and standard deviation (n - 1), scalars, of the numbers of all workers for whom it ``counts``."""
        if self.size == 1:
            return x.mean(), x.std()
        y = x.double() if counts else x.new_zeros(0, dtype=th.float64)
        (sums,) = self.totals([th.stack([y.new_tensor(y.numel()), y.sum(), y.square().sum()])])
        mean = sums[1] / sums[0]
        deviation = ((sums[2] - sums[0] * mean.square()).clamp(min=0) / (sums[0] - 1)).sqrt()
        return mean.to(x.dtype), deviation.to(x.dtype)

    def variance(self, x: np.ndarray) -> Any:
        """Variance, a scalar, of the numbers of all workers."""
        return np.var(x) if self.size == 1 else self.moments(th.from_numpy(x))[1].square().item()

    # agreement

    def any(self, flag: bool) -> bool:
        """Whether one of them says so."""
        return bool(self.largest(th.tensor(float(flag))).item() > 0) if self.size > 1 else flag

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
        """Overwrite tensors (any shape) by those of worker 0."""
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
