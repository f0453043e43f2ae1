"""Output of commands: lines, JSON, tables, and the metrics of a round."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sandbox.errors import SandboxError
from sandbox.folders import finite
from sandbox.notebook import called_from_notebook
from sandbox.progress import Progress
from sandbox.text_cleaning import printable


def say(text: str = "") -> None:
    """Print a line for the user; control characters of models and data are shown as escapes."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def say_json(content: Any) -> None:
    """Print one JSON value, for scripts; NaN and infinities become null."""
    say(json.dumps(finite(content), ensure_ascii=False, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; all columns but the first are right-aligned."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As Text, for names may contain what rich would read as markup.
    shown = Table(title=Text(printable(title)), title_justify="left")
    for number, column in enumerate(columns):
        shown.add_column(Text(printable(column)), justify="left" if number == 0 else "right")
    for row in rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() and not called_from_notebook() else 110).print(shown)


def say_losses(summary: Mapping[str, Any]) -> None:
    """Print what failed in a run and which ratings could not be read: how many, and the first one's words."""
    for failure in summary["failures"]:
        say(f"failed: {failure['n']} of {summary['interactions']} interactions: {_one_line(failure['error'])}")
    if summary["failures"]:
        say(_how_to_repeat(summary))
    lost = summary["unreadable"]
    if lost["n"]:
        say(
            f"ratings that could not be read: {lost['n']} of {lost['of']}, the first: {_one_line(lost['first'])!r}. "
            "Raters that need no parsing: --rater values, or a model that gives probabilities"
        )


def _how_to_repeat(summary: Mapping[str, Any]) -> str:
    """How to run again what failed: complete rounds on which others depend are not repeated."""
    from sandbox.store.run import open_run

    run = open_run(summary["run"])
    what = next((f"rounds with {name}" for name in ("stages", "groups") if summary.get(name)), None)
    why = "others have read what was said in them"
    if what is None and run.changes():
        what, why = (
            "rounds of a run to which agents were added, or from which they were removed,",
            "who lives depends on them",
        )
    if what is None:
        return (
            "repeat what failed with the same command and --resume, once the cause is removed (in Python: "
            f"World(..., out={summary['run']!r}, resume=True).run({run.rounds}))"
        )
    failed = run.frame()["error"].notna()
    good = int(run.frame()["round"][failed].min())
    branch = f", or branch from the last good round: --from {summary['run']}@{good}" if good else ""
    return (
        f"{what} are not repeated by --resume where they are complete: {why}. Once the cause is removed, run again to another "
        f"--out{branch}"
    )


def _one_line(text: str, width: int = 200) -> str:
    words = " ".join(text.split())
    return words if len(words) <= width else f"{words[:width]}…"


def by_rounds(show: Progress, world: Any, rounds: int) -> Callable[[int], None]:
    """A callback for ``World.on_calls`` that shows progress in rounds; the total is the number of rounds left.

    Within the first round it follows the most calls that protocols declare, which may be far more than they make; within later
    ones the calls of the round before. It is right again with each new round.

    Args:
        show: Shows the amount of work that was done.
        world: The world.
        rounds: Total number of rounds.
    """
    start = at = world.round
    calls, shown, most = 0, 0.0, 1
    with suppress(SandboxError):  # the round itself reports the fault
        most = max(1, world.expected_calls(1))

    def on_calls(n: int) -> None:
        nonlocal at, calls, shown, most
        if world.round != at:
            at, calls, most = world.round, 0, max(1, calls)
        calls += n
        now = at - start + min(1.0, calls / most)
        if now > shown:
            show(now - shown, f"round {at + 1} of {rounds}")
            shown = now

    return on_calls


def figures(metrics: Mapping[str, Any], own: Collection[str] = ()) -> str:
    """Return the main metrics of a round as one line; the run folder holds all of them."""
    shown = []
    for name, value in metrics.items():
        draft = metrics.get(f"{name}_draft")
        if draft is not None and value is not None:
            shown.append(f"{name} {draft:.2f} -> {value:.2f}")
        elif (name in own or name in ("rating", "consensus", "polarisation")) and value is not None:
            shown.append(f"{name} {value:.2f}")
    if metrics.get("failed"):
        shown.append(f"{metrics['failed']} failed")
    return ", ".join(shown)


def counted(n: int, noun: str) -> str:
    """A number with its noun: ``1 round``, ``1,200 rounds``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def extent(interactions: int, rounds: int) -> str:
    """How long a run is: ``27 interactions in 3 rounds``."""
    return f"{counted(interactions, 'interaction')} in {counted(rounds, 'round')}"


def dollars(most: float) -> str:
    """An upper limit in US dollars, rounded up to cents."""
    return f"${math.ceil(round(most * 100, 6)) / 100:,.2f}"
