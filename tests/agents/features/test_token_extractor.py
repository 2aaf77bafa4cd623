"""The features of a line of text: numbers worked out by hand, what they depend on, and their place in an agent."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from expirespan.agents import MemoryPPO, TokenExtractor

SPACE = spaces.Box(0, 9, (4,), np.int64)


def features(extractor: TokenExtractor, *tokens: int) -> torch.Tensor:
    line = torch.tensor([[*tokens, *[0] * (4 - len(tokens))]], dtype=torch.float32)
    return extractor(line)[0]


def test_numbers_worked_out_by_hand() -> None:
    extractor = TokenExtractor(SPACE, features_dim=2, embedding_dim=2)
    with torch.no_grad():
        extractor.embedding.weight[3] = torch.tensor([1.0, 2.0])
        extractor.embedding.weight[5] = torch.tensor([10.0, 0.0])
        extractor.linear.weight[:] = torch.tensor([[1.0] * 8, [1, 10, 100, 0, 0, 0, 0, 0]])
        extractor.linear.bias[:] = torch.tensor([0.5, 0.0])
    expected = torch.tensor([1 + 2 + 10 + 0.5, 1 * 1 + 10 * 2 + 100 * 10.0])
    torch.testing.assert_close(features(extractor, 3, 5), expected)


def test_order_counts_and_filling_up_does_not() -> None:
    torch.manual_seed(0)
    extractor = TokenExtractor(SPACE)
    assert extractor.features_dim == 128 == features(extractor, 3).shape[0]
    assert not torch.allclose(features(extractor, 3, 5), features(extractor, 5, 3))
    torch.testing.assert_close(features(extractor), extractor.linear.bias)
    features(extractor, 3).sum().backward()
    gradient: Any = extractor.embedding.weight.grad
    assert gradient[3].any() and not gradient[:3].any() and not gradient[4:].any()


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 9, (4,), np.float32),
        spaces.Box(0, 9, (4, 4), np.int64),
        spaces.Box(-1, 9, (4,), np.int64),
        spaces.Discrete(9),
    ],
    ids=repr,
)
def test_other_observations_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(ValueError, match="TokenExtractor reads one line of tokens"):
        TokenExtractor(space)


class Words(gym.Env[Any, Any]):
    """A line of random tokens a step, ten steps."""

    observation_space = SPACE
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.age = 0
        return self.np_random.integers(10, size=4), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.age += 1
        return self.np_random.integers(10, size=4), float(action), self.age == 10, False, {}


def test_in_an_agent_it_learns_and_is_saved(tmp_path: Any) -> None:
    kwargs = {
        "features_extractor_class": TokenExtractor,
        "features_extractor_kwargs": {"features_dim": 8},
        "memory_kwargs": {"width": 16, "heads": 2, "max_span": 6, "ramp": 3},
    }
    model = MemoryPPO(
        "MlpPolicy", Words(), n_steps=16, batch_size=16, n_epochs=1, policy_kwargs=kwargs, seed=0
    )
    before = {name: p.detach().clone() for name, p in model.policy.features_extractor.named_parameters()}
    model.learn(16)
    for name, parameter in model.policy.features_extractor.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    model.save(tmp_path / "model")
    again, line = MemoryPPO.load(tmp_path / "model"), np.array([[1, 2, 3, 4]])
    ours, theirs = (m.predict(line, deterministic=True)[0] for m in (model, again))
    np.testing.assert_array_equal(ours, theirs)
    assert isinstance(again.policy.features_extractor, TokenExtractor)
