"""``--workers N``: several processes on this machine that train one agent, started by torchrun."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import uuid
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.errors import UserError

if TYPE_CHECKING:
    from expirespan.agents import Workers

OPTIONS = ("--workers", "--max-restarts")
USAGE, STOPPED = 2, 130
GO_ON = "--resume RUN goes on from the last checkpoint, --max-restarts N does so by itself"


def take_options(args: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """The options of this file, and the other arguments.

    Raises:
        UserError: one of them has no number.
    """
    found: dict[str, int] = {}
    rest: list[str] = []
    given = list(args)
    while given:
        flag, equals, value = given.pop(0).partition("=")
        if flag not in OPTIONS:
            rest.append(flag + equals + value)
            continue
        text = value if equals else given.pop(0) if given else ""
        least = 1 if flag == "--workers" else 0
        if not text.isdecimal() or int(text) < least:
            raise UserError(f"{flag} {text or 'alone'}: expected a whole number of at least {least}")
        found[flag] = int(text)
    if "--max-restarts" in found and "--workers" not in found:
        raise UserError("--max-restarts goes with --workers N; torchrun takes its own --max-restarts")
    return found, rest


def check_sharing(config: Config, workers: int) -> None:
    """Raise UserError if so many workers cannot share a run with these settings."""
    if workers == 1:
        return
    from expirespan.agents import Workers

    try:
        Workers(0, workers).share(config.num_envs)
    except ValueError as error:
        raise UserError(f"{error}".replace("num_envs", "--num-envs").replace("=", " ", 1)) from None
    if config.normalize_reward:
        raise UserError(
            f"{workers} workers cannot share --normalize-reward, whose deviation is measured where rewards come in; "
            "use --reward-scale"
        )
    if config.device.startswith("cuda:"):
        raise UserError(
            f"--device {config.device} gives {workers} workers one GPU; --device auto or cuda gives each its own"
        )


def in_torchrun() -> bool:
    """Whether torchrun has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def train_as_worker(
    read: Callable[[], tuple[Config, Run | None]], train: Callable[[Config, Run | None], int]
) -> int:
    """Train as one of the processes that torchrun has started; its exit status.

    The first one reads the settings and prints. What is wrong at all of them it says alone.
    """
    from expirespan.agents import Workers, WorkersError

    workers = None
    try:
        workers = Workers.start()
        if not workers.lead:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            warnings.simplefilter("ignore")
        config, resume = _read_once(workers, read)
        status = train(config, resume if workers.lead else None)
        workers.leave()
        return status
    except WorkersError as error:
        if error.speaks:
            raise UserError(f"{error}; {GO_ON}") from error
        return USAGE
    except (UserError, ValueError, RuntimeError) as error:
        if workers is not None and not workers.lead and workers.failed in (error, error.__cause__):
            return USAGE
        raise error if isinstance(error, UserError) else UserError(f"{error}") from error


def _read_once(workers: Workers, read: Callable[[], tuple[Config, Run | None]]) -> tuple[Config, Run | None]:
    """The settings, and the run to go on with: that which these workers had begun before torchrun restarted them."""

    def first() -> tuple[Config, Run | None] | None:
        if not workers.lead:
            return None
        begun = workers.remember("run")
        run = None if begun is None else Run.open(begun)
        found = read() if run is None else (run.config, run)
        check_sharing(found[0], workers.size)
        return found

    workers.same({"the command": shlex.join(sys.argv[1:])})
    found = workers.together(first)[0]
    assert found is not None
    return found


def train_with_workers(args: Sequence[str], workers: int, restarts: int) -> int:
    """Run ``expirespan train`` with ``args`` in so many processes; its exit status."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what matters the workers say
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=workers,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=restarts,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "expirespan", "train", *args)
    except SignalException:
        return STOPPED
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            raise UserError(
                f"worker {rank} of {workers} was killed by signal {-failure.exitcode}; {GO_ON}"
            ) from None
        return failure.exitcode
    return 0
