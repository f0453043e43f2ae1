"""The dashboard of a run: its map and its social graph, round by round, and every message.

A Solara page that reads run folders. Solara finds a page by the name of its module, so that its arguments are passed
in the environment variable ``SANDBOX_SHOW``, which :func:`visualize.page.serving.serve` sets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import solara

from sandbox.store.run import open_run
from visualize.drawing.style import LABEL_STYLES, rating_colormap
from visualize.page.data import BY, REVIEWS, PageData
from visualize.page.serving import what_to_show

_TEMPLATES = Path(__file__).parents[1] / "templates"


@solara.component_vue(str(_TEMPLATES / "society.vue"))
def Society(
    round: int, on_round: Callable[[int], None], rounds: int, labels: list[str], colours: list[str], by: str,
    shape: list[int], agents: list[dict[str, Any]], reviews: list[dict[str, Any]], hidden: int, chosen: int | None,
    chosen_review: list[int] | None, gradient: str, ends: list[str], event_pick: Callable[[dict[str, int]], None],
    event_pick_review: Callable[[dict[str, int]], None], event_look_again: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """The map and the graph, drawn and clicked in the browser."""


@solara.component_vue(str(_TEMPLATES / "conversations.vue"))
def Conversations(title: str, note: str, memories: list[dict[str, str]], items: list[dict[str, Any]]) -> None:
    """Conversations; texts are not interpreted as HTML."""


@solara.component
def Page() -> None:
    """The whole page."""
    shown = what_to_show()

    def read() -> PageData:
        return PageData(open_run(shown["run"]), open_run(shown["against"]) if shown.get("against") else None)

    data: PageData = solara.use_memo(read, [])
    rounds, set_rounds = solara.use_state(data.rounds)
    round_, set_round = solara.use_state(data.rounds - 1)
    grown, set_grown = solara.use_state(0)
    chosen, set_chosen = solara.use_state(None)
    review, set_review = solara.use_state(None)
    by, set_by = solara.use_state("rating")
    labels, set_labels = solara.use_state([])
    span, set_span = solara.use_state((1.0, float(data.scale)))
    text, set_text = solara.use_state("")

    def look_again(_: dict[str, Any]) -> None:
        """Follow a running run: show its newest round, if the newest was shown."""
        if data.rounds > rounds:
            if round_ == rounds - 1:
                set_round(data.rounds - 1)
            set_rounds(data.rounds)
        elif not data.run.rounds:
            set_grown(len(data.round(0)))

    def pick(event: dict[str, int]) -> None:
        set_review(None)
        set_chosen(event["agent"])

    def pick_review(event: dict[str, int]) -> None:
        set_chosen(None)
        set_review([event["reviewer"], event["author"]])

    whole = (span[0] <= 1.0, span[1] >= data.scale)
    low, high = None if whole[0] else span[0], None if whole[1] else span[1]
    found = solara.use_memo(
        lambda: data.filter_agents(round_, labels, low, high, text), [round_, labels, low, high, text, grown]
    )
    agents = solara.use_memo(lambda: data.agents(round_, by, found), [round_, by, found, grown])
    all_fit = solara.use_memo(lambda: data.reviews(round_)[1] <= REVIEWS, [round_, grown])
    about = None if all_fit else chosen  # if all reviews are drawn, a click changes nothing
    reviews, n_reviews = solara.use_memo(lambda: data.reviews(round_, about), [round_, about, grown])

    with solara.Column(style={"padding": "1rem"}):
        title = data.run.name if data.other is None else f"{data.run.name} against {data.other.name}"
        solara.Text(title, style={"font-size": "1.3rem", "font-weight": "600"})
        Society(
            round=round_, on_round=set_round, rounds=rounds, labels=data.labels,
            colours=[style.colour for style in LABEL_STYLES], by=by, shape=_shape(agents, data), agents=agents,
            reviews=reviews,
            hidden=n_reviews - len(reviews), chosen=chosen, chosen_review=review, gradient=_gradient(),
            ends=_ends(by, data.scale), event_pick=pick, event_pick_review=pick_review, event_look_again=look_again,
        )  # fmt: skip
        with solara.Row(style={"flex-wrap": "wrap", "align-items": "center"}):
            known = BY if data.other is not None else BY[:-1]
            solara.Select("colour by", list(known), value=by, on_value=set_by)
            solara.SelectMultiple("labels", labels, data.labels, on_value=set_labels)
            solara.InputText("text", value=text, on_value=set_text, continuous_update=True)
            solara.SliderRangeFloat("rating", value=span, min=1.0, max=float(data.scale), step=0.1, on_value=set_span)
        _details(data, round_, chosen, review, found)


def _details(data: PageData, round_: int, chosen: int | None, review: list[int] | None, found: set[int] | None) -> None:
    """The conversations of the chosen agent, of the chosen edge, or of the filter."""
    if chosen is not None:
        about, items = data.about(chosen), data.conversations(chosen)
        note = f"{about['label']}; {len(items)} conversations" + (f"; model {about['model']}" * bool(about["model"]))
        Conversations(title=about["name"], note=note, memories=about["memories"], items=items)
    elif review is not None:
        items = data.reviews_between(*review)
        names = [data.about(agent)["name"] for agent in review]
        Conversations(title=f"{names[0]} on {names[1]}", note=f"{len(items)} reviews", memories=[], items=items)
    elif found is not None:
        items = data.conversations_of(round_, found)
        note = f"{len(found)} conversations of round {round_ + 1} match" + (
            f"; the first {len(items)}" * (len(items) < len(found))
        )
        Conversations(title="Matches", note=note, memories=[], items=items)
    else:
        solara.Text("Click an agent for its memory and conversations, or an arrow for the reviews along it.")


def _shape(agents: list[dict[str, Any]], data: PageData) -> list[int]:
    """Rows and columns of the map."""
    occupied = [max((agent[axis] for agent in agents), default=0) + 1 for axis in ("row", "column")]
    return [max(sides) for sides in zip(occupied, data.shape, strict=True)]


def _gradient() -> str:
    from matplotlib.colors import to_hex

    return f"linear-gradient(to right, {', '.join(to_hex(rating_colormap()(i / 8)) for i in range(9))})"


def _ends(by: str, scale: int) -> list[str]:
    reach = (scale - 1) / 2
    return ["1", str(scale)] if by in ("rating", "label") else [f"{-reach:+.0f}", f"{reach:+.0f}"]
