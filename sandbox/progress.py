"""Progress of long work: a bar on a terminal, plain lines in a log or a notebook, nothing under ``--json``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from sandbox.notebook import called_from_notebook

if TYPE_CHECKING:
    from rich.console import RenderableType


class Progress(Protocol):
    """Callback, receives how much more is done."""

    def __call__(self, done: float, note: str = "") -> None:
        """Advance by ``done``, and show ``note`` beside the bar."""
        ...


def silent(done: float, note: str = "") -> None:
    """Show nothing."""


def on_terminal() -> bool:
    """Whether standard error is a terminal that can redraw lines; in a notebook each drawing of a bar would stay."""
    return sys.stderr.isatty() and not called_from_notebook()


@contextmanager
def progress(
    what: str, total: float, *, quiet: bool = False, below: Callable[[], RenderableType] | None = None
) -> Iterator[Progress]:
    """Show the progress of a long task on standard error.

    Args:
        what: Name of the task.
        total: Amount of work.
        quiet: Show nothing.
        below: Returns what else to show on a terminal, below the bar.
    """
    if quiet:
        yield silent
    elif on_terminal():
        yield from _bar(what, total, below)
    else:
        yield from _lines(what, total)


def _bar(what: str, total: float, below: Callable[[], RenderableType] | None) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )

    class Bar(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            if below is not None and not self.finished:
                yield below()

    with Bar(*columns, console=Console(stderr=True), refresh_per_second=4) as bar:
        task = bar.add_task(what, total=total, note="")
        noted = ""

        def show(done: float, note: str = "") -> None:
            nonlocal noted
            bar.update(task, advance=done)
            if note and note != noted:  # a new stage is shown at once, however short it is
                noted = note
                bar.update(task, note=note, refresh=True)

        yield show
        bar.update(task, completed=total)


def _lines(what: str, total: float) -> Iterator[Progress]:
    started = time.monotonic()
    state = {"done": 0.0, "next": 0.1}

    def show(done: float, note: str = "") -> None:
        state["done"] += done
        share = state["done"] / total if total else 1.0
        if share >= state["next"]:
            state["next"] = share + 0.1
            _say(what, share, started, note)

    _say(what, 0.0, started, "")
    yield show
    _say(what, 1.0, started, "done")


def _say(what: str, share: float, started: float, note: str) -> None:
    line = f"{what}: {min(share, 1):4.0%} after {time.monotonic() - started:.0f} s {note}".rstrip()
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
