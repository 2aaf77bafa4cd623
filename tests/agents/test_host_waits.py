"""How often the host would wait for a GPU: counted on the CPU, by the operators that give the host a number or whose
result has a shape that depends on the data.
"""

from collections import Counter

import pytest
import torch as th
from torch.utils._python_dispatch import TorchDispatchMode

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO, update
from expirespan.agents.core.optimizers import masked_step

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")
RULES = ("expire_span", "fixed_window", "adaptive_span", "compressive")


class Waits(TorchDispatchMode):
    """Counts those operators, and indexing by a mask."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        name = op._schema.name.removeprefix("aten::")
        masks = name.startswith("index") and any(
            i is not None and i.dtype == th.bool for i in args[1] if isinstance(args[1], (list, tuple))
        )
        if masks or any(name.startswith(wait) for wait in WAITS):
            self.found[name] += 1
        return op(*args, **(kwargs or {}))


@pytest.fixture
def waits_of_an_update(make_agent, collect, monkeypatch):
    """Waits of an update as it is on a GPU, where a step of the optimiser is masked and not asked about."""
    monkeypatch.setattr(update, "step_if", masked_step)

    def count(agent_class, **kwargs):
        agent = make_agent(agent_class, **kwargs)
        agent.learn(36)
        collect(agent)
        with Waits() as waits:
            agent.train()
        return waits.found

    return count


@pytest.mark.parametrize("memory", RULES)
def test_an_update_waits_as_often_however_many_minibatches_it_has(waits_of_an_update, memory):
    once, thrice = (waits_of_an_update(MemoryPPO, memory=memory, n_epochs=n) for n in (1, 3))
    assert once == thrice


def test_nor_does_a_lesson_wait(waits_of_an_update):
    lesson = {"forgetting": Forgetting(0.34), "span_penalty": 0.01}
    once, thrice = (waits_of_an_update(MemoryPPO, n_epochs=n, **lesson) for n in (1, 3))
    assert once == thrice


def test_a_limit_of_the_divergence_reads_one_number_per_minibatch(waits_of_an_update):
    plain, limited = (waits_of_an_update(MemoryPPO, n_epochs=3, target_kl=kl) for kl in (None, 1e9))
    assert set(limited - plain) == {"_local_scalar_dense"}
    one_epoch = waits_of_an_update(MemoryPPO, n_epochs=1, target_kl=1e9)
    assert (limited - plain).total() == 3 * (one_epoch - plain).total() > 0


@pytest.mark.parametrize("memory", RULES)
@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_a_step_does_not_wait(make_agent, agent_class, memory):
    """Not even to pack memories: what packing reads is a copy to the host, once in eight steps or more."""
    agent = make_agent(agent_class, memory=memory)
    obs, state = agent.env.reset(), None
    with th.no_grad(), Waits() as waits:
        for _ in range(20):
            out = agent.policy.step(agent.policy.obs_to_tensor(obs)[0], state)
            state = out.state
    assert not waits.found
