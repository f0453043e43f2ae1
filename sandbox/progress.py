"""Progress of long work: a bar on a terminal, plain lines in a log or a notebook, nothing under ``--json``."""

from __future__ import annotations

import sys
import threading
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


# A log that is silent for longer looks as if the program hung.
_EVERY_S = 10.0


def _lines(what: str, total: float) -> Iterator[Progress]:
    """A line at every tenth of the work, and every ten seconds in between."""
    started, lock, ended = time.monotonic(), threading.Lock(), threading.Event()
    reached, step, said, last = 0.0, 0.1, started, ""

    def say(share: float, words: str) -> None:
        nonlocal said
        said = time.monotonic()
        _say(what, share, started, words)

    def show(done: float, note: str = "") -> None:
        nonlocal reached, step, last
        with lock:
            reached, last = reached + done, note or last
            share = reached / total if total else 1.0
            if share >= step:
                step = share + 0.1
                say(share, note)

    def repeat() -> None:
        while not ended.wait(max(0.01, said + _EVERY_S - time.monotonic())):
            with lock:
                if not ended.is_set() and time.monotonic() - said >= _EVERY_S:
                    say(reached / total if total else 1.0, last)

    say(0.0, "")
    clock = threading.Thread(target=repeat, daemon=True)
    clock.start()
    try:
        yield show
    finally:
        ended.set()
        clock.join()
    say(1.0, "done")


def _say(what: str, share: float, started: float, note: str) -> None:
    line = f"{what}: {min(share, 1):4.0%} after {time.monotonic() - started:.0f} s {note}".rstrip()
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
