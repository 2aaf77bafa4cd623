"""The commit beside a result, in a checkout and outside of one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from expirespan.experiments.run_folder import provenance

HASH = "1a2b3c4d5e6f"


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (f"0.2.0.dev3+g{HASH}", HASH),
        (f"0.2.0.dev3+g{HASH}.d20260131", f"{HASH}+changes"),
        ("0.2.0", None),
        ("0.2.0+local", None),
        (f"0.2.0+g{HASH}x", None),
    ],
)
def test_the_commit_in_a_version(number: str, found: str | None) -> None:
    assert provenance.built_from(number) == found


def test_outside_of_a_checkout_the_version_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setattr(provenance, "version", lambda _: f"0.2.0.dev3+g{HASH}")
    assert provenance.commit() == HASH


def test_in_a_checkout_git_names_it() -> None:
    here = Path(provenance.__file__).parent
    head = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if head.returncode:
        pytest.skip("the package does not lie in a checkout")
    assert re.fullmatch(re.escape(head.stdout.strip()) + r"(\+changes)?", provenance.commit() or "")
