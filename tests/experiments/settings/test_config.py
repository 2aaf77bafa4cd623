from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from expirespan.agents import AdaptivePenalty, WarmupPenalty
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.recipes import RECIPES, find_recipe
from expirespan.experiments.settings import (
    KINDS,
    A2CSettings,
    AdaptivePenaltySettings,
    Config,
    FixedWindowSettings,
    GymSettings,
    LessonSettings,
    PlateauPenaltySettings,
    PPOSettings,
    WarmupPenaltySettings,
    choose,
    settings,
)
from expirespan.experiments.settings.config_file import from_yaml, read_config, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse_config
from expirespan.memory import MEMORIES


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_yaml(name: str) -> None:
    recipe = find_recipe(name)
    text = to_yaml(recipe.config)
    assert "!!" not in text
    assert from_yaml(text) == recipe.config
    assert recipe.config.recipe == name
    assert recipe.summary and recipe.source and recipe.expected


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds_an_agent(name: str) -> None:
    config = find_recipe(name).config
    few = min(config.standardize, 1000)  # random steps, 200,000 in some recipes
    config = replace(config, num_envs=4, device="cpu", standardize=few)
    if name == "own":  # the id is the user's to name
        config = replace(config, env=GymSettings("CartPole-v1"), eval_env=GymSettings("CartPole-v1"))
    agent = agent_making.make_agent(config, world_making.make_training_env(config))
    assert agent.policy.memory_name == config.memory.name
    assert agent.gamma == config.algorithm.gamma


@pytest.mark.parametrize("name", RECIPES)
def test_a_price_that_success_governs_comes_with_the_lesson(name: str) -> None:
    """Without the lesson such a price takes what the task needs, and a target for memories alive is met by chance."""
    config = find_recipe(name).config
    priced = isinstance(config.penalty, AdaptivePenaltySettings | PlateauPenaltySettings)
    assert isinstance(config.forgetting, LessonSettings) == priced
    assert priced or config.target.alive is None


def test_every_memory_has_settings_and_all_are_its_arguments() -> None:
    assert set(KINDS["memory"]) == set(MEMORIES)
    for kind in KINDS["memory"].values():
        config = Config(num_envs=2, memory=kind(), device="cpu")  # type: ignore[arg-type]
        agent_making.make_agent(config, world_making.make_training_env(config))


