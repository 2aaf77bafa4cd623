"""Saving is all or nothing, loading goes on where saving stopped, and what cannot be loaded is explained."""

import copy
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch as th
from stable_baselines3.common.utils import LinearSchedule

from expirespan.agents import AdaptivePenalty, MemoryA2C, MemoryPPO
from expirespan.agents.checkpoint import WeightsError
from expirespan.agents.checkpoint.files import destination
from expirespan.memory import MEMORIES


def weights(agent):
    return th.nn.utils.parameters_to_vector(agent.policy.parameters())


def one_paragraph(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text
    return True


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_a_loaded_agent_predicts_the_same(make_agent, tmp_path, agent_class, memory):
    agent = make_agent(agent_class, memory=memory).learn(72)
    agent.save(tmp_path / "agent")
    loaded = agent_class.load(tmp_path / "agent")
    assert loaded.num_timesteps == agent.num_timesteps >= 72 and loaded._n_updates == agent._n_updates
    assert th.equal(weights(loaded), weights(agent))
    state, same = None, None
    for obs in np.random.default_rng(0).normal(size=(10, 5, 3)).astype(np.float32):
        action, state = agent.predict(obs, state, deterministic=True)
        again, same = loaded.predict(obs, same, deterministic=True)
        np.testing.assert_array_equal(action, again)
        tensor = th.as_tensor(obs)
        assert th.equal(
            agent.policy.predict_values(tensor, state), loaded.policy.predict_values(tensor, same)
        )


def test_learning_goes_on(make_agent, make_envs, tmp_path):
    """Steps, schedules, optimiser, the predictors' rate, penalty and scores are those of before."""
    penalty = AdaptivePenalty(1e-4, target=-100, growth=2.0, maximum=1e-3)
    agent = make_agent(
        span_penalty=penalty,
        learning_rate=LinearSchedule(2e-3, 1e-3, 1.0),
        clip_range=LinearSchedule(0.2, 0.1, 1.0),
        policy_kwargs={"predictor_lr": 0.2},
    )
    agent.learn(108)
    agent.save(tmp_path / "agent.zip")
    loaded = MemoryPPO.load(tmp_path / "agent.zip", make_envs("Noise"))
    assert loaded.span_penalty.current == penalty.current == pytest.approx(4e-4)
    assert list(loaded._scores) == list(agent._scores) != []
    groups, same = agent.policy.optimizer, loaded.policy.optimizer
    assert [g["lr_scale"] for g in same.param_groups] == [1.0, 0.2]
    for old, new in zip(groups.state.values(), same.state.values(), strict=True):
        assert old["step"] == new["step"] == 9 and th.equal(old["exp_avg_sq"], new["exp_avg_sq"])
    loaded.learn(36, reset_num_timesteps=False)
    assert loaded.num_timesteps == 144
    assert [g["lr"] for g in same.param_groups] == pytest.approx([1e-3, 2e-4])
    assert loaded.clip_range(0.5) == pytest.approx(0.15)
    assert loaded.span_penalty.current == pytest.approx(8e-4)
    assert not th.equal(weights(loaded), weights(agent))


def test_with_force_reset_false_episodes_go_on(make_agent, make_envs, tmp_path):
    """The same environments and random numbers, once without a break, once from a file: the same weights."""
    env = make_envs("Noise", lengths=(20, 40))
    agent = make_agent(env=env, seed=None)
    agent.learn(72)
    agent.save(tmp_path / "agent")
    twin, rng = copy.deepcopy(env), th.get_rng_state()
    agent.learn(72, reset_num_timesteps=False)
    loaded = MemoryPPO.load(tmp_path / "agent", twin, force_reset=False)
    assert loaded._memory_state.time_B.tolist() == [24, 24, 24]
    th.set_rng_state(rng)
    loaded.learn(72, reset_num_timesteps=False)
    assert th.equal(weights(loaded), weights(agent))


def test_without_its_memory_a_resumed_episode_is_warned_of(make_agent, make_envs, tmp_path):
    agent = make_agent(seed=None).learn(36)
    agent.save(tmp_path / "agent", exclude=["_memory_state"])
    with pytest.warns(UserWarning, match="goes on in them with an empty one"):
        MemoryPPO.load(tmp_path / "agent", agent.env, force_reset=False)


def test_the_memory_of_other_environments_is_not_taken_over(make_agent, make_envs, tmp_path):
    make_agent().learn(36).save(tmp_path / "agent")
    loaded = MemoryPPO.load(tmp_path / "agent", make_envs("Noise", 5))
    assert loaded.n_envs == 5 and loaded._memory_state.time_B.tolist() == [0] * 5
    loaded.learn(60)


def test_settings_can_be_changed_while_loading(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent")
    loaded = MemoryPPO.load(tmp_path / "agent", make_agent().env, n_steps=6, batch_size=3, n_epochs=4)
    assert loaded.rollout_buffer.segment_length == 3 and loaded.rollout_buffer.buffer_size == 6
    loaded.learn(18)
    assert loaded._n_updates == 4


@pytest.mark.parametrize(
    "given, written", [("a", "a.zip"), ("a.zip", "a.zip"), ("a.model", "a.model"), ("new/a", "new/a.zip")]
)
@pytest.mark.filterwarnings("ignore:.*does not exist. Will create it")
def test_names(make_agent, tmp_path, given, written):
    agent = make_agent()
    for path in (str(tmp_path / given), tmp_path / given):
        agent.save(path)
        assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [written]
        assert MemoryPPO.load(path).num_timesteps == 0
        assert MemoryPPO.load(tmp_path / written).num_timesteps == 0


def test_the_name_of_a_folder(make_agent, tmp_path):
    (tmp_path / "a.zip").mkdir()
    with pytest.warns(UserWarning, match="is a folder"):
        make_agent().save(tmp_path / "a")
    assert (tmp_path / "a.zip_2").is_file() and MemoryPPO.load(tmp_path / "a.zip_2")
    with pytest.raises(FileNotFoundError):
        MemoryPPO.load(tmp_path / "a")


def test_a_link_is_written_through(make_agent, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "last.zip").symlink_to(tmp_path / "there" / "step.zip")
    make_agent().save(tmp_path / "last.zip")
    assert (tmp_path / "last.zip").is_symlink() and (tmp_path / "there" / "step.zip").is_file()


def test_file_like_objects(make_agent, tmp_path):
    agent = make_agent().learn(36)
    memory = io.BytesIO()
    agent.save(memory)
    memory.seek(0)
    assert th.equal(weights(MemoryPPO.load(memory)), weights(agent))
    with (tmp_path / "agent").open("wb") as file:
        agent.save(file)
    with (tmp_path / "agent").open("rb") as file:
        assert th.equal(weights(MemoryPPO.load(file)), weights(agent))
    with pytest.raises(ValueError, match="the given BytesIO is no saved agent"):
        MemoryPPO.load(io.BytesIO(b"nothing"))


def test_custom_objects_and_system_info(make_agent, tmp_path, capsys):
    make_agent().save(tmp_path / "agent")
    loaded = MemoryPPO.load(
        tmp_path / "agent", custom_objects={"learning_rate": 0.5, "n_epochs": 7}, print_system_info=True
    )
    assert loaded.learning_rate == 0.5 and loaded.n_epochs == 7 and loaded.lr_schedule(1) == 0.5
    printed = capsys.readouterr().out
    assert "CURRENT SYSTEM INFO" in printed and "SAVED MODEL SYSTEM INFO" in printed


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(make_agent, tmp_path, monkeypatch, failing):
    agent = make_agent()
    agent.save(tmp_path / "agent")
    before = (tmp_path / "agent.zip").read_bytes()

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    agent.learn(36)
    if failing == "write":
        monkeypatch.setattr(safetensors.torch, "save", interrupt)
    elif failing == "fsync":
        monkeypatch.setattr(os, "fsync", interrupt)
    else:
        monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        agent.save(tmp_path / "agent")
    assert [p.name for p in tmp_path.iterdir()] == ["agent.zip"]
    assert (tmp_path / "agent.zip").read_bytes() == before


def test_the_file_appears_only_when_it_is_whole_and_on_disk(make_agent, tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        if order:
            order.append("fsync of the folder")
        else:
            order.append("fsync")
            assert not (tmp_path / "agent.zip").exists()
        fsync(descriptor)

    def replaced(self, target):
        order.append("replace")
        assert self.parent == Path(target).parent, "within one file system"
        assert zipfile.ZipFile(self).testzip() is None
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    make_agent().save(tmp_path / "agent")
    assert order == ["fsync", "replace", "fsync of the folder"]


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        MemoryPPO.load(tmp_path / "agent")
    assert one_paragraph(
        error, tmp_path / "agent", tmp_path / "agent.zip", "give the path that save() was given"
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_file(make_agent, tmp_path, share):
    path = tmp_path / "agent.zip"
    make_agent().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="is no saved agent, or its end is missing") as error:
        MemoryPPO.load(path)
    assert one_paragraph(error, path, "it wasn't a zip-file", "load an earlier checkpoint")


@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.8])
def test_a_damaged_file(make_agent, tmp_path, share):
    path = tmp_path / "agent.zip"
    make_agent().save(path)
    data = bytearray(path.read_bytes())
    middle = int(len(data) * share)
    data[middle : middle + 8] = bytes(255 - byte for byte in data[middle : middle + 8])
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"is damaged|is no saved agent") as error:
        MemoryPPO.load(path)
    assert one_paragraph(error, path, "load an earlier checkpoint")


