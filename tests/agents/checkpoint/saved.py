"""What tests of checkpoints share."""

import torch as th


def weights(agent):
    return th.nn.utils.parameters_to_vector(agent.policy.parameters())


def one_paragraph(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text
    return True
