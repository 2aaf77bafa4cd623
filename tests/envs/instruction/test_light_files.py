"""LIGHT files of our own making, in the shapes that the real ones have; and files that must be refused."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.envs import FindInstruction, FindInstructionVector
from expirespan.envs.instruction.light_files import read_light_texts

DIALOGUE = {
    "agents": [{"name": "knight", "persona": "brave"}, {"name": "cook", "persona": "kind"}],
    "setting": {"name": "Hall", "category": "Inside", "description": "A large hall. It is cold!"},
    "all_descriptions": {"a rope": "The rope hangs from a beam."},
    "character": ["knight", "cook"],
    "speech": ["Good evening, my friend.", "I tell you to leave."],
    "action": [None, "hug knight"],
    "emote": ["smile", None],
}
ENVIRONMENT = {
    "rooms": {
        1: {"setting": "Mill", "description": "An old mill.", "background": "Built long ago.", "room_id": 1}
    },
    "objects": {5: {"name": "rope", "descriptions": ["A long rope."], "is_plural": 0.0}},
    "characters": {7: {"name": "cook", "personas": ["I cook for the king."], "desc": "A fat cook."}},
}
TEXT = (
    "text:_task_speech\\n_setting_name Hall, Inside\\n_setting_desc A large hall.\\n_self_say Hello__PIPE__there\\n"
    "_object_desc rope : a rope\tlabels:Good evening!\tepisode_done:True\n"
)


def write(folder: Path, name: str, content: Any, protocol: int = 4) -> str:
    (folder / name).write_bytes(pickle.dumps(content, protocol))
    return str(folder / name)


@pytest.mark.parametrize("protocol", range(6))
def test_dialogues(tmp_path: Path, protocol: int) -> None:
    assert read_light_texts(write(tmp_path, "light_data.pkl", [DIALOGUE], protocol)) == [
        "A large hall. It is cold!",
        "The rope hangs from a beam.",
        "knight says : Good evening, my friend.",
        "cook says : I tell you to leave.",
        "cook does : hug knight",
        "knight does : smile",
    ]


def test_environment_and_text_form(tmp_path: Path) -> None:
    found = read_light_texts(write(tmp_path, "light_environment.pkl", ENVIRONMENT))
    assert found == ["An old mill.", "Built long ago.", "A long rope.", "A fat cook.", "I cook for the king."]
    (tmp_path / "speech_train.txt").write_text(TEXT)
    assert read_light_texts(str(tmp_path / "speech_train.txt")) == [
        "A large hall.",
        "Hello there",
        "rope : a rope",
        "Good evening!",
    ]
    assert len(read_light_texts(str(tmp_path))) == 9, "a folder stands for its files"


def test_containers_of_all_kinds_are_read(tmp_path: Path) -> None:
    listed = [{"character": ["elf"], "speech": ["Hm.", "Ah."], "all_descriptions": ["A.", "B."]}]
    other = ({"character": ("elf",), "speech": ("Hm.", "Ah."), "all_descriptions": {"B.", "A."}},)
    expected = read_light_texts(write(tmp_path, "a.pkl", listed))
    assert read_light_texts(write(tmp_path, "b.pkl", other)) == expected
    (tmp_path / "c.txt").write_text("text:_self_emote smile", encoding="utf-8-sig")
    (tmp_path / "a.txt").mkdir()
    assert read_light_texts(str(tmp_path)) == [*expected, *expected, "smile"]


def test_missing_keys_are_left_out(tmp_path: Path) -> None:
    odd = [{"speech": ["Hm."], "setting": None}, {"character": ["x"]}, None, 3]
    assert read_light_texts(write(tmp_path, "d.pkl", odd)) == ["somebody says : Hm."]
    assert read_light_texts(write(tmp_path, "e.pkl", {"rooms": {1: {"description": "Dark."}, 2: None}})) == [
        "Dark."
    ]


class Evil:
    def __reduce__(self) -> Any:
        return print, ("this must not be printed",)


@pytest.mark.parametrize(
    "content",
    [Evil(), [OrderedDict(a=1)], {"rooms": np.float64(1)}, [Path("x")], [print]],
    ids=["evil", "ordered", "numpy", "path", "function"],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_other_classes_are_refused(tmp_path: Path, content: Any, protocol: int, capsys: Any) -> None:
    path = write(tmp_path, "light_data.pkl", content, protocol)
    with pytest.raises(ValueError, match=r"light_data.pkl: refused, it asks for \w+.*containers of builtins"):
        FindInstruction(lines="light", light_path=path)
    assert capsys.readouterr().out == ""


def test_damaged_missing_and_empty_files(tmp_path: Path) -> None:
    path = write(tmp_path, "light_data.pkl", [DIALOGUE])
    Path(path).write_bytes(Path(path).read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"light_data.pkl: refused, .*get it again"):
        FindInstruction(lines="light", light_path=path)
    with pytest.raises(FileNotFoundError, match=r"light_path='': no LIGHT file there"):
        FindInstruction(lines="light", light_path="")
    with pytest.raises(FileNotFoundError, match=r"nowhere': no LIGHT file there; expected light_data.pkl"):
        FindInstructionVector(2, lines="light", light_path=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no LIGHT file there"):
        read_light_texts(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"e.pkl: no dialogue and no description in it"):
        read_light_texts(write(tmp_path, "e.pkl", {"rooms": {}}))
    (tmp_path / "latin.txt").write_bytes("text:_self_say caf\u00e9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin.txt: not UTF-8"):
        read_light_texts(str(tmp_path / "latin.txt"))


def test_chatter_from_light(tmp_path: Path) -> None:
    spoken = [f"Raven {n}!" for n in range(60)]
    spoken[3] = "I saw ravens over the moor, and they told you to run."
    spoken[4] = "Your turn first, my friend."
    long = " ".join(f"word{n}" for n in range(30))
    path = write(
        tmp_path, "light_data.pkl", [{**DIALOGUE, "character": ["elf"] * 61, "speech": [*spoken, long]}]
    )
    kwargs = {"max_length": 20, "lines": "light", "light_path": path}
    env, vector = FindInstruction(**kwargs), FindInstructionVector(2, **kwargs)
    assert env.observation_space == vector.single_observation_space
    chatter = {env.rules.source.decode(line) for line in env.rules.source.chatter.tolist()}
    assert "elf says : raven 7 !" in chatter and not any("you to" in line for line in chatter)
    assert not any("your turn" in line for line in chatter)
    assert any(line.startswith("elf says : word0 word1") for line in chatter), "long lines are cut"
    assert all(len(line.split()) <= 24 for line in chatter)
    seen = []
    _, info = env.reset(seed=0)
    while info["text"]:
        seen.append(info["text"])
        info = env.step(0)[4]
    assert len(set(seen)) == len(seen)
    assert sum(line in chatter for line in seen) == len(seen) - 6, (
        "all but the opening, four orders and the turn"
    )
    with pytest.raises(ValueError, match=r"max_length=100 needs 112 different lines.*or give more files"):
        FindInstruction(**{**kwargs, "max_length": 100})


def test_a_state_needs_the_same_words_wherever_they_are(tmp_path: Path) -> None:
    speech = [f"Raven {n}!" for n in range(60)]

    def envs(folder: str, speech: list[str]) -> FindInstructionVector:
        (tmp_path / folder).mkdir()
        path = write(tmp_path / folder, "light_data.pkl", [{**DIALOGUE, "character": [], "speech": speech}])
        return FindInstructionVector(2, max_length=20, lines="light", light_path=Path(path))  # type: ignore[arg-type]

    first = envs("a", speech)
    first.reset(seed=0)
    state = first.get_state()
    elsewhere = envs("b", speech)
    elsewhere.set_state(state)
    np.testing.assert_array_equal(first.step([0, 0])[0], elsewhere.step([0, 0])[0])
    with pytest.raises(ValueError, match="make it with the parameters of the state"):
        envs("c", [line.replace("Raven", "Rook") for line in speech]).set_state(state)