def test_other_files(make_agent, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat.png", b"")
    with pytest.raises(ValueError, match=r"lacks data, policy\.safetensors, state") as error:
        MemoryPPO.load(tmp_path / "photos.zip")
    assert one_paragraph(error, tmp_path / "photos.zip", "holds cat.png", "expected what save() of this")
    make_agent().policy.save(str(tmp_path / "policy.pt"))
    with pytest.raises(
        ValueError, match="cannot be loaded as MemoryPPO: its attributes are missing"
    ) as error:
        MemoryPPO.load(tmp_path / "policy.pt")


@pytest.mark.parametrize(
    "key, words, env",
    [
        ("observation_space", "observation space Box", {"observation": "discrete"}),
        ("action_space", "action space Discrete", {"action": "box"}),
    ],
)
def test_other_spaces(make_agent, make_envs, tmp_path, key, words, env):
    agent, other = make_agent(), make_envs("Noise", **env)
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match=words) as error:
        MemoryPPO.load(tmp_path / "agent", other)
    spaces = getattr(agent, key), getattr(other, key)
    assert one_paragraph(error, tmp_path / "agent.zip", *spaces, "give an environment with the same spaces")


OTHERS = [
    ({"memory_kwargs": {"width": 8}}, "has shape (2, 4, 8), expected (2, 4, 4)"),
    ({"memory_kwargs": {"layers": 1}}, "has 'memory.layers.1.position', expected no such"),
    ({"memory_kwargs": {"layers": 3}}, "policy lacks 'memory.layers.2."),
    ({"memory": "lstm"}, "expected no such"),
    ({"policy_kwargs": {"predictor_lr": 0.5}}, "policy.optimizer has groups of"),
]


