"""The find-instruction task: episodes of hand-written lines, pictures, and errors."""

from typing import Any

import numpy as np
import pytest

from expirespan.envs import FindInstruction, FindInstructionOracle, FindInstructionVector
from expirespan.envs.instruction.rules import ACTIONS

LINES = [
    "the bear sleeps beside the cook",
    "the king tells the guard to lend the red boot to the miller",
    "the queen asks you to lend the iron bell to the cook",
    "the cook bows calmly",
    "your turn first lend red boot miller second lend iron bell cook third show red boot cook "
    "fourth show iron bell miller",
]
FIXED = {"layout": {"lines": LINES, "cues": [2], "answer": 2}}


def play(env: Any, options: dict[str, Any], actions: list[int]) -> list[tuple[Any, ...]]:
    env.reset(options=options)
    wrap = (lambda action: [action]) if isinstance(env, FindInstructionVector) else int
    return [env.step(wrap(action)) for action in actions]


def test_a_hand_written_episode_step_by_step() -> None:
    env = FindInstruction()
    observation, info = env.reset(options=FIXED)
    words = ["", *sorted(env.rules.source.words[1:])]
    for number in range(4):
        expected = [words.index(word) for word in LINES[number].split()]
        np.testing.assert_array_equal(observation, expected + [0] * (24 - len(expected)))
        assert info == {"text": LINES[number], "cue": number == 2, "length": 1}
        observation, *rest, info = env.step(3 if number == 1 else 0)
        assert rest == [-0.01 if number == 1 else 0.0, False, False]
    assert info["text"] == LINES[4]
    observation, *rest, info = env.step(2)
    assert rest == [1.0, True, False]
    assert info == {"text": "", "cue": False, "length": 1, "is_success": True}
    np.testing.assert_array_equal(observation, np.zeros(24))


@pytest.mark.parametrize("answer", range(5))
@pytest.mark.parametrize("action", range(5))
def test_reward_of_every_action_at_the_turn(answer: int, action: int) -> None:
    fixed = {"layout": {**FIXED["layout"], "answer": answer}}
    for env in (FindInstruction(early_penalty=0.5), FindInstructionVector(1, early_penalty=0.5)):
        *_, last = play(env, fixed, [0, 0, 0, 0, action])
        assert (last[1], last[2], last[3]) == (float(action == answer), True, False)
        assert last[4].get("final_info", last[4])["is_success"] == (action == answer)


def test_oracle_on_hand_written_revisions() -> None:
    told, turn = LINES[2], LINES[4]
    instead = "the king has a new plan and tells you to show the red boot to the cook instead"
    forget = "the king has a new plan and tells you to forget the old one"
    for lines, right in (
        ([told, turn], 2),
        ([told, instead, turn], 3),
        ([told, forget, turn], 0),
        ([told, LINES[1], turn], 2),
    ):
        env, oracle = FindInstruction(), FindInstructionOracle(1)
        line, _ = env.reset(options={"layout": {"lines": lines, "cues": [0], "answer": right}})
        for number in range(len(lines)):
            action = int(oracle.act(line[None], [number == 0])[0])
            line, reward, ended, _, _ = env.step(action)
        assert (action, reward, ended) == (right, 1.0, True)
    assert oracle.act(env.rules.source.encode(turn)[None], [True])[0] == 0, (
        "a new episode: nothing was told yet"
    )


# Pictures


def test_ansi() -> None:
    env = FindInstruction(render_mode="ansi")
    play(env, FIXED, [0, 0, 0])
    shown = env.render().splitlines()
    assert shown == ["", "", "", "", *(f"{'*' if i == 2 else ' '}{i:5} {LINES[i]}" for i in range(4))]


def test_rgb_array() -> None:
    env = FindInstruction(render_mode="rgb_array")
    play(env, FIXED, [0, 0, 0])
    frame = env.render()
    assert (frame.shape, frame.dtype) == ((192, 1040, 3), np.uint8)
    rows = frame.reshape(8, 24, 1040, 3)
    assert not rows[:4].any() and all(row.any() for row in rows[4:])
    assert rows[6, ..., 2].max() < 100 < rows[6, ..., 0].max(), "the cue is yellow"


# Errors


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"min_length": 3}, r"min_length must be an integer.* >= 4.*, got 3"),
        ({"min_length": 9, "max_length": 8}, r"max_length=8 is below min_length=9: raise"),
        (
            {"max_length": 9500},
            r"max_length=9500 needs 9512 different lines: there are only 9323; lower max_length",
        ),
        (
            {"length_distribution": "gauss"},
            r"length_distribution must be one of 'uniform', 'log_uniform'.*, got 'gauss'",
        ),
        ({"split": "validation"}, r"split must be one of 'train', 'test'.*, got 'validation'"),
        ({"revisions": True}, r"revisions must be one of 'never', 'replace'.*, got True"),
        ({"early_penalty": -1}, r"early_penalty must be a finite number >= 0, got -1"),
        ({"token_length": 21}, r"token_length=21: the longest line has 22 words; expected at least as many"),
        ({"lines": "novel"}, r"lines must be one of 'grammar', 'light'.*, got 'novel'"),
        ({"lines": "light"}, r"lines='light' with light_path=None: expected a path with lines='light'"),
        ({"light_path": "x"}, r"lines='grammar' with light_path='x': expected a path with lines='light'"),
        ({"lines": "light", "light_path": 5}, r"light_path must be a text or None, got 5"),
        ({"render_mode": "xml"}, r"render_mode='xml': expected None or one of"),
    ],
)
@pytest.mark.parametrize("make", [FindInstruction, FindInstructionVector])
def test_wrong_parameters(make: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"turn": 2}, r"expected a dict with exactly the keys 'lines', 'cues', 'answer', such as"),
        ({"lines": "your turn"}, r"layout\['lines'\]='your turn': expected a list"),
        ({"lines": ["your turn"]}, r"layout\['lines'\] has 1 lines: expected 2 to 1012, by max_length"),
        (
            {"lines": ["the xylophone", *LINES[1:]]},
            r"'the xylophone' has words that are not in the.*: xylophone",
        ),
        ({"lines": [*LINES, "a " * 25]}, r"has 25 words: expected at most 24"),
        ({"lines": [7, *LINES]}, r"layout\['lines'\]\[0\]=7: expected a line of text"),
        ({"lines": [*LINES, " "]}, r"layout\['lines'\]\[5\]=' ': expected a line of text"),
        ({"cues": [4]}, r"layout\['cues'\]\[0\]=4: expected one of 0, 1, 2, 3"),
        ({"cues": []}, r"layout\['cues'\]=\[\]: expected one or two line numbers"),
        ({"answer": 5}, r"layout\['answer'\]=5: expected one of 0, 1, 2, 3, 4"),
    ],
)
@pytest.mark.parametrize("make", [FindInstruction, FindInstructionVector])
def test_wrong_layouts(make: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().reset(options={"layout": {**FIXED["layout"], **change}})


def test_action_names() -> None:
    assert len(ACTIONS) == 5 and ACTIONS[0] == "read on" and "third" in ACTIONS[3]
