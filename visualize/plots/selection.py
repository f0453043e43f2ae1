"""Which plots of a run have something to show: a scenario without ratings has no picture of ratings."""

from __future__ import annotations

from sandbox import Run
from visualize.drawing.agent_values import shown_labels
from visualize.drawing.scenario_values import own_values

_UNRATED = "no answer was rated"
_NO_NUMBER = f"{_UNRATED}, and neither states nor extra have numbers or words to show"


def left_out(chosen: dict[str, str]) -> str:
    """The plots that would be empty, by reason, as in ``ratings, pareto (no answer was rated)``; empty if there are none.

    Args:
        chosen: Of :func:`select_plots`.
    """
    names: dict[str, list[str]] = {}
    for name, reason in chosen.items():
        if reason:
            names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(those)} ({reason})" for reason, those in names.items())


def select_plots(run: Run) -> dict[str, str]:
    """The built-in plots of a run, in the order in which they are drawn.

    Args:
        run: The run.

    Returns:
        For each plot why it would be empty; "" if it would not. None is held empty before the first interaction.
    """
    frame = run.frame()
    scores = [f"{name}_{when}" for name in run.dimensions for when in ("before", "after")]
    is_rated = frame.empty or bool(frame[scores].notna().any(axis=None))
    is_reviewed = frame.empty or run.social_graph().number_of_edges() > 0
    is_judged = frame.empty or bool(frame["rating"].notna().any())
    has_map = is_rated or bool(own_values(run)) or shown_labels(run, run.agents()["label"]).nunique() > 1
    found = {"measures": ""} if run.own_measures else {}
    return {
        **found,
        "grid": "" if has_map or run.network() is not None else _NO_NUMBER,
        "social_graph": "" if is_reviewed else "no answer was reviewed",
        "ratings": "" if is_rated else _UNRATED,
        "pareto": "" if is_rated else _UNRATED,
        "consensus": "" if is_judged or is_rated else _UNRATED,
        "memory": "",
    }
