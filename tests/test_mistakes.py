"""Pairs of values that do not fit each other and wrong files of results are refused in one clear sentence."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "mistakes"), str(HERE.parent)]
import cases  # noqa: E402
from trying import Case, answer  # noqa: E402

SMALL = [Case("pairs", "construct", (name, given), names) for name, given, names in cases.PAIRS]
SMALL += [
    Case("files", "compare", content, ("results.json",)) for content in [*cases.FILES, *cases.changed()]
]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.kind}-{str(case.what)[-60:]}")
def test_it_is_clear(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome, said = answer(case)
    assert outcome in ("clear", "slow") and any(name in said for name in case.names), (outcome, said)


def test_what_is_right_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = cases.json.dumps(cases.RESULTS).encode()
    assert answer(Case("", "compare", content, ())) == ("accepted", "")
    assert answer(Case("", "construct", ("PortalRooms", {}), ())) == ("accepted", "")


def test_a_message_of_python_is_not_clear() -> None:
    assert answer(Case("", "construct", ("Corridor", {"lenght": 5}), ("lenght",)))[0] == "absent"
    cases_of = {
        "'<' not supported between instances of 'str' and 'int'": "vague",
        "x must be 1, got 2": "clear",
    }
    for said, expected in cases_of.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(
                sys.modules["trying"].HOW, "raise", lambda said: (_ for _ in ()).throw(ValueError(said))
            )
            assert answer(Case("", "raise", said, ("x", "str")))[0] == expected


def test_the_table_says_that_all_are_clear() -> None:
    rows = re.findall(r"^\| .* \| now \| (.*) \|$", (HERE.parent / "docs" / "mistakes.md").read_text(), re.M)
    assert len(rows) >= 9
    for row in rows:
        tries, clear, *others = (int(cell.replace(",", "")) for cell in row.split(" | "))
        assert tries == clear > 0 and not any(others), row