@pytest.mark.parametrize("other, message", OTHERS)
def test_weights_of_another_architecture(make_agent, tmp_path, other, message):
    path = tmp_path / "agent.zip"
    make_agent().learn(36).save(path)
    agent = make_agent(**other).learn(36)
    before = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    with pytest.raises(WeightsError, match="weights of another architecture") as error:
        agent.set_parameters(path)
    assert one_paragraph(error, path, message, "policy_kwargs", "weights are unchanged")
    assert all(th.equal(value, before[name]) for name, value in agent.policy.state_dict().items())
    with pytest.raises(ValueError, match="weights of another architecture") as error:
        MemoryPPO.load(path, custom_objects={"policy_kwargs": agent.policy_kwargs})
    assert one_paragraph(error, path, message)


def test_set_parameters(make_agent, tmp_path):
    agent, other = make_agent(seed=1), make_agent(seed=2)
    agent.save(tmp_path / "agent")
    other.set_parameters(tmp_path / "agent")
    assert th.equal(weights(other), weights(agent))
    third = make_agent(seed=3)
    third.set_parameters(agent.get_parameters())
    assert th.equal(weights(third), weights(agent))
    encoder = {k: v * 2 for k, v in agent.policy.state_dict().items() if k.startswith("encoder.")}
    third.set_parameters({"policy": encoder}, exact_match=False)
    assert th.equal(third.policy.encoder.weight, 2 * agent.policy.encoder.weight)
    before = weights(third)
    policy, optimizer = agent.policy.state_dict(), agent.policy.optimizer.state_dict()
    for params, message in (
        ({"policy": encoder, "policy.optimizer": optimizer}, "policy lacks"),
        ({"policy": policy}, "policy.optimizer is missing"),
        ({"policy": policy, "policy.optimizer": optimizer, "critic": {}}, "an agent has no 'critic'"),
    ):
        with pytest.raises(RuntimeError, match=message):
            third.set_parameters(params)
        assert th.equal(weights(third), before)
    with pytest.raises(FileNotFoundError):
        third.set_parameters(tmp_path / "none")


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_the_same_policy_kwargs(make_agent, tmp_path, agent_class):
    """An agent adds nothing of its own to what the user gave, not even A2C its optimizer."""
    agent = make_agent(agent_class)
    given = copy.deepcopy(agent.policy_kwargs)
    agent.learn(36).save(tmp_path / "agent")
    loaded = agent_class.load(tmp_path / "agent", policy_kwargs=given)
    assert loaded.policy_kwargs == given
    assert type(loaded.policy.optimizer) is type(agent.policy.optimizer)
    assert loaded.policy.optimizer.defaults == agent.policy.optimizer.defaults


