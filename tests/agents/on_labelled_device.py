"""Agents on a fake device (`labelled_device.py`). `test_labelled_device.py` runs this file in a separate process."""

import sys
from pathlib import Path

import pytest
import torch as th

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO
from expirespan.memory import MEMORIES, Rule, block, transformer_layer
from expirespan.memory.attention import native
from expirespan.memory.slots import Slots

sys.path.insert(0, str(Path(__file__).parents[1]))
from labelled_device import NAME, TO_DEVICE, TO_HOST, host_waits, install

install()

N_ENVS, N_STEPS = 2, 8
LESSON = {"forgetting": Forgetting(0.5), "span_penalty": 0.01}
CASES = [*({"memory": name} for name in MEMORIES), LESSON]
every_case = pytest.mark.parametrize("kwargs", CASES, ids=[*MEMORIES, "lesson"])
either_agent = pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
refused = "expected all tensors on the labelled device"


def is_transformer(kwargs):
    return issubclass(MEMORIES[kwargs.get("memory", "expire_span")], Rule)


def minibatches(agent_class):
    """Of an epoch, where there is no lesson: segments of one environment each, or all at once."""
    return N_ENVS if agent_class is MemoryPPO else 1


def weights(agent):
    return {name: weight.cpu() for name, weight in agent.policy.state_dict().items()}


@pytest.fixture(autouse=True)
def attention_by_pytorch(monkeypatch):
    """On the CPU it would be in C, which rounds otherwise."""
    monkeypatch.setattr(native, "available", lambda: False)


@pytest.fixture
def make(make_agent, make_envs):
    """``make(MemoryPPO, memory="lstm")``: an agent on the device, in two environments."""

    def make(agent_class=MemoryPPO, **kwargs):
        env = kwargs.pop("env", None) or make_envs("Noise", N_ENVS)
        return make_agent(agent_class, **{"env": env, "device": NAME, "n_steps": N_STEPS, **kwargs})

    return make


# The device itself.


@pytest.mark.parametrize(
    ("waits_for", "run"),
    [
        (TO_HOST, lambda x: x.cpu()),
        (TO_HOST, lambda x: x.tolist()),
        (TO_HOST, lambda x: th.zeros(3).copy_(x)),
        (TO_DEVICE, lambda x: th.zeros(1).to(x.device)),
        (TO_DEVICE, lambda x: th.tensor([0.0], device=x.device)),
        (TO_DEVICE, lambda x: x[th.tensor([0])]),
        ("_local_scalar_dense", lambda x: x.sum().item()),
        ("_local_scalar_dense", lambda x: bool((x > 0).all())),
        ("nonzero", lambda x: x.nonzero()),
        ("index", lambda x: x[x > 0]),
        ("index_put_", lambda x: x.__setitem__(x > 0, -x[1:])),
        ("_unique2", lambda x: x.unique()),
    ],
)
def test_waits_are_counted(waits_for, run):
    x = th.arange(3.0, device=NAME)
    with host_waits() as waits:
        run(x)
    assert waits == {waits_for: 1}


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x[1:] * 2 + th.tensor(1.0),
        lambda x: th.where(x > 0, x, 0.0).sum(),
        lambda x: x.__setitem__(x > 0, 0.0) or x,
        lambda x: x[x.argsort()],
        lambda x: x.add_(th.ones(3).to(x.device, non_blocking=True)),
    ],
)
def test_nothing_else_is_counted(run):
    x = th.arange(3.0, device=NAME)
    with host_waits() as waits:
        assert run(x).device == x.device
    assert not waits


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x + th.ones(3),
        lambda x: th.where(x > 0, th.ones(3), x),
        lambda x: th.stack([x.sum(), th.tensor(0.0)]),
        lambda x: x.gather(0, th.tensor([0])),
        lambda x: th.ones(3)[x.long()],
    ],
)
def test_operands_on_two_devices_are_refused(run):
    with pytest.raises(RuntimeError, match=refused):
        run(th.arange(3.0, device=NAME))


# Learning.


@either_agent
@every_case
def test_learning_gives_the_weights_that_it_gives_on_the_cpu(make, agent_class, kwargs):
    """In two rollouts and updates, in which no tensor is on the wrong device."""
    steps = 2 * N_STEPS * N_ENVS
    here, there = (make(agent_class, device=device, **kwargs).learn(steps) for device in ("cpu", NAME))
    assert {weight.device.type for weight in there.policy.parameters()} == {NAME}
    th.testing.assert_close(weights(there), weights(here))


@every_case
def test_a_saved_agent_acts_and_learns_on(make, make_envs, tmp_path, kwargs):
    """Whichever device loads it."""
    agent = make(**kwargs).learn(N_STEPS * N_ENVS)
    agent.save(tmp_path / "agent")
    envs = [make_envs("Noise", N_ENVS) for _ in range(2)]
    here, there = (
        MemoryPPO.load(tmp_path / "agent", env, d) for env, d in zip(envs, ("cpu", NAME), strict=True)
    )
    agents = (agent, here, there)
    obs, states = agent.env.reset(), [None] * 3
    for _ in range(3):
        given = zip(agents, states, strict=True)
        actions, states = zip(*(a.predict(obs, state, deterministic=True) for a, state in given), strict=True)
        assert all((other == actions[0]).all() for other in actions)
        obs = agent.env.step(actions[0])[0]
    th.testing.assert_close(weights(here), weights(agent), rtol=0, atol=0)
    th.testing.assert_close(weights(there), weights(agent), rtol=0, atol=0)
    for loaded in (here, there):
        loaded.set_random_seed(1)
        loaded.learn(N_STEPS * N_ENVS)
    th.testing.assert_close(weights(there), weights(here))