def test_values_that_yaml_writes_oddly() -> None:
    config = Config(memory=FixedWindowSettings(window=math.inf), algorithm=PPOSettings(learning_rate=1e-20))
    assert from_yaml(to_yaml(config)) == config
    assert from_yaml("algorithm: {name: ppo, learning_rate: 3e-4}").algorithm.learning_rate == 3e-4
    assert from_yaml("memory: {name: expire_span, max_span: 100}") == from_yaml(
        "memory: {name: expire_span, max_span: 100.0}"
    )
    assert from_yaml("") == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: many", ["seed='many'", "int"]),
        ("seed: true", ["seed=True", "int"]),
        ("sed: 1", ["'sed'", "did you mean 'seed'"]),
        ("memory: {name: lst}", ["'lst'", "lstm", "expire_span"]),
        ("memory: {name: lstm, window: 3}", ["memory.window", "memory.width"]),
        ("memory: lstm", ["memory='lstm'", "'name'"]),
        ("wandb: perhaps", ["wandb", "'perhaps'", "offline"]),
        ("target: 0.9", ["target=0.9"]),
        ("[1, 2]", ["[1, 2]"]),
        ("a: b: c", ["not YAML"]),
    ],
)
def test_bad_files_are_explained(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_config(path)
    for word in [*words, "bad.yaml"]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_of_version_0_1_are_read() -> None:
    """Its lesson had a softness, and measured its tolerance in another way: both are left out."""
    lesson = (
        "forgetting: {name: lesson, fraction: 0.4, softness: [0.5, 4.0], shortest: 0.8, tolerance: 0.003}"
    )
    assert from_yaml(lesson).forgetting == LessonSettings(fraction=0.4, shortest=0.8)
    with pytest.raises(UserError, match=r"unknown setting 'forgetting.hardness'"):
        from_yaml("forgetting: {name: lesson, hardness: 1}")


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml"):
        read_config(tmp_path / "none.yaml")


def parsed(*args: str, recipe: str = "corridor") -> Config:
    return parse_config(find_recipe(recipe).config, args, "expirespan train", "")


def test_overrides() -> None:
    config = parsed(
        "--seed", "3", "--total-timesteps", "1e6", "--env.max-length=50", "--memory.max-span", "512"
    )
    assert (config.seed, config.total_timesteps, config.memory.max_span) == (3, 1_000_000, 512)  # type: ignore[union-attr]
    base = find_recipe("corridor").config
    assert config == replace(
        base,
        seed=3,
        total_timesteps=1_000_000,
        env=replace(base.env, max_length=50),
        eval_env=replace(base.eval_env, max_length=50),
        memory=replace(base.memory, max_span=512.0),  # type: ignore[call-arg]
    )


def test_evaluation_follows_the_training_environment_unless_told() -> None:
    config = parsed("--env.max-length", "50", "--env.min-length", "5", "--eval-env.max-length", "400")
    assert (config.eval_env.min_length, config.eval_env.max_length) == (5, 400)
    assert config.eval_env.length_distribution == "uniform"
    assert config.env.length_distribution == "log_uniform"


def test_an_evaluation_of_another_kind_follows_in_what_it_has_too() -> None:
    args = ["--env.max-length", "50", "--eval-env", "gym", "--eval-env.id", "ExpireSpan/Corridor-v0"]
    config = parse_config(RECIPES["corridor"].config, args, "train", "")
    assert config.env.max_length == 50 and config.eval_env == GymSettings("ExpireSpan/Corridor-v0")


def test_kinds_of_parts_are_chosen_by_name() -> None:
    config = parsed(
        "--memory", "fixed_window", "--memory.window", "50", "--algorithm=a2c", "--penalty", "warmup"
    )
    assert config.memory == FixedWindowSettings(window=50, heads=2)  # heads as in the recipe
    assert isinstance(config.algorithm, A2CSettings)
    assert config.algorithm.gamma == find_recipe("corridor").config.algorithm.gamma
    assert config.algorithm.learning_rate == find_recipe("corridor").config.algorithm.learning_rate
    assert config.algorithm.gae_lambda == A2CSettings().gae_lambda  # the recipe has PPO's default
    assert isinstance(config.penalty, WarmupPenaltySettings)


def test_choosing_keeps_what_was_set_and_not_the_other_kind_s_defaults() -> None:
    assert choose(A2CSettings, PPOSettings(gamma=0.9)) == A2CSettings(gamma=0.9)
    assert "batch_size" not in settings(choose(A2CSettings, PPOSettings(batch_size=1)))


def test_penalties_are_those_of_the_agents() -> None:
    config = Config(penalty=WarmupPenaltySettings(coef=0.5, start=10, steps=20), num_envs=2, device="cpu")
    agent = agent_making.make_agent(config, world_making.make_training_env(config))
    assert agent.span_penalty == WarmupPenalty(0.5, 10, 20)
    config = replace(find_recipe("corridor").config, num_envs=2, device="cpu")
    assert isinstance(
        agent_making.make_agent(config, world_making.make_training_env(config)).span_penalty, AdaptivePenalty
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory": FixedWindowSettings(window=0)}, "window"),
        ({"device": "abacus"}, "abacus"),
        ({"algorithm": PPOSettings(batch_size=0)}, "ppo"),
    ],
)
def test_settings_that_cannot_be_built_are_the_user_s_errors(changes: dict[str, object], words: str) -> None:
    config = replace(Config(num_envs=2, device="cpu"), **changes)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=words):
        agent_making.make_agent(config, world_making.make_training_env(config))
