"""A process that is killed while it saves leaves the last good checkpoint."""

import multiprocessing
import random
import time

import pytest
import torch as th

from expirespan.agents import MemoryPPO

KILLS = 50


def save_for_ever(agent, path, first):
    """Agents whose weights all equal their number of steps, one after another."""
    for number in range(first, 10**6):
        agent.num_timesteps = number
        with th.no_grad():
            for parameter in agent.policy.parameters():
                parameter.fill_(number)
        agent.save(path)


@pytest.mark.slow
def test_fifty_kills(make_agent, tmp_path):
    """SIGKILL after a random time, 50 times; afterwards the file loads, and all of it is of one save."""
    agent, path = make_agent(), tmp_path / "agent.zip"
    save_once = time.perf_counter()
    agent.save(path)
    save_once = time.perf_counter() - save_once
    context, draw = multiprocessing.get_context("fork"), random.Random(0)
    last, progressed = 0, 0
    for _ in range(KILLS):
        process = context.Process(target=save_for_ever, args=(agent, path, last + 1))
        process.start()
        time.sleep(draw.uniform(0, 4 * save_once))
        process.kill()
        process.join()
        loaded = MemoryPPO.load(path, device="cpu")
        assert loaded.num_timesteps >= last
        weights = th.nn.utils.parameters_to_vector(loaded.policy.parameters())
        assert last == loaded.num_timesteps == 0 or (weights == loaded.num_timesteps).all()
        progressed += loaded.num_timesteps > last
        last = loaded.num_timesteps
    half_written = [file for file in tmp_path.iterdir() if file != path]
    assert half_written, "no kill fell into a save: the test tests nothing"
    assert progressed, "no save came to its end: the test tests nothing"
    assert all(file.name.startswith(".agent.zip.") for file in half_written), (
        "names that no one loads by mistake"
    )
