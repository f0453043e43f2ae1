"""Checks the contract of plots on tiny runs."""

from __future__ import annotations

import inspect
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.store.run import Run, open_run
from sandbox.testing.contract import Promises, called
from sandbox.testing.tiny import tiny_run


def check_plot(plot: Any, source: Run | Path | str | None = None) -> None:
    """Check the contract of a plot.

    * Its first parameter is the source; every other parameter is a setting with a default.
    * It returns a matplotlib ``Figure`` with axes, which can be saved as PNG, SVG and PDF.
    * It does not change pyplot, the user's matplotlib settings, or the run.
    * It can draw a run without a finished round, and a run with failed calls.

    Args:
        plot: Its name, ``module:object``, or the function.
        source: What to draw; default: tiny runs. For plots of trainings or evaluations, give a folder.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("plot", plot)
    with promises.work("it can be imported", "import it in Python and fix the error raised there"):
        draw = registry.load("plots", plot) if isinstance(plot, str) else plot
    _check_parameters(promises, draw)
    if source is not None:
        _check_drawing(promises, draw, source, "what it was given")
        return
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        runs = {
            "a run of two rounds": tiny_run(Path(folder) / "run"),
            "a run without a finished round": tiny_run(Path(folder) / "begun", rounds=0),
            "a run in which calls failed": tiny_run(Path(folder) / "failed", model=ScriptedModel(replies=_shaky)),
        }
        for words, path in runs.items():
            before = _files(path)
            _check_drawing(promises, draw, open_run(path), words)
            promises.hold(
                _files(path) == before,
                "it does not change the run",
                "files of the run were changed",
                "only read the run; the command line saves the figure",
            )


def _shaky(request: Request) -> Reply:
    """Fail a quarter of the requests, chosen by their hash."""
    if int(request.key(), 16) % 4 == 0:
        return Reply("", finish_reason="error", error="the line is down")
    return ScriptedModel().generate([request])[0]


def _files(path: Path) -> dict[str, int]:
    return {str(f): f.stat().st_mtime_ns for f in path.rglob("*") if f.is_file() and "-" not in f.suffix}


def _check_parameters(promises: Promises, draw: Any) -> None:
    first, *others = inspect.signature(draw).parameters.values()
    bare = [p.name for p in others if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    promises.hold(
        first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD) and not bare,
        "its first parameter is the source, and every other has a default",
        f"draw{inspect.signature(draw)}",
        f"give {', '.join(bare) or first.name} a default: sandbox plot passes only the settings given by --set",
    )


def _check_drawing(promises: Promises, draw: Any, source: Any, words: str) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    pyplot = sys.modules.get("matplotlib.pyplot")
    open_before = list(pyplot.get_fignums()) if pyplot is not None else []
    settings = dict(mpl.rcParams)
    with promises.work(f"it draws {words}", "if there is no data yet, draw a figure that says so"):
        figure = draw(source)
        promises.hold(
            isinstance(figure, Figure) and figure.axes,
            "it returns a matplotlib Figure with axes",
            f"{figure!r}",
            "create a matplotlib.figure.Figure, add axes, and return it",
        )
        for fmt in ("png", "svg", "pdf"):
            figure.savefig(io.BytesIO(), format=fmt)
    pyplot = sys.modules.get("matplotlib.pyplot")
    promises.hold(
        pyplot is None or list(pyplot.get_fignums()) == open_before,
        "it does not use pyplot",
        "a figure stays open in pyplot, which leaks memory in a dashboard or a report",
        "create the figure with matplotlib.figure.Figure(), not with pyplot",
    )
    changed = [name for name, value in dict(mpl.rcParams).items() if settings.get(name) != value]
    promises.hold(
        not changed,
        "it does not change the user's matplotlib settings",
        f"{', '.join(changed)} changed",
        "draw inside matplotlib.rc_context()",
    )
