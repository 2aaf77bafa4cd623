"""``expirespan view``: the page of a run or of traces."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.run_folder.files import check_output, write_text
from expirespan.experiments.run_folder.names import quoted
from expirespan.experiments.run_folder.pretrained import is_pretrained
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse, split_paths
from expirespan.experiments.terminal.text import warn

FROM_TRAINING = 3
"""Episodes recorded during training that the page of a run shows beside those of `expirespan evaluate`."""
SEED = 2_000_000
"""Of the episode of a trained agent, as that of `expirespan evaluate`."""


@dataclass(frozen=True)
class ViewOptions:
    """Where the page goes."""

    output: Path | None = None
    """HTML file; by default viewer.html in the run's folder, or beside the trace."""
    open: bool = False
    """Open it in a browser."""
    picture: Path | None = None
    """Also write the retention picture of the first episode: a .png, .svg or .pdf file."""
    video: Path | None = None
    """Also write the first episode as a video, with the spans under its frames: a .gif, or an .mp4 file with
    expirespan[video]."""


HELP = """Write one HTML file on which to move through recorded episodes: what the agent keeps, how long and why. Give a
run, traces (.npz files of `expirespan evaluate RUN --trace`), or pretrained:NAME for a trained agent of the
package. Two of them are shown side by side, step by step."""


def view_command(args: Sequence[str]) -> int:
    """``expirespan view``."""
    prog = "expirespan view RUN|TRACE [TRACE ...]"
    if not args or args[0] in ("-h", "--help"):
        parse(ViewOptions(), ["--help"], prog, HELP)
        return 0 if args else 2
    paths, rest = split_paths(args, "neither a run nor a trace: these come first, then options")
    options = parse(ViewOptions(), rest, prog, HELP)
    _check(options)
    sources = [_played(path) if is_pretrained(path) else Path(path) for path in paths]
    traces = [read_traces([source]) for source in sources]
    output = options.output or _default(sources[0])
    check_output(output)
    write_text(output, page_of(sources, traces))
    print(f"{output} ({output.stat().st_size / 1e6:.1f} MB)")
    _draw(options, traces[0][0])
    if options.open:
        _open(output)
    return 0


def _played(source: str) -> Path:
    """The folder of a trained agent's run; an episode is recorded there if there is none."""
    run = Run.open(source)
    if not any(run.traces.glob("evaluation*.npz")):
        from expirespan.experiments.episodes.record import record_episode
        from expirespan.experiments.making.agents import load_agent

        config = run.config
        agent = load_agent(config, run.find_checkpoint("last"), device="cpu")
        record_episode(agent, config.eval_env.longest(), SEED, config.recipe).save(
            run.traces / "evaluation.npz"
        )
    return run.folder


def page_of(sources: Sequence[Path], traces: Sequence[Sequence[EpisodeTrace]]) -> str:
    """The page of the traces of each source; of two sources their episodes side by side."""
    from expirespan.experiments.viewer.page import comparison_page, viewer_page
    from expirespan.experiments.viewer.pairs import pairs_of

    if len(sources) == 2:
        a, b = (f"{letter}: {source}" for letter, source in zip("AB", sources, strict=True))
        return comparison_page(pairs_of(*traces), (a, b), "Two agents side by side")
    title = " ".join(str(source) for source in sources[:3]) + (" ..." if len(sources) > 3 else "")
    return viewer_page([trace for part in traces for trace in part], title)


def _check(options: ViewOptions) -> None:
    """Raise UserError unless the picture and the video that are asked for can be written."""
    if options.picture is not None:
        from expirespan.experiments.pictures.picture_file import check_picture

        check_picture(options.picture)
    if options.video is not None:
        from expirespan.experiments.viewer.video import check_video

        check_video(options.video)


def _draw(options: ViewOptions, trace: EpisodeTrace) -> None:
    """The picture and the video that are asked for."""
    if options.picture is not None:
        from expirespan.experiments.pictures.retention import draw_retention

        print(draw_retention(trace, options.picture))
    if options.video is not None:
        from expirespan.experiments.viewer.video import write_video

        print(write_video(trace, options.video))


def read_traces(sources: Sequence[Path]) -> list[EpisodeTrace]:
    """The traces in these files and runs; of a run those of its evaluation, and the last of its training.

    Raises:
        UserError: one is no trace or run, or a run has none yet.
    """
    return [trace for source in sources for trace in _traces_of(source)]


def _traces_of(source: Path) -> list[EpisodeTrace]:
    """The traces of a file or run; those of a run that are damaged are named and left out, unless all are."""
    files, found, wrong = _trace_files(source), [], []
    for path in files:
        try:
            found.append(EpisodeTrace.load(path))
        except UserError as error:
            if len(files) == 1:
                raise
            wrong.append(str(error))
    if not found:
        raise UserError(" | ".join(wrong))
    for text in wrong:
        warn(f"left out: {text}")
    return found


def _trace_files(source: Path) -> list[Path]:
    if not source.is_dir():
        if source.exists() or source.suffix == ".npz":
            return [source]
        raise UserError(
            f"{str(source)!r} is neither a run folder nor a trace (.npz): there is nothing of that name"
        )
    run = Run.open(source)
    found = [
        *sorted(run.traces.glob("evaluation*.npz"), key=lambda path: (len(path.name), path.name)),
        *sorted(run.traces.glob("step-*.npz"))[: -FROM_TRAINING - 1 : -1],
    ]
    if not found:
        _ = run.config  # says so if it is a run on a sequence task
        raise UserError(
            f"{run.folder} has no recorded episode yet; `expirespan evaluate {quoted(run.folder)} --trace` records one"
        )
    return found


def _default(source: Path) -> Path:
    return Run.open(source).folder / "viewer.html" if source.is_dir() else source.with_suffix(".html")


def show(page: Path) -> bool:
    """Open the page in a browser, if there are a terminal, a display and a browser; whether it was."""
    return sys.stdout.isatty() and not _blind() and webbrowser.open(page.resolve().as_uri())


def _open(page: Path) -> None:
    """Open the page in a browser.

    Raises:
        UserError: nothing here can show it.
    """
    if _blind() or not webbrowser.open(page.resolve().as_uri()):
        raise UserError(
            f"there is no display or browser here; copy {page} to where there is one, it needs no other file"
        )


def _blind() -> bool:
    """Whether there is no display."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform.startswith("linux") and not shown
