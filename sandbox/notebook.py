"""How objects look: one line on a terminal; in notebooks small HTML tables, figures as pictures, and a bar while a world runs.

A class takes its line and its table by inheriting from one of these. Texts of models are escaped. Knows no other module.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from html import escape
from typing import Any

Rows = Iterable[tuple[str, Any]]
# Longer texts are cut; the object holds all of it.
_CHARACTERS = 2_000
_ITEMS = 12
_HEADER = "text-align:left;vertical-align:top;overflow-wrap:break-word"
# Unlike break-word, this lets a column be narrower than its longest word.
_CELL = "text-align:left;vertical-align:top;overflow-wrap:anywhere"


class _Table:
    __slots__ = ()

    def _repr_html_(self) -> str:
        title, rows = self._cells()
        lines = "".join(
            f'<tr><th style="{_HEADER}">{_text(name)}</th><td style="{_CELL};white-space:pre-wrap">{_text(value)}</td></tr>'
            for name, value in rows
            if value not in (None, "")
        )
        return f'<table><caption style="text-align:left"><b>{_text(title)}</b></caption>{lines}</table>'

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(self._line().split())}>"

    def _cells(self) -> tuple[str, Rows]:
        raise NotImplementedError

    def _line(self) -> str:
        raise NotImplementedError


class WorldTable(_Table):
    """A world: what it is made of, and the metrics of its last round."""

    __slots__ = ()

    def _cells(self: Any) -> tuple[str, Rows]:
        labels = Counter(agent.label for agent in self.members)
        return "World", [
            ("scenario", self.scenario.name),
            ("agents", f"{len(self.members)} ({_counts(labels)})"),
            ("model", self.lm.uri),
            ("rater", _counts(self.rater_names)),
            ("protocol", self.protocol_name),
            ("seed", self.seed),
            ("rounds", f"{self.round} complete{', ended by the scenario' * self.ended}"),
            ("last round", _counts(self.metrics)),
            ("folder", self.path),
        ]

    def _line(self: Any) -> str:
        if not hasattr(self, "store"):  # not set up yet, as in a debugger
            return "(not set up)"
        labels = Counter(agent.label for agent in self.members)
        return (
            f"{_cut(self.scenario.name)!r}: {_counted(len(self.members), 'agent')} ({_counts(labels)}), {self.protocol_name}, "
            f"model {_cut(self.lm.uri)}, {_counted(self.round, 'complete round')}, in {self.path}"
        )


class RunTable(_Table):
    """A run: what it was made with, and the metrics of its last round."""

    __slots__ = ()

    def _cells(self: Any) -> tuple[str, Rows]:
        about, metrics = self.manifest, self.metrics()
        models = about.get("models", {}).get("agents", {})
        tokens = about.get("tokens", {})
        return "Run", [
            ("scenario", about.get("scenario")),
            ("model", models.get("uri")),
            ("rater", about.get("raters", {}).get("neighbours")),
            ("seed", about.get("seed")),
            ("rounds", f"{len(metrics)} complete{', ended by the scenario' * self.ended}"),
            ("branch of", about.get("from")),
            ("calls", tokens.get("calls")),
            ("last round", _counts(metrics[-1]) if metrics else ""),
            ("notes", "\n".join(about.get("notes", ()))),
            ("folder", self.path),
        ]

    def _line(self: Any) -> str:
        scenario = _cut(str(self.manifest.get("scenario", "a scenario")))
        return f"{str(self.path)!r}: {scenario}, {_counted(self.rounds, 'complete round')}"


class ScenarioTable(_Table):
    """A scenario: what agents are asked, who they are, and what is measured."""

    __slots__ = ()

    def _cells(self: Any) -> tuple[str, Rows]:
        return f"Scenario {self.name}", [
            ("questions", f"{len(self.questions):,}, such as “{self.questions[0]}”" if len(self.questions) else 0),
            ("dimensions", ", ".join(one.name for one in self.rubric.dimensions)),
            ("scale", f"1 to {self.rubric.scale}"),
            ("options", ", ".join(map(str, self.options))),
            ("roles", "\n".join(f"{label}: {role}" for label, role in self.roles.items())),
            ("measures", ", ".join(self.measures)),
        ]

    def _line(self: Any) -> str:
        stages = [one if isinstance(one, str) else getattr(one, "__name__", "a protocol of its own")
                  for one in self.stages or (self.protocol,)]  # fmt: skip
        population = (
            self.population if isinstance(self.population, str) else getattr(self.population, "__name__", "dealt")
        )
        questions = _counted(len(self.questions), "question")
        return f"{_cut(self.name)!r}: {questions}, {', '.join(stages)}, population {_cut(population)}"


class AgentTable(_Table):
    """An agent: its place, its persona and its state."""

    __slots__ = ()

    def _cells(self: Any) -> tuple[str, Rows]:
        place = getattr(self.cell, "coordinate", None)
        return self.name, [
            ("index", self.index),
            ("label", self.label),
            ("model", self.lm.uri),
            ("cell", place),
            ("persona", _lines(self.persona)),
            ("state", _lines(self.state)),
        ]

    def _line(self: Any) -> str:
        if not hasattr(self, "name"):  # not set up yet, as in a debugger
            return "(not set up)"
        state = ", ".join(f"{key} {_cut(_number(value))}" for key, value in list(self.state.items())[:_ITEMS])
        label = f"label {_cut(self.label)!r}"
        return f"{_cut(self.name)!r}: index {self.index}, {label}{', state ' * bool(state)}{state}"


class InteractionTable(_Table):
    """An interaction: what was said in it, with the ratings."""

    __slots__ = ()

    def _cells(self: Any) -> tuple[str, Rows]:
        reviews = [
            (f"agent {f.reviewer + 1} " + ("said" if f.kind == "said" else f"rates it {_number(f.rating.value)}"),
             f.rating.reason or f.rating.raw or "–")
            for f in self.feedback
        ]  # fmt: skip
        return f"Interaction of agent {self.agent + 1} in round {self.round + 1}", [
            ("label", self.label),
            ("question", self.question),
            ("draft", self.draft),
            ("its scores", _scores(self.before)),
            *reviews[:_ITEMS],
            ("more feedback", f"{len(reviews) - _ITEMS} more" if len(reviews) > _ITEMS else ""),
            *((f"agent {h.agent + 1} hears {h.name}", h.text) for h in self.heard[:_ITEMS]),
            ("revision", self.revision),
            ("its scores", _scores(self.after)),
            ("rewards", _counts(self.rewards)),
            ("error", self.error),
        ]

    def _line(self: Any) -> str:
        scores = _scores(self.after) or _scores(self.before)
        parts = [
            f"round={self.round}, agent={self.agent}, label={_cut(self.label)!r}, question={_cut(self.question)!r}"
        ]
        parts += [f"final={_cut(self.final)!r}"] * (self.final is not None)
        parts += [_counted(len(self.feedback), "review")] * bool(self.feedback) + [f"scores {scores}"] * bool(scores)
        parts += [f"error={_cut(self.error)!r}"] * (self.error is not None)
        return ", ".join(parts)


def rounds_with_bar(world: Any, rounds: int) -> Iterator[None]:
    """Count the steps of a world until it has ``rounds`` complete rounds or is stopped; in a notebook, with a bar of tqdm.

    Args:
        world: A :class:`~sandbox.world.World`.
        rounds: Number of complete rounds.
    """
    bar = _bar(max(0, rounds - world.round) * len(world.members)) if world.round < rounds and in_notebook() else None
    tell = world.on_interactions

    def count(ended: Any) -> None:
        tell(ended)
        if bar is not None:
            bar.update(len(ended))

    world.on_interactions = count if bar is not None else tell
    try:
        while world.round < rounds and world.running:
            if bar is not None:
                bar.set_postfix_str(f"round {world.round + 1} of {rounds}")
            yield
    finally:
        world.on_interactions = tell
        if bar is not None:
            bar.total = bar.n  # not every agent is asked in every round
            bar.refresh()
            bar.close()


def in_notebook() -> bool:
    """Whether the program runs in a notebook, and not in a script or on a terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def show_figures() -> None:
    """Let a notebook show figures of matplotlib; by itself it does so once pyplot draws, which no plot of this project uses.

    What the user has chosen (``%matplotlib``) is kept.
    """
    # Solara's server has a shell with a kernel too, but one that displays nothing.
    if not in_notebook() or not hasattr(sys.modules["IPython"].get_ipython(), "display_formatter"):
        return
    from IPython.core.pylabtools import retina_figure
    from matplotlib.figure import Figure

    formatters = sys.modules["IPython"].get_ipython().display_formatter.formatters
    if all(one.for_type(Figure) is None for one in formatters.values()):
        formatters["image/png"].for_type(Figure, partial(retina_figure, base64=True))


