"""What one worker meets or decides, all know."""

import os
import time

import gymnasium as gym
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from expirespan.agents import MemoryPPO, Workers, WorkersError
from expirespan.agents.workers import exchanges
from expirespan.agents.workers import workers as module
from tests.agents.workers.runs import ENVS, STEPS, SameEverywhere, make_agent


def values(workers):
    """Of two: the numbers 1, 2 and 5 of three rows that count, and one that does not."""
    rank = workers.rank
    x = th.tensor([[1.0, 2.0], [5.0, 7.0]][rank])[: 2 - rank]
    mean = workers.means({"a": x.mean(), "b": th.tensor(float("nan") if rank else 3.0)}, [2 / 3, 1 / 3][rank])
    parameter = th.nn.Parameter(th.zeros(2))
    parameter.grad = None if rank else th.tensor([3.0, 6.0])
    workers.average_gradients([parameter], 1 / 3)
    return {
        "total": [t.tolist() for t in workers.totals([x.sum(), th.tensor([rank, 1])])],
        "mean": mean["a"].item(),
        "moments": [m.item() for m in workers.moments(x)],
        "of the first": workers.moments(th.tensor([2.0, 4.0]) * (1 + 9 * rank), counts=not rank)[0].item(),
        "gradient": parameter.grad.tolist(),
        "largest": workers.largest(th.tensor([rank, -rank])).tolist(),
        "any": [workers.any(rank == 1), workers.any(False)],
        "gathered": workers.gather("ab" * rank),
        "collected": workers.collect({"rank": rank}),
        "broadcast": workers.broadcast(["first", "second"][rank]),
        "own": list(workers.own(5)),
        "rows": workers.part_of(th.tensor([0, 3, 1, 2])).rows.tolist(),
        "none": tuple(workers.part_of(th.tensor([0, 2])))[2],
        "sent": dict(workers.sent),
    }


def test_values_by_hand(processes):
    first, second = processes(2, values)
    assert first["total"] == second["total"] == [8.0, [1, 2]]
    assert first["mean"] == pytest.approx((1 + 2 + 5) / 3)
    assert first["moments"] == pytest.approx([8 / 3, (13 / 3) ** 0.5])
    assert first["of the first"] == 3.0
    assert first["gradient"] == [1.0, 2.0]
    assert first["largest"] == [1, 0] and first["any"] == [True, False]
    assert first["gathered"] == second["gathered"] == ["", "ab"]
    assert first["collected"] == [{"rank": 0}, {"rank": 1}] and second["collected"] == []
    assert second["broadcast"] == "first"
    assert first["own"] == [0, 2, 4] and second["own"] == [1, 3]
    assert first["rows"] == [0, 3] and second["rows"] == [1, 2]
    assert first["none"] == 1.0 and second["none"] == 0.0
    assert first["sent"].keys() == {"all_reduce", "all_gather", "gather", "broadcast"}


def stop_at(workers, rank, step):
    class Stop(SameEverywhere):
        def _on_step(self):
            return not (workers.rank == rank and self.n_calls == step)

    agent = make_agent(workers)
    agent.learn(10**6, Stop())
    return agent.resumable_timesteps


def test_a_callback_of_one_worker_stops_all_after_the_same_rollout(processes):
    assert processes(2, stop_at, 1, STEPS + 3) == [ENVS * STEPS] * 2


def fail_at(workers, rank, path):
    agent = make_agent(workers)
    step = agent.env.unwrapped.step_wait

    def broken():
        if workers.rank == rank and agent.num_timesteps > ENVS * STEPS:
            raise ValueError("the door is stuck")
        return step()

    agent.env.unwrapped.step_wait = broken
    try:
        agent.learn(10**6)
    except (ValueError, RuntimeError) as error:
        agent.save_together(path)
        return str(error), agent.resumable_timesteps, agent.workers.failed is error
    return None


def test_an_environment_of_one_worker_that_fails_stops_all(processes, tmp_path):
    """All stand at the same point then, and can save where the rollout began."""
    first, second = processes(2, fail_at, 1, tmp_path / "agent.zip")
    assert first == ("worker 1: the door is stuck", ENVS * STEPS, True)
    assert second == ("the door is stuck", ENVS * STEPS, True)
    assert MemoryPPO.load(tmp_path / "agent.zip").num_timesteps == ENVS * STEPS


def silent(workers, how):
    exchanges.REPORTING = 1.0
    workers.any(False)
    if workers.rank == 1:
        if how == "dies":
            os.kill(os.getpid(), 9)
        time.sleep(6)
        return None
    try:
        workers.any(False)
    except WorkersError as error:
        return str(error), error.speaks
    return None


MISSING = {"dies": "worker 1 of 3 is gone", "waits": "worker 1 of 3 gave no answer within 2 s"}


@pytest.mark.parametrize("how", MISSING)
def test_a_worker_that_is_missing_is_named(processes, monkeypatch, how):
    said = MISSING[how]
    monkeypatch.setenv(module.TIMEOUT, "2")
    first, _, third = processes(3, silent, how)
    assert (first[0], third[0]) == (said, said) and (first[1], third[1]) == (True, False)


def other_settings(workers, case):
    if case == "seed":
        make_agent(workers, seed=workers.rank).learn(1)
    elif case == "noise":
        env = DummyVecEnv([lambda: gym.make("Pendulum-v1")] * 2)
        MemoryPPO("MlpPolicy", env, n_steps=8, batch_size=8, use_sde=True).learn(1)
    elif case == "statistics":
        env = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1")] * 2))
        MemoryPPO("MlpPolicy", env, n_steps=8, batch_size=8).learn(1)
    else:
        workers.share(ENVS + 1)


@pytest.mark.parametrize(
    "case, said",
    [
        ("seed", "seed is '0' at worker 0 and '1' at worker 1: start all workers alike"),
        ("noise", "2 workers cannot share use_sde=True, whose noise is drawn for each worker; leave it out"),
        ("statistics", "2 workers cannot share environments with running statistics; leave it out"),
        (
            "number",
            "num_envs=9 cannot be shared out evenly among 2 workers; num_envs=8 or 10 would fit, or 1, 3, 9",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused_at_all_of_them(processes, case, said):
    for error in processes(2, other_settings, case):
        assert isinstance(error, ValueError) and str(error).startswith(said)


def test_a_process_of_torchrun_that_trains_alone_is_warned(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.warns(UserWarning, match="number 2 of 4 .* call Workers.start"):
        make_agent(Workers()).learn(1)
