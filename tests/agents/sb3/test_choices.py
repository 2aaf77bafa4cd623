"""Actions scored by their descriptions: numbers by hand, places that do not matter, ratios of 1, files, bad input."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from expirespan.agents import ChoiceExtractor, MemoryChoicePolicy, MemoryPPO, TokenExtractor
from expirespan.memory import MEMORIES

SPACE = spaces.Box(0, 9, (5,), np.int64)
CHOICES = {"first": 1, "choices": 2, "words": 2}
SMALL = {"width": 16, "heads": 2, "max_span": 6, "ramp": 3}


def policy(actions: int = 3, **kwargs: Any) -> MemoryChoicePolicy:
    th.manual_seed(0)
    given = {"features_extractor_kwargs": CHOICES, "memory_kwargs": SMALL} | kwargs
    return MemoryChoicePolicy(SPACE, spaces.Discrete(actions), lambda _: 1e-3, **given)


def logits(policy: MemoryChoicePolicy, *tokens: int) -> th.Tensor:
    with th.no_grad():
        distribution: Any = policy.get_distribution(th.tensor([tokens]).float()).distribution
    return distribution.logits[0]


def test_features_worked_out_by_hand() -> None:
    extractor = ChoiceExtractor(SPACE, **CHOICES, features_dim=2, embedding_dim=1, choice_dim=1)
    with th.no_grad():
        extractor.embedding.weight[:, 0] = th.arange(10.0)
        extractor.about.weight[:], extractor.about.bias[:] = 10.0, 0.5
    features = extractor(th.tensor([[7.0, 1, 2, 3, 4]]))
    assert features.shape[1] == extractor.features_dim == 5
    th.testing.assert_close(features[0, 2:], th.tensor([170.5, 30.5, 70.5]))
    plain = TokenExtractor(SPACE, 2, 1)
    plain.load_state_dict({k: v for k, v in extractor.state_dict().items() if not k.startswith("about")})
    th.testing.assert_close(features[:, :2], plain(th.tensor([[7.0, 1, 2, 3, 4]])))


def test_a_score_is_the_product_of_query_and_description() -> None:
    chooser = policy()
    with th.no_grad():
        chooser.action_net.weight[:], chooser.action_net.bias[:] = 0, th.tensor([0.0, 5.0, 6.0])
        chooser.query.weight[:], chooser.query.bias[:] = 0, 1.0
        chooser.features_extractor.about.weight[:], chooser.features_extractor.about.bias[:] = 0, 0.25
    score = 32 * 0.25
    expected = th.log_softmax(th.tensor([0.0, 5 + score, 6 + score]), 0)
    th.testing.assert_close(logits(chooser, 1, 2, 3, 4, 5), expected)


def test_choices_that_change_places_change_scores() -> None:
    """What the line as a whole says is switched off: then only the description counts, wherever it stands."""
    chooser = policy()
    with th.no_grad():
        chooser.action_net.weight[:], chooser.action_net.bias[:] = 0, 0
        chooser.encoder.weight[:] = 0
    one, other = logits(chooser, 7, 1, 2, 3, 4), logits(chooser, 7, 3, 4, 1, 2)
    assert (one[1] - one[2]).abs() > 1e-3
    th.testing.assert_close(one[[0, 2, 1]], other)


class Lines(gym.Env[Any, Any]):
    """Random tokens, episodes of random length, reward for the action of which the first word is larger."""

    observation_space = SPACE
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.line = self.np_random.integers(0, 10, 5)
        return self.line, {}

    def step(self, action: int) -> Any:
        reward = float(action == 1 + int(self.line[3] > self.line[1]))
        self.line = self.np_random.integers(0, 10, 5)
        return self.line, reward, bool(self.np_random.random() < 0.1), False, {}


def agent(**kwargs: Any) -> MemoryPPO:
    memory = kwargs.pop("memory", "expire_span")
    chosen = {"max_span": 6} if "span" in memory else {"window": 4} if memory in ("fixed_window",) else {}
    given = dict(features_extractor_kwargs=CHOICES, memory=memory, memory_kwargs=chosen)
    envs = gym.vector.SyncVectorEnv([Lines] * 3, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    settings = dict(n_steps=12, batch_size=12, seed=0, device="cpu") | kwargs
    return MemoryPPO("ChoicePolicy", envs, policy_kwargs=given, **settings)


@pytest.mark.parametrize("memory", MEMORIES)
def test_learning_sees_what_acting_saw(memory: str) -> None:
    """With every memory, the policy re-read in one pass says what it said when it acted."""
    ppo = agent(memory=memory)
    seen = []
    train = ppo.train

    def compared() -> None:
        for batch in ppo.rollout_buffer.get(ppo.batch_size):
            with th.no_grad():
                found = ppo.policy.unroll(
                    batch.observations, batch.actions, batch.state, batch.episode_starts
                )
            seen.append((found.log_prob - batch.old_log_prob).abs().max().item())
            seen.append((found.values - batch.old_values).abs().max().item())
        train()

    ppo.train = compared  # type: ignore[method-assign]
    ppo.learn(36 * 4)
    assert len(seen) >= 24
    assert max(seen) < 1e-5


@pytest.mark.slow
def test_it_learns_what_descriptions_mean() -> None:
    ppo = agent(n_steps=64, batch_size=64, learning_rate=3e-3, n_epochs=10, gamma=0.0)
    ppo.learn(12_000)
    rewards = []
    envs, starts = ppo.env, np.ones(3, bool)
    observations, state = envs.reset(), None
    for _ in range(200):
        actions, state = ppo.predict(observations, state, starts, deterministic=True)
        observations, reward, starts, _ = envs.step(actions)
        rewards.append(reward)
    assert np.mean(rewards) > 0.8, "two choices: chance is 1/2"


def test_it_comes_back_from_a_file(tmp_path: Any) -> None:
    ppo = agent()
    ppo.save(tmp_path / "agent")
    again = MemoryPPO.load(tmp_path / "agent", device="cpu")
    assert type(again.policy) is MemoryChoicePolicy
    line = np.array([[7, 1, 2, 3, 4]])
    th.testing.assert_close(
        logits(again.policy, *line[0].tolist()), logits(ppo.policy, *line[0].tolist()), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"choices": 3}, "choices must be at most 2, for 2 words each from token 1 to 4, got 3"),
        ({"first": -1}, "first must be an integer >= 0"),
        ({"choices": 0}, "choices must be an integer >= 1"),
        ({"words": 0}, "words must be an integer >= 1"),
    ],
)
def test_choices_that_do_not_fit_a_line(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChoiceExtractor(SPACE, **(CHOICES | change))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="action_space must be Discrete for ChoicePolicy"):
        MemoryChoicePolicy(SPACE, spaces.MultiBinary(3), lambda _: 1e-3)
    with pytest.raises(ValueError, match="choices must be at most the 1 actions, got 2"):
        policy(actions=1)
    with pytest.raises(ValueError, match="a ChoiceExtractor, which ChoicePolicy reads the choices from"):
        policy(features_extractor_class=TokenExtractor)
    with pytest.raises(ValueError, match="share_features_extractor must be True"):
        policy(share_features_extractor=False)
    with pytest.raises(ValueError, match="reads one line of tokens"):
        MemoryChoicePolicy(spaces.Box(-1, 1, (3,)), spaces.Discrete(3), lambda _: 1e-3)
