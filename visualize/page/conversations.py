"""Conversations as the report shows them: plain JSON types. Knows no page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.records import Interaction, Score
from sandbox.store.call_index import CallIndex
from sandbox.store.run import Run
from visualize.page.calls import show_calls


def show_conversation(it: Interaction, run: Run, names: dict[int, str], index: CallIndex | None) -> dict[str, Any]:
    """What the report shows of an interaction.

    Args:
        it: The interaction.
        run: Its run.
        names: Names of agents by index.
        index: Finds the requests and replies behind it; None to show none.
    """
    return {
        "calls": {} if index is None else show_calls(index.calls_of(it), names),
        "round": it.round,
        "author": names.get(it.agent, f"Agent {it.agent + 1}"),
        "label": it.label,
        "question": it.question,
        "recalled": it.recalled,
        "draft": it.draft,
        "revision": it.revision,
        "feedback": [
            {"who": names.get(f.reviewer, f"Agent {f.reviewer + 1}"), "rating": f.rating.value,
             "said": f.rating.reason or f.rating.raw, "kind": f.kind}
            for f in it.feedback
        ],
        "heard": [
            {"agent": names.get(h.agent, f"Agent {h.agent + 1}"), "name": h.name, "text": h.text} for h in it.heard
        ],
        "before": _known(it.before, run),
        "after": _known(it.after, run),
    }  # fmt: skip


def _known(score: Score, run: Run) -> dict[str, float | None]:
    """The score in each dimension; empty where an answer was not scored, as in most games."""
    found = {d: score.value(d) for d in run.dimensions}
    return found if any(value is not None for value in found.values()) else {}


def said_in(it: Interaction, names: Mapping[int, str]) -> list[tuple[str, str]]:
    """Who said what in an interaction, in order, as pairs of who or what, and text."""
    found: list[tuple[str, str | None]] = [("answer" if it.revision is None and not it.feedback else "draft", it.draft)]
    for f in it.feedback:
        rating = "–" if f.rating.value is None else f"{f.rating.value:.1f}"
        who = names.get(f.reviewer, f"Agent {f.reviewer + 1}")
        found.append((f"{who} {'said' if f.kind == 'said' else f'rates it {rating}'}", f.rating.reason or f.rating.raw))
    found += [(f"{names.get(h.agent, f'Agent {h.agent + 1}')} hears {h.name}", h.text) for h in it.heard]
    found.append(("revision", it.revision))
    return [(what, text) for what, text in found if text]


def show_scores(it: Interaction, run: Run) -> str:
    """The scores of both answers on one line; empty where neither was scored."""
    sides = [_known(score, run) for score in (it.before, it.after)]
    words = [
        ", ".join(f"{d} {'–' if value is None else f'{value:.2f}'}" for d, value in side.items()) or "–"
        for side in sides
    ]
    return " → ".join(words) if any(sides) else ""
