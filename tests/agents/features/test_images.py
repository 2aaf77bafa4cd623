"""Features of small images and of dictionaries with them."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import CombinedExtractor

from expirespan.agents.features.images import (
    PartsExtractor,
    SmallCNN,
    fits_combined_extractor,
    is_small_image,
)

IMAGE = spaces.Box(0, 255, (3, 7, 7), np.uint8)


def test_small_images_are_read_whatever_the_size_of_their_numbers():
    """At the start, that is, when biases are 0: MiniGrid's kinds, divided by 255, give what larger numbers would."""
    extractor = SmallCNN(IMAGE, features_dim=16)
    seen = th.rand(4, 3, 7, 7) * 10 / 255
    features = extractor(seen)
    assert features.shape == (4, 16)
    th.testing.assert_close(extractor(seen * 25), features, rtol=1e-3, atol=1e-4)
    assert not th.allclose(features[0], features[1], atol=1e-2), "different images give different features"
    assert 0.3 < features.std() < 1.5, "a norm gives mean 0 and deviation 1, and ReLU halves that"


def test_every_pixel_counts():
    extractor, seen = SmallCNN(IMAGE), th.rand(1, 3, 7, 7, requires_grad=True)
    extractor(seen).square().sum().backward()
    assert (seen.grad != 0).all()


@pytest.mark.parametrize(("shape", "small"), [((3, 35, 40), True), ((3, 40, 35), True), ((1, 36, 36), False)])
def test_small_is_what_does_not_fit_natures_kernels(shape, small):
    assert is_small_image(spaces.Box(0, 255, shape, np.uint8)) == small
    assert not is_small_image(spaces.Box(0, 1, shape, np.uint8)), "no image: other bounds"


def test_parts_are_those_of_combined_extractor():
    """On what both can read they are the same function of the same weights."""
    space = spaces.Dict(
        a=spaces.Box(0, 255, (1, 36, 36), np.uint8), b=spaces.Box(-1, 1, (2, 2)), c=spaces.Discrete(3)
    )
    assert fits_combined_extractor(space)
    ours, theirs = PartsExtractor(space, 8), CombinedExtractor(space, 8)
    ours.parts[0].load_state_dict(theirs.extractors["a"].state_dict())
    seen = {"a": th.rand(2, 1, 36, 36), "b": th.rand(2, 2, 2), "c": th.eye(3)[:2]}
    assert ours.features_dim == theirs.features_dim == 8 + 4 + 3
    assert th.equal(ours(seen), theirs(seen))


@pytest.mark.parametrize("name", ["a.b", "type", "training", "", "forward"])
def test_names_that_pytorch_does_not_take(name):
    space = spaces.Dict({name: spaces.Discrete(2)})
    assert not fits_combined_extractor(space)
    assert PartsExtractor(space)({name: th.eye(2)}).tolist() == [[1, 0], [0, 1]]