# Waits.


@pytest.fixture
def rollout_waits(make, collect, monkeypatch):
    """Waits of a rollout, and in how many of them memories were packed."""
    packings = []
    pack = Slots.pack
    monkeypatch.setattr(Slots, "pack", lambda self, room=0: packings.append(room) or pack(self, room))

    def count(**kwargs):
        agent = make(**kwargs)
        packings.clear()
        with host_waits() as waits:
            collect(agent)
        return waits, len(packings)

    return count


@every_case
def test_acting_waits_for_actions(rollout_waits, make_envs, kwargs):
    """A step waits for its actions, and until observations, starts and rewards are on the device.

    Packing memories takes one wait more, once in eight slots or more; the logs at the end take three.
    """
    logs = 3 if is_transformer(kwargs) else 0
    slots = 2 if kwargs.get("memory") == "compressive" else 1  # of a step: its state, and room for a summary
    for n_steps in (N_STEPS, 2 * N_STEPS):
        waits, packings = rollout_waits(env=make_envs("Recall"), n_steps=n_steps, **kwargs)
        assert waits == {TO_HOST: n_steps + packings + logs, TO_DEVICE: 3 * (n_steps + 1)}
        assert packings <= 2 + slots * n_steps // 8


def test_a_time_limit_takes_one_more(rollout_waits, make_envs):
    envs = [make_envs("Clock", length=4, truncate=truncate) for truncate in (False, True)]
    without, limited = (
        waits[TO_HOST] - packings for waits, packings in (rollout_waits(env=env) for env in envs)
    )
    assert limited - without == N_STEPS // 4


@pytest.fixture
def update_waits(make, collect):
    """Waits of updates of one epoch and of two."""

    def count(agent_class=MemoryPPO, **kwargs):
        agent, found = make(agent_class, **kwargs), []
        collect(agent)
        for agent.n_epochs in (1, 2):
            with host_waits() as waits:
                agent.train()
            found.append(waits)
        return found

    return count


@either_agent
@every_case
def test_an_update_reads_its_numbers_once(update_waits, agent_class, kwargs):
    """Losses, and values and returns for the explained variance: three copies, however many minibatches there are.

    A recurrent network needs to know where episodes begin: one copy more per minibatch.
    """
    per_epoch = 0 if is_transformer(kwargs) else minibatches(agent_class)
    once, twice = update_waits(agent_class, **kwargs)
    assert (once, twice) == ({TO_HOST: 3 + per_epoch}, {TO_HOST: 3 + 2 * per_epoch})


@pytest.mark.parametrize("kwargs", [{}, LESSON], ids=["plain", "lesson"])
@pytest.mark.parametrize("kind", ["joined", "grouped", "continuous"])
def test_other_minibatches_do_not_wait_either(update_waits, make_envs, monkeypatch, kind, kwargs):
    """Of segments with several snapshots, in groups of similar width, with continuous actions."""
    if kind == "joined":
        kwargs = kwargs | {"rollout_buffer_kwargs": {"segment_length": 4}}
    elif kind == "grouped":
        monkeypatch.setattr(block, "WORTH", 2.0)
        monkeypatch.setattr(block, "LEAST", 0)
        kwargs = kwargs | {"env": make_envs("Noise", 16), "batch_size": 16 * N_STEPS}
    else:
        kwargs = kwargs | {"env": make_envs("Noise", N_ENVS, action="box")}
    deviation = {"_local_scalar_dense": 1} if kind == "continuous" else {}  # is logged
    assert update_waits(**kwargs) == [{TO_HOST: 3} | deviation] * 2


def test_a_limit_of_the_divergence_reads_one_number_per_minibatch(update_waits):
    for epochs, waits in zip((1, 2), update_waits(target_kl=1e9), strict=True):
        assert waits == {TO_HOST: 3, "_local_scalar_dense": epochs * minibatches(MemoryPPO)}


# What the tests above find.


def test_a_number_read_in_the_loop_is_found(update_waits, monkeypatch):
    loss = MemoryPPO.value_loss
    monkeypatch.setattr(MemoryPPO, "value_loss", lambda *args: loss(*args) * (loss(*args).item() < 1e9))
    once, twice = update_waits()
    assert twice - once == {"_local_scalar_dense": minibatches(MemoryPPO)}


def test_a_reach_on_the_host_is_found(make, monkeypatch):
    attend = transformer_layer.attend
    monkeypatch.setattr(
        transformer_layer,
        "attend",
        lambda inputs, kernel: attend(inputs._replace(reach=inputs.reach.cpu()), kernel),
    )
    with pytest.raises(RuntimeError, match=refused):
        make().learn(N_STEPS * N_ENVS)