def called_from_notebook() -> bool:
    """Whether the program is, or was called by (``!sandbox ...``), the kernel of a notebook.

    A notebook gives commands a pseudo-terminal of 80 columns, and ignores movements of its cursor.
    """
    return "JPY_PARENT_PID" in os.environ  # set by Jupyter for kernels, and so for their children


def _bar(total: int) -> Any:
    """A bar of tqdm; None where it is not installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, desc="simulating", unit=" interactions")


def _text(value: Any) -> str:
    text = str(value)
    more = f" … ({len(text) - _CHARACTERS} more characters)" if len(text) > _CHARACTERS else ""
    return escape(text[:_CHARACTERS] + more)


def _cut(text: Any, limit: int = 60) -> str:
    words = str(text)
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def _counts(values: Mapping[Any, Any]) -> str:
    """Names with their numbers, of those that have one."""
    known = [(name, value) for name, value in values.items() if value is not None]
    return ", ".join(f"{name} {_number(value)}" for name, value in known[:_ITEMS]) + ", …" * (len(known) > _ITEMS)


def _lines(values: Mapping[Any, Any]) -> str:
    return "\n".join(f"{name}: {_number(value)}" for name, value in list(values.items())[:_ITEMS])


def _scores(score: Any) -> str:
    return _counts({name: rating.value for name, rating in score.ratings.items()})
