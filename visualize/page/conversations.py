"""Conversations as the report shows them: plain JSON types. Knows no page."""

from __future__ import annotations

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
