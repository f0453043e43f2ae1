"""What a picture promises, put to the test on tiny runs."""

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
    """Check that a picture does what pictures promise.

    * Its first parameter is what it draws; every other is a setting with a default.
    * It gives a matplotlib ``Figure`` with something in it, which can be saved as PNG, SVG and PDF.
    * It leaves pyplot and the user's settings of matplotlib as they were, and the run as it was.
    * It draws a run that was only just begun, and one in which calls failed.

    Args:
        plot: Its name, ``module:object``, or the function.
        source: What to draw; by default tiny runs. Give a folder where it draws trainings or evaluations.

    Raises:
        BrokenPromise: says which promise, what was found, and how to mend it.
    """
    promises = called("plot", plot)
    with promises.work("it can be imported", "import it in Python and mend what is raised there"):
        draw = registry.load("plots", plot) if isinstance(plot, str) else plot
    _check_parameters(promises, draw)
    if source is not None:
        _check_drawing(promises, draw, source, "what it was given")
        return
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        runs = {
            "a run of two rounds": tiny_run(Path(folder) / "run"),
            "a run that was only just begun": tiny_run(Path(folder) / "begun", rounds=0),
            "a run in which calls failed": tiny_run(Path(folder) / "failed", model=ScriptedModel(replies=_shaky)),
        }
        for words, path in runs.items():
            before = _files(path)
            _check_drawing(promises, draw, open_run(path), words)
            promises.hold(
                _files(path) == before,
                "it leaves the run as it was",
                "files of the run were changed",
                "only read from the run; the command line saves the figure",
            )


def _shaky(request: Request) -> Reply:
    """Every fourth request fails, whichever they are."""
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
        "its first parameter is what it draws, and every other has a default",
        f"draw{inspect.signature(draw)}",
        f"give {', '.join(bare) or first.name} a default: sandbox plot passes only what --set says",
    )


def _check_drawing(promises: Promises, draw: Any, source: Any, words: str) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    pyplot = sys.modules.get("matplotlib.pyplot")
    open_before = list(pyplot.get_fignums()) if pyplot is not None else []
    settings = dict(mpl.rcParams)
    with promises.work(f"it draws {words}", "where there is nothing to see yet, draw a figure that says so"):
        figure = draw(source)
        promises.hold(
            isinstance(figure, Figure) and figure.axes,
            "it gives a matplotlib Figure with something in it",
            f"{figure!r}",
            "make a matplotlib.figure.Figure, add axes, and return it",
        )
        for fmt in ("png", "svg", "pdf"):
            figure.savefig(io.BytesIO(), format=fmt)
    pyplot = sys.modules.get("matplotlib.pyplot")
    promises.hold(
        pyplot is None or list(pyplot.get_fignums()) == open_before,
        "it leaves pyplot alone",
        "a figure stays open in pyplot, which fills the memory of a dashboard or a report",
        "make the figure with matplotlib.figure.Figure(), not with pyplot",
    )
    changed = [name for name, value in dict(mpl.rcParams).items() if settings.get(name) != value]
    promises.hold(
        not changed,
        "it leaves the user's settings of matplotlib as they were",
        f"{', '.join(changed)} changed",
        "draw inside matplotlib.rc_context()",
    )