def test_optimizers_of_a2c(make_agent):
    rms = make_agent(MemoryA2C, rms_prop_eps=1e-3).policy.optimizer
    assert isinstance(rms, th.optim.RMSprop) and rms.defaults["eps"] == 1e-3 and rms.defaults["alpha"] == 0.99
    assert isinstance(make_agent(MemoryA2C, use_rms_prop=False).policy.optimizer, th.optim.Adam)
    chosen = {"optimizer_class": th.optim.SGD}
    assert isinstance(make_agent(MemoryA2C, policy_kwargs=chosen).policy.optimizer, th.optim.SGD)


def test_other_policy_kwargs(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent")
    with pytest.raises(ValueError, match="policy kwargs do not equal") as error:
        MemoryPPO.load(tmp_path / "agent", policy_kwargs={"memory": "gru"})
    assert one_paragraph(error, tmp_path / "agent.zip", "gru")


def test_a_policy_alone(make_agent, tmp_path):
    agent = make_agent(policy_kwargs={"predictor_lr": 0.5}).learn(36)
    agent.policy.save(str(tmp_path / "policy.pt"))
    policy = type(agent.policy).load(str(tmp_path / "policy.pt"))
    obs = np.zeros((2, 3), np.float32)
    assert th.equal(policy.predict_values(th.as_tensor(obs)), agent.policy.predict_values(th.as_tensor(obs)))
    assert policy.memory_name == "expire_span" and policy.predictor_lr == 0.5


def test_where_files_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert destination("a") == tmp_path.resolve() / "a.zip"
    assert destination(Path("b/a.zip")) == tmp_path.resolve() / "b" / "a.zip"
