"""Features standardised by statistics that are taken once."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from expirespan.agents import MemoryPPO, StandardizedExtractor

SEEN = np.array([[0, 5, 1], [4, 5, 1.2], [0, 5, 1], [4, 5, 1.2]])


def extractor(shape: tuple[int, ...] = (3,)) -> StandardizedExtractor:
    return StandardizedExtractor(spaces.Box(-10, 10, shape))


def test_by_hand():
    """Means 2, 5, 1.1; deviations 2, 0, 0.1, of which the last two count as a tenth of the first."""
    made = extractor()
    raw = th.tensor([[4.0, 6.0, 1.0]])
    th.testing.assert_close(made(raw), raw)
    made.calibrate([SEEN[:1], SEEN[1:]])
    th.testing.assert_close(made(raw), th.tensor([[1.0, 5.0, -0.5]]))


def test_the_least_deviation_is_a_choice():
    made = StandardizedExtractor(spaces.Box(-10, 10, (3,)), least_deviation=0.5)
    made.calibrate([SEEN])
    th.testing.assert_close(made.deviation, th.tensor([2.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="least_deviation must be a number within"):
        StandardizedExtractor(spaces.Box(-10, 10, (3,)), least_deviation=0.0)


def test_images_are_flattened():
    made = extractor((2, 2, 1))
    made.calibrate([np.arange(12).reshape(3, 2, 2, 1)])
    assert made(th.zeros(5, 2, 2, 1)).shape == (5, 4) and made.features_dim == 4
    th.testing.assert_close(made(th.arange(4, 8).view(1, 2, 2, 1)), th.zeros(1, 4))


@pytest.mark.parametrize("seen", [SEEN[:1], SEEN[:, :2], np.ones((4, 3))])
def test_wrong_observations_are_refused(seen):
    with pytest.raises(ValueError, match="observations"):
        extractor().calibrate([seen])


def test_other_spaces_are_refused():
    with pytest.raises(ValueError, match="reads a Box"):
        StandardizedExtractor(spaces.Discrete(3))


def test_the_statistics_are_in_the_file(make_envs, tmp_path):
    kwargs = dict(features_extractor_class=StandardizedExtractor, memory_kwargs={"width": 16})
    agent = MemoryPPO(
        "MlpPolicy", make_envs("Noise"), n_steps=12, batch_size=12, policy_kwargs=kwargs, device="cpu"
    )
    agent.policy.features_extractor.calibrate([SEEN[:1], SEEN[1:]])
    agent.learn(36).save(tmp_path / "agent")
    loaded = MemoryPPO.load(tmp_path / "agent", device="cpu").policy.features_extractor
    th.testing.assert_close(loaded.mean, th.tensor([2.0, 5.0, 1.1]))
    th.testing.assert_close(loaded.deviation, th.tensor([2.0, 0.2, 0.2]))
