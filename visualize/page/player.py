"""The map, the graph and what was said, round by round, as data that the report draws and steps through. Knows no page."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from sandbox.store.run import Run
from visualize.drawing.agent_values import find_by, values_title
from visualize.drawing.graph_layout import GRAPH_AGENTS, nearest_distance
from visualize.drawing.network import drawn_network, network_side, network_spacing
from visualize.drawing.style import LABEL_STYLES
from visualize.page.data import PageData
from visualize.page.marks import mark_outline
from visualize.page.player_rounds import graph_places, reviews_by_round, said_by_round

# Of more agents there is no player, but a picture; of more agents times rounds, rounds are left out evenly.
PLAYER_AGENTS, _CELLS = 2_500, 150_000
# Maps of more squares on a side show no numbers, or no marks of labels; networks of more agents show no marks.
_NUMBERED, _MARKED, _MARKED_NODES = 12, 20, 400
_NO_VALUE, _ABSENT = -1, -2


def map_frames(run: Run, by: str) -> dict[str, Any] | None:
    """The map, the reviews and the conversations of each complete round.

    Args:
        run: The run.
        by: What colours agents.

    Returns:
        ``title``, ``bar`` (see :meth:`~visualize.page.colours.AgentColours.bar`), ``labels`` (name and colour, where these
        are shown), ``marks`` (name and outline of each label, where these are marked), ``kinds`` (label of each agent, then),
        ``width`` and ``height`` (in squares), ``is_network``, ``radius`` (of its nodes, in squares), ``links`` (ends),
        ``direction`` (what their arrows mean, or ""), ``agents`` (``name``), ``palette`` and ``frames``: of each its ``round``
        (from 1), and of each agent ``colours`` (index in the palette; -1 without a value, -2 where it does not live),
        ``texts`` and ``places`` (x and y, in squares). Then ``said``, see
        :func:`~visualize.page.player_rounds.said_by_round`, and ``graph``, None without reviews or of a large society: ``bar``
        (None where none has a rating), ``radius``, ``places`` (of agents) and ``reviews``, see
        :func:`~visualize.page.player_rounds.reviews_by_round`. None where there are fewer than two rounds or too many agents.
    """
    names = {int(row["agent"]): str(row["name"]) for row in run.agents().to_dict("records")}
    if run.rounds < 2 or len(names) > PLAYER_AGENTS:
        return None
    data, by = PageData(run), find_by(by, run)
    by = (
        by
        if by in data.colours.known() and (by != "rating" or data.has_ratings)
        else data.colours.default(data.has_ratings)
    )
    n_shown = max(2, min(run.rounds, _CELLS // len(names)))
    rounds = sorted({int(r) for r in np.linspace(0, run.rounds - 1, n_shown).round()})
    shown = {r: data.agents(r, by) for r in rounds}
    order, palette = sorted(names), dict[str, int]()
    graph = drawn_network(run)
    homes = Counter((r, a["row"], a["column"]) for r, agents in shown.items() for a in agents)
    parts = 1 if graph is not None else math.ceil(math.sqrt(max(homes.values(), default=1)))
    height, width = (max([s, *(a[axis] + 1 for of in shown.values() for a in of)])
                     for s, axis in zip(data.shape, ("row", "column"), strict=True))  # fmt: skip
    frames = []
    for r, agents in shown.items():
        taken, found = Counter[tuple[int, int]](), {}
        for one in agents:
            home = one["row"], one["column"]
            slot, taken[home] = taken[home], taken[home] + 1
            if graph is None:
                place = [home[1] * parts + slot % parts, home[0] * parts + slot // parts]
            else:
                node = graph.nodes[home[0] * network_side(graph) + home[1]]
                place = [round(10 * (1.2 + node["x"]) + slot, 2), round(10 * (1.2 - node["y"]) + slot, 2)]
            colour = one["colour"] or (LABEL_STYLES[one["kind"] % len(LABEL_STYLES)].colour if by == "label" else None)
            number = _NO_VALUE if colour is None else palette.setdefault(colour, len(palette))
            found[one["agent"]] = number, one["text"], place
        rest = (_ABSENT, "", [0, 0])
        colours, texts, places = zip(*(found.get(agent, rest) for agent in order), strict=True)
        frames.append({"round": r + 1, "colours": colours, "texts": texts, "places": places})
    has_graph = len(names) <= GRAPH_AGENTS  # of more agents, the report has a matrix of groups
    reviews = reviews_by_round(data, rounds, order, palette) if has_graph else []
    sides = (24.0, 24.0) if graph is not None else (width * parts, height * parts)
    has_texts = graph is None and max(sides) <= _NUMBERED and by != "label"
    is_still = all(frame["places"] == frames[0]["places"] for frame in frames)
    for number, frame in enumerate(frames):
        if not has_texts:
            del frame["texts"]
        if is_still and number:
            del frame["places"]
    links = [] if graph is None else [
        [round(10 * (1.2 + s * graph.nodes[n][axis]), 2) for n in ends for axis, s in (("x", 1), ("y", -1))]
        for ends in graph.edges()
    ]  # fmt: skip
    has_marks = len(data.labels) > 1 and (len(order) <= _MARKED_NODES if graph is not None else max(sides) <= _MARKED)
    kinds = {one["agent"]: one["kind"] for agents in shown.values() for one in agents}
    labels = [[name, LABEL_STYLES[i % len(LABEL_STYLES)].colour] for i, name in enumerate(data.labels)]
    return {
        "title": values_title(by, run) if by != "difference" else by,
        "bar": data.colours.bar(by),
        "labels": labels if by == "label" and data.labels != [""] else [],
        "marks": [[name, mark_outline(kind)] for kind, name in enumerate(data.labels)] if has_marks else [],
        "kinds": [kinds[agent] for agent in order] if has_marks else [],
        "width": sides[0],
        "height": sides[1],
        "is_network": graph is not None,
        "radius": 0.0 if graph is None else round(min(0.6, 4.7 * network_spacing(graph)), 2),
        "links": links,
        "direction": data.direction(),
        "agents": [names[agent] for agent in order],
        "palette": list(palette),
        "frames": frames,
        "said": said_by_round(data, rounds, order, names),
        "graph": _graph(data, order, reviews) if any(one["n"] for one in reviews) and has_graph else None,
    }


def _graph(data: PageData, order: list[int], reviews: list[dict[str, Any]]) -> dict[str, Any]:
    has_ratings = any(arrow[2] >= 0 for one in reviews for arrow in one["arrows"])
    places = graph_places(data, order)
    return {
        "bar": data.colours.review_bar() if has_ratings else None,
        "radius": round(min(0.6, 0.47 * nearest_distance([(x, y) for x, y in places])), 2),
        "places": places,
        "reviews": reviews,
    }
