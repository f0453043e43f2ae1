"""The texts of conversations as the report holds them to be searched: all of a run if they fit, else an even part of them.

They are compressed, so that thousands take as much room as a few pictures; browsers decompress them at the first search. Knows
no page.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.records import Interaction
from sandbox.store.run import Run
from visualize.page.conversations import said_in, show_scores

# Length of a text, in characters; and number of conversations that are compressed to see how many fit.
_TEXT, _TRIED = 4_000, 200


def pack_conversations(
    held: Sequence[Interaction], run: Run, names: Mapping[int, str], *, room: int, has_labels: bool = True
) -> dict[str, Any]:
    """Pack conversations.

    Args:
        held: The conversations, none of which failed.
        run: Their run.
        names: Names of agents by index.
        room: Maximum size of the result, in bytes.
        has_labels: Whether labels of agents are shown.

    Returns:
        ``n`` (number of conversations in it) and ``data``: in base64, as gzip, the JSON of a list. Each conversation is its
        question, agent, label (empty if not shown), round (from 1), scores (as text) and pairs of who or what, and text.
    """

    def pack(some: Sequence[Interaction]) -> str:
        told = [
            [_cut(it.question), names.get(it.agent, f"Agent {it.agent + 1}"), it.label if has_labels else "", it.round + 1,
             show_scores(it, run), [[what, _cut(text)] for what, text in said_in(it, names)]]
            for it in some
        ]  # fmt: skip
        content = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
        return base64.b64encode(gzip.compress(content, mtime=0)).decode()

    n = len(held)
    if n > _TRIED:
        n = min(n, int(1.1 * room / len(pack(pick_evenly(held, _TRIED))) * _TRIED))
    data = pack(pick_evenly(held, n))
    while len(data) > room and n:
        n = min(n - 1, int(0.95 * n * room / len(data)))
        data = pack(pick_evenly(held, n))
    return {"n": n, "data": data}


def pick_evenly(all_of: Sequence[Any], n: int) -> list[Any]:
    """Up to ``n`` items, evenly over a sequence and in its order."""
    return list(all_of) if len(all_of) <= n else [all_of[i * len(all_of) // n] for i in range(n)]


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]} … ({len(text) - _TEXT} more characters are in the record)"
