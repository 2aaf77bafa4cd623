"""``processes(size, do, *args)``: what ``do(workers, *args)`` returns or raises in each of several forked processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch as th

from expirespan.agents import Workers

BOUND = 600.0
"""Seconds after which processes that have not ended hang."""


def _work(pipe: Any, rank: int, size: int, port: int, do: Callable[..., Any], args: tuple[Any, ...]) -> None:
    th.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    os.environ["LOCAL_RANK"], os.environ["LOCAL_WORLD_SIZE"] = str(rank), str(size)
    Workers._current = None
    try:
        found = do(Workers.start(), *args)
    except Exception as error:
        found = (
            type(error)(*error.args)
            if type(error) in (ValueError, RuntimeError)
            else RuntimeError(f"{error}")
        )
    pipe.send(found)
    pipe.recv()  # the first one holds the store that the others may still need


def run_processes(size: int, do: Callable[..., Any], *args: Any) -> list[Any]:
    """None in the place of a process that died."""
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pipes = [context.Pipe() for _ in range(size)]
    made = [
        context.Process(target=_work, args=(pipe[1], rank, size, port, do, args))
        for rank, pipe in enumerate(pipes)
    ]
    for process in made:
        process.start()
    found: list[Any] = []
    end = time.monotonic() + BOUND
    try:
        for (pipe, _), process in zip(pipes, made, strict=True):
            while not pipe.poll(0.2) and process.is_alive():
                assert time.monotonic() < end, "a process hangs"
            found.append(pipe.recv() if pipe.poll() else None)
        for pipe, _ in pipes:
            with contextlib.suppress(BrokenPipeError):
                pipe.send(None)
    finally:
        for process in made:
            process.join(5)
            process.kill()
    return found


@pytest.fixture
def processes() -> Callable[..., list[Any]]:
    return run_processes
