"""The number of workers does not change a run, and a run that was saved goes on with any number of them."""

import pytest
import torch as th

from tests.agents.workers.runs import LESSON, go_on, learn, save_half

RUNS = {  # kind, arguments, double precision, largest difference of a weight
    "lesson": ("ppo", LESSON, True, 1e-9),
    "kl stop": ("ppo", {**LESSON, "target_kl": 1e-3, "ent_coef": 0.01, "batch_size": 24}, True, 1e-9),
    "a2c": ("a2c", LESSON, True, 1e-9),
    "without a lesson": ("ppo", {"span_penalty": 1e-3}, False, 1e-5),
    "lstm": ("ppo", {"memory": "lstm"}, False, 1e-5),
}


def compare(processes, name, updates, sizes):
    """In 32 bits the inverse of the lesson's matrix turns rounding into differences of 1e-3: so it is run in 64."""
    kind, kwargs, double, tolerance = RUNS[name]
    ((alone, numbers, sent, begun),) = processes(1, learn, updates, double, kind, kwargs)
    assert sent == {} and (alone - begun).abs().max() > 1e-2, "it has learned something"
    for size in sizes:
        every = processes(size, learn, updates, double, kind, kwargs)
        for weights, *_ in every:
            assert th.equal(weights, every[0][0])
            assert (weights - alone).abs().max() <= tolerance
        logged = every[0][1]
        assert logged.keys() == numbers.keys()
        for (
            key,
            value,
        ) in numbers.items():  # counts of spans sum up to the same; rounding may move one to the next bin
            found, expected = (sum(v) if isinstance(v, list) else v for v in (logged[key], value))
            assert found == pytest.approx(expected, rel=1e-3, abs=1e-5), f"the first one logs {key} of all"


def test_two_workers_do_what_one_does(processes):
    compare(processes, "lesson", 5, [2])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_one_two_and_four_workers_reach_the_same_weights(processes, name):
    compare(processes, name, 20, [2, 4])


@pytest.mark.parametrize("size", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_saved_run_goes_on_with_another_number_of_workers(processes, tmp_path, size):
    (whole, *_), *_ = processes(1, learn, 4, True, "ppo", LESSON)
    processes(2, save_half, tmp_path / "half.zip", 2)
    for weights, _ in processes(size, go_on, tmp_path / "half.zip", 4):
        assert (weights - whole).abs().max() <= 1e-9
