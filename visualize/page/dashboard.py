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
from visualize.drawing.style import LABEL_STYLES
from visualize.page.data import REVIEWS, PageData
from visualize.page.panels import curve_panels
from visualize.page.serving import what_to_show

_TEMPLATES = Path(__file__).parents[1] / "templates"
# What is chosen on the left is read on the right, without scrolling the page; on narrow screens below.
_LAYOUT = """
.dashboard { display: grid; grid-template-columns: minmax(0, 1fr) minmax(20rem, 27rem); gap: 1.2rem; padding: .6rem 1rem; }
.dashboard.compared { grid-template-columns: minmax(0, 1fr) minmax(26rem, 1fr); }
.dashboard .right { position: sticky; top: .6rem; max-height: calc(100vh - 1.2rem); overflow-y: auto; align-self: start; }
.dashboard .filters { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0 1rem; align-items: end; }
.dashboard .filters { margin-bottom: .5rem; }
.dashboard .filters .v-text-field__details { display: none; } .dashboard .filters .v-input__slot { margin-bottom: 0; }
@media (max-width: 60rem) {
  .dashboard, .dashboard.compared { grid-template-columns: minmax(0, 1fr); }
  .dashboard .right { position: static; max-height: none; }
  .dashboard .filters { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
"""


@solara.component_vue(str(_TEMPLATES / "society.vue"))
def Society(
    round: int, on_round: Callable[[int], None], rounds: int, labels: list[str], colours: list[str], by: str,
    shape: list[int], links: list[list[float]], direction: str, hubs: list[int], rooms: list[float],
    agents: list[dict[str, Any]], reviews: list[dict[str, Any]], has_graph: bool, matrix: dict[str, Any] | None,
    graph_title: str, chosen: int | None, chosen_review: list[int] | None, bar: dict[str, Any] | None,
    review_bar: dict[str, Any],
    event_pick: Callable[[dict[str, Any]], None], event_pick_review: Callable[[dict[str, int]], None],
    event_look_again: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """The map and the graph, or the matrix of a large society, drawn and clicked in the browser."""


@solara.component_vue(str(_TEMPLATES / "conversations.vue"))
def Conversations(
    title: str, note: str, memories: list[dict[str, str]], items: list[dict[str, Any]], can_close: bool,
    calls: dict[str, Any], event_inspect: Callable[[dict[str, int]], None], event_close: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """Conversations, and the calls of one of them; texts are not interpreted as HTML."""


@solara.component_vue(str(_TEMPLATES / "curves.vue"))
def Curves(
    panels: list[dict[str, Any]], round: int, rounds: int, event_to_round: Callable[[dict[str, int]], None]
) -> None:
    """Measures over the rounds; a click shows a round."""


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
    by, set_by = solara.use_state(solara.use_memo(lambda: data.colours.default(data.has_ratings), []))
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

    def pick(event: dict[str, Any]) -> None:
        set_review(None)
        set_chosen(event["agent"])

    def pick_review(event: dict[str, int]) -> None:
        set_chosen(None)
        set_review([event["reviewer"], event["author"]])

    low, high = None if span[0] <= 1.0 else span[0], None if span[1] >= data.scale else span[1]
    found = solara.use_memo(
        lambda: data.filter_agents(round_, labels, low, high, text), [round_, labels, low, high, text, grown]
    )
    agents = solara.use_memo(lambda: data.agents(round_, by, found), [round_, by, found, grown])
    all_fit = solara.use_memo(lambda: data.reviews(round_)[1] <= REVIEWS, [round_, grown])
    about = None if all_fit else chosen  # if all reviews are drawn, a click changes nothing
    reviews, n_reviews = solara.use_memo(lambda: data.reviews(round_, about), [round_, about, grown])
    has_graph = solara.use_memo(data.has_reviews, [rounds, grown])
    matrix = solara.use_memo(lambda: data.matrix(round_), [round_, grown])
    panels = solara.use_memo(lambda: curve_panels(data.run), [rounds])

    solara.Style(_LAYOUT)
    with solara.Div(classes=["dashboard", *(["compared"] if data.other is not None else [])]):
        with solara.Div(classes=["left"]):
            title = data.run.name if data.other is None else f"{data.run.name} against {data.other.name}"
            solara.Text(title, style={"font-size": "1.3rem", "font-weight": "600"})
            if shown.get("event"):
                solara.Text(f"what if: {shown['event']}")
            with solara.Div(classes=["filters"]):
                solara.Select("colour by", data.colours.known(), value=by, on_value=set_by)
                if len(data.labels) > 1:
                    solara.SelectMultiple("labels", labels, data.labels, on_value=set_labels)
                solara.InputText("text", value=text, on_value=set_text, continuous_update=True)
                if data.has_ratings:
                    solara.SliderRangeFloat(
                        "rating", value=span, min=1.0, max=float(data.scale), step=0.1, on_value=set_span
                    )
            Society(
                round=round_, on_round=set_round, rounds=rounds, labels=data.labels,
                colours=[style.colour for style in LABEL_STYLES], by=by, shape=_shape(agents, data),
                links=data.links(), direction=data.direction(), hubs=data.hubs(), rooms=data.rooms(), agents=agents,
                reviews=reviews, has_graph=has_graph, matrix=matrix, graph_title=_graph_title(reviews, n_reviews),
                chosen=chosen, chosen_review=review, bar=data.colours.bar(by), review_bar=data.colours.review_bar(),
                event_pick=pick, event_pick_review=pick_review, event_look_again=look_again,
            )  # fmt: skip
            Curves(panels=panels, round=round_, rounds=rounds, event_to_round=lambda event: set_round(event["round"]))
        with solara.Div(classes=["right"]):
            _Details(data, round_, chosen, review, found, (low, high, text), lambda: pick({"agent": None}))


@solara.component
def _Details(
    data: PageData, round_: int, chosen: int | None, review: list[int] | None, found: set[int] | None,
    wanted: tuple[float | None, float | None, str], on_close: Callable[[], None],
) -> None:  # fmt: skip
    """The conversations of the chosen agent, of the chosen edge, or of the filter."""
    inspected, set_inspected = solara.use_state(None)
    calls = solara.use_memo(lambda: _calls(data, inspected), [inspected])
    differing, n_differing = solara.use_memo(lambda: data.differing(round_), [round_, data.rounds])

    def show(title: str, note: str, items: list[dict[str, Any]], memories: list[dict[str, str]] | None = None) -> None:
        Conversations(
            title=title, note=note, memories=memories or [], items=items, can_close=chosen is not None or review is not None,
            calls=calls, event_inspect=lambda event: set_inspected((event["round"], event["agent"], event["run"])),
            event_close=lambda _: on_close(),
        )  # fmt: skip

    if chosen is not None:
        about, items = data.about(chosen), data.conversations(chosen, *wanted)
        items.sort(key=lambda one: one["round"] != round_)  # that of the round on the map first, then the latest
        note = f"{about['label']}{'; ' * bool(about['label'])}{_count(items, wanted)}" + (
            f"; model {about['model']}" * bool(about["model"])
        )
        show(about["name"], note, items, about["memories"])
    elif review is not None:
        items = data.reviews_between(review[0], review[1], *wanted)
        names = [data.about(agent)["name"] for agent in review]
        show(f"{names[0]} on {names[1]}", _count(items, wanted, "review"), items)
    elif found is not None:
        items = data.conversations_of(round_, found)
        note = f"{_number(len(found), 'conversation')} of round {round_ + 1} match{'es' * (len(found) == 1)}" + (
            f"; the first {len(items)}" * (len(items) < len(found))
        )
        show("Matches", note, items)
    elif data.other is not None:
        n = len(data.round(round_))
        note = f"{n_differing} of {n} conversations of round {round_ + 1} differ" + (
            f"; the first {len(differing)}" * (len(differing) < n_differing)
        )
        show(f"{data.run.name} against {data.other.name}", note, differing)
    else:
        solara.Text(
            "Click an agent for its memory and conversations, or an arrow for the reviews along it. “prompt” beside an answer "
            "or a rating shows the request and the reply behind it. A click on nothing, or Escape, closes."
        )


def _calls(data: PageData, inspected: tuple[int, int, str] | None) -> dict[str, Any]:
    """The calls of the inspected conversation, by part."""
    if inspected is None:
        return {"of": "", "parts": {}}
    return {"of": "-".join(map(str, inspected)), "parts": data.calls(*inspected)}


def _count(
    items: list[dict[str, Any]], wanted: tuple[float | None, float | None, str], what: str = "conversation"
) -> str:
    is_filtered = bool(wanted[2].strip()) or wanted[:2] != (None, None)
    return f"{_number(len(items), what)}{', as filtered' * is_filtered}"


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _graph_title(drawn: list[dict[str, Any]], n: int) -> str:
    if not n:
        return "who spoke to whom: nobody in this round"
    is_rated = any(one["text"] != "said" for one in drawn)
    cut = f" ({len(drawn):,} of {n:,}, at random)" if len(drawn) < n else ""
    return ("who reviewed whom" if is_rated else "who spoke to whom") + cut


def _shape(agents: list[dict[str, Any]], data: PageData) -> list[int]:
    """Rows and columns of the map."""
    occupied = [max((agent[axis] for agent in agents), default=0) + 1 for axis in ("row", "column")]
    return [max(sides) for sides in zip(occupied, data.shape, strict=True)]
