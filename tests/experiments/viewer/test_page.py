"""What the page is made of, without a browser; and what the command says to bad input."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from expirespan.experiments.cli import main
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.viewer import browser, command, summary, viewer_page
from expirespan.experiments.viewer.data import as_json, pack, reach, window_alive


def array(packed: dict[str, Any], name: str) -> Any:
    kind, data = packed["arrays"][name]
    dtype = {"Float32Array": "<f4", "Int32Array": "<i4", "Uint16Array": "<u2", "Uint8Array": "u1"}[kind]
    return np.frombuffer(gzip.decompress(base64.b64decode(data)), dtype)


def test_reach_by_hand(make_trace: Any) -> None:
    """Two states kept from the start to the end of ten steps: a window of ten; without them, of four."""
    trace = make_trace(10)
    assert reach(trace) == 10
    assert window_alive(trace).tolist() == [2 * (t + 1) for t in range(10)]
    short = replace(trace, death=np.minimum(np.arange(10) + 3, 10) + np.zeros((2, 1), np.int32))
    assert reach(short) == 4
    assert window_alive(short).tolist() == [2, 4, 6, 8, 8, 8, 8, 8, 8, 8]
    assert reach(make_trace(10, 0)) == 0


def test_arrays_survive_packing(random_trace: Any) -> None:
    trace = random_trace(20)
    packed = json.loads(as_json(pack(trace)))
    for name in ("span", "death", "alive", "attended", "reward", "value", "cue"):
        np.testing.assert_array_equal(array(packed, name), getattr(trace, name).ravel())
    np.testing.assert_allclose(array(packed, "attention") / 65535, trace.attention.ravel(), atol=1e-5)
    np.testing.assert_array_equal(array(packed, "observation"), trace.observation.ravel())
    assert (packed["T"], packed["L"], packed["k"], packed["reach"]) == (20, 3, 4, reach(trace))


def test_pictures_are_packed_once(random_trace: Any) -> None:
    frames = np.zeros((300, 4, 6, 3), np.uint8)
    frames[:, 0, 0, 0], frames[:, 0, 0, 1] = np.arange(300) % 256, np.arange(300) // 256
    trace = random_trace(300, L=1, frames=frames, frame=np.arange(300)[::-1].astype(np.int32))
    packed = pack(trace)
    assert packed["picture"] == [4, 6]
    assert len(packed["sheets"]) == 2
    assert array(packed, "frame").tolist() == list(range(299, -1, -1))
    with Image.open(io.BytesIO(base64.b64decode(packed["sheets"][1]))) as sheet:
        np.testing.assert_array_equal(np.asarray(sheet)[8:12, 6:12], frames[256 + 33])


def test_vectors_become_cells_from_light_to_dark(make_trace: Any) -> None:
    values = np.array([[0, 7, np.nan], [5, 7, 1], [10, 7, 2]], np.float32)
    packed = pack(replace(make_trace(3), observation=values))
    assert packed["picture"] == [2, 2]
    with Image.open(io.BytesIO(base64.b64decode(packed["sheets"][0]))) as sheet:
        pixels = np.asarray(sheet)
    at = array(packed, "frame")
    first = [pixels[0, 2 * i].tolist() for i in at]
    assert first == [[245] * 3, [142] * 3, [40] * 3]
    assert [pixels[0, 2 * i + 1].tolist() for i in at] == [[142] * 3] * 3, "one that never changes"


def test_json_cannot_leave_its_script_element() -> None:
    evil = "</script><!--<script>&\u2028"
    text = as_json({"a": evil})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": evil}


def test_the_page_needs_nothing_else(random_trace: Any) -> None:
    html = viewer_page([random_trace(5)], "a & b")
    assert "<title>a &amp; b</title>" in html
    assert "default-src 'none'" in html
    markup = re.sub(r"<script\b.*?</script>|<style\b.*?</style>", "", html, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:|//)", markup)
    assert not re.search(r"<script[^>]*\ssrc|<link[^>]*stylesheet", html)
    with pytest.raises(ValueError, match="at least one"):
        viewer_page([], "none")


def test_view_writes_pages_of_runs_and_traces(
    make_trace: Any, tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.create(tiny)
    for name in ("evaluation", "evaluation-2", *(f"step-{i:010d}" for i in range(5))):
        make_trace(10).save(run.traces / f"{name}.npz")
    assert main(["view", str(run.folder)]) == 0
    assert capsys.readouterr().out.startswith(str(run.folder / "viewer.html"))
    page = (run.folder / "viewer.html").read_text(encoding="utf-8")
    assert page.count('"sheets"') == 2 + command.FROM_TRAINING
    assert main(["view", str(run.traces / "evaluation.npz"), "--output", str(tmp_path / "one.html")]) == 0
    assert (tmp_path / "one.html").read_text(encoding="utf-8").count('"sheets"') == 1


def test_episodes_of_an_evaluation_come_in_their_order(make_trace: Any, tiny: Config) -> None:
    run = Run.create(tiny)
    for i in range(1, 12):
        trace = replace(make_trace(10), about={"seed": i})
        trace.save(run.traces / f"evaluation{f'-{i}' if i > 1 else ''}.npz")
    assert [trace.about["seed"] for trace in command.read_traces([run.folder])] == list(range(1, 12))


def test_view_explains_bad_input(
    make_trace: Any, tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    def fails(*args: str) -> str:
        assert main(["view", *args]) == 2
        error = capsys.readouterr().err
        assert error.startswith("expirespan: error: ") and error.count("\n") == 1
        return error

    run = Run.create(tiny)
    trace = tmp_path / "trace.npz"
    assert "expirespan evaluate" in fails(str(run.folder)), "a run without evaluation"
    assert "neither a run folder nor a trace" in fails(str(tmp_path / "nothing"))
    assert "there is no trace" in fails(str(trace))
    assert "is no run" in fails(str(tmp_path))
    assert "come first" in fails("--open")
    make_trace(10).save(trace)
    assert "existing folder" in fails(str(trace), "--output", str(tmp_path / "no" / "page.html"))
    assert "unknown option '--opne'" in fails(str(trace), "--opne")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(command.sys, "platform", "linux")
    assert "no display" in fails(str(trace), "--open")
    assert trace.with_suffix(".html").stat().st_size > 1_000_000, "written all the same"
    data = dict(np.load(trace))
    np.savez(trace, **(data | {"version": 1}))
    assert "version 1 and this program reads" in fails(str(trace))
    (tmp_path / "cut.npz").write_bytes(trace.read_bytes()[:500])
    assert "damaged" in fails(str(tmp_path / "cut.npz"))
    (tmp_path / "page.html").write_text("<html>")
    assert "damaged or no .npz" in fails(str(tmp_path / "page.html"))


def test_a_missing_browser_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(browser.UserError, match="apt-get install chromium"):
        browser.find_chromium()


def test_long_episodes_are_thinned_around_what_matters(
    random_trace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every n-th step, the last, and the decisive ones are stored, within the bytes allowed before compression."""
    trace = random_trace(200, what_if=True)
    whole = json.loads(as_json(pack(trace)))
    assert array(whole, "stored").tolist() == list(range(200)) and whole["every"] == 1
    size = 200 * (3 * 4 * (4 + 2 + 4) + 3 * (4 + 4 + 3 * 4))
    monkeypatch.setattr(summary, "READ_BYTES", size // 4)
    packed = json.loads(as_json(pack(trace)))
    steps = array(packed, "stored")
    assert packed["every"] == 4 and set(range(0, 200, 4)) <= set(steps.tolist())
    assert 199 in steps and packed["decisive"]["step"] in steps
    assert {row["use"]["step"] for row in packed["longest"] if row["use"]} <= set(steps.tolist())
    np.testing.assert_array_equal(array(packed, "attended"), trace.attended[:, steps].ravel())
    np.testing.assert_array_equal(array(packed, "heads"), trace.heads[:, steps].ravel())
    np.testing.assert_array_equal(array(packed, "removed"), trace.removed[steps].ravel())
    np.testing.assert_allclose(array(packed, "without"), trace.without[steps].ravel(), atol=1e-4)
    for name in ("span", "death", "alive"):
        np.testing.assert_array_equal(array(packed, name), getattr(trace, name).ravel(), "these are whole")


def test_the_strongest_shift_is_that_of_an_old_memory(make_trace: Any) -> None:
    """At step 3, the memory of step 2 is as old as the ramp, and does not count."""
    removed, shift = np.full((4, 2), -1, np.int32), np.zeros((4, 2), np.float32)
    removed[3], shift[3] = [2, 1], [9, 4]
    trace = replace(make_trace(4), removed=removed, shift=shift)
    assert summary.strongest(trace).tolist() == [0, 0, 0, 4]
    assert summary.strongest(make_trace(4)).size == 0


def test_rows_of_the_tables(make_trace: Any) -> None:
    """Two memories are kept for 9 and 8 steps, all others for 3 at most."""
    found = summary.summarise(make_trace(10))
    assert [(row["step"], row["stayed"], row["layer"], row["kept"]) for row in found["longest"]] == [
        (0, 9, 1, True), (1, 8, 1, True),
    ]  # fmt: skip
    assert found["others"] == 3 and found["decisive"] is None
    assert [(kind["seen"], kind["cue"], kind["kept"]) for kind in found["kinds"]] == [
        (2, True, 2),
        (8, False, 3),
    ]
