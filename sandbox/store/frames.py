"""The table of a run's interactions."""

from __future__ import annotations

import json
import operator
import sqlite3
from typing import TYPE_CHECKING, Any

from sandbox.storage_errors import read_as_written
from sandbox.store.rewards import reward_columns

if TYPE_CHECKING:
    import pandas as pd

    from sandbox.store.run import Run


def extra_frame(db: sqlite3.Connection) -> pd.DataFrame:
    """``Interaction.extra`` of all interactions: columns round, agent and ``extra.KEY``, as :meth:`Run.frame` has them."""
    import pandas as pd

    keys, found = [], []
    for r, a, extra in db.execute("SELECT round, agent, extra FROM interactions ORDER BY round, agent"):
        with read_as_written(f"the interaction of agent {a} in round {r}"):
            keys.append((operator.index(r), operator.index(a)))
            found.append(dict(json.loads(extra)) if extra not in (None, "{}") else {})
    frame = pd.DataFrame(keys, columns=["round", "agent"])
    return pd.concat([frame, pd.json_normalize(found).add_prefix("extra.")], axis=1) if any(found) else frame


def interactions_frame(run: Run, *, extra: bool = False) -> pd.DataFrame:
    """One row per interaction; see :meth:`sandbox.store.run.Run.frame`."""
    import pandas as pd

    rows, interactions = [], run.interactions()
    for it in interactions:
        given = [f.rating.value for f in it.feedback if f.rating.value is not None]
        row: dict[str, Any] = {
            "round": it.round,
            "agent": it.agent,
            "label": it.label,
            "question": it.question,
            "draft": it.draft,
            "revision": it.revision,
            "rating": sum(given) / len(given) if given else None,
            "n_ratings": len(given),
            "error": it.error,
        }
        for dimension in run.dimensions:
            row[f"{dimension}_before"] = it.before.value(dimension)
            row[f"{dimension}_after"] = it.after.value(dimension)
        rows.append(row)
    numbers = ["rating", *(f"{d}_{when}" for d in run.dimensions for when in ("before", "after"))]
    columns = [
        "round", "agent", "label", "question", "draft", "revision", "rating", "n_ratings", "error", *numbers[1:]
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))
    for name, values in reward_columns(interactions, run.rewards).items():
        frame[name] = pd.Series(values, dtype="float64")
    if not extra:
        return frame
    own = pd.json_normalize([dict(it.extra) for it in interactions]).add_prefix("extra.")
    return pd.concat([frame, own], axis=1)
