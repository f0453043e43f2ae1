"""The map on a terminal: what is drawn, on consoles that remember it."""

from __future__ import annotations

import io

import pytest
from by_hand import TEXTS, told
from matplotlib.colors import to_hex
from rich.console import Console

from visualize.drawing.style import rating_colormap, rating_norm
from visualize.terminal import LiveMap

HOMES = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (1, 1)}


def console(width: int = 80, height: int = 24, *, terminal: bool = True) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=terminal, color_system="truecolor" if terminal else None,
        legacy_windows=False,
    )  # fmt: skip


def drawn(shown: LiveMap, where: Console, *, colours: bool = False) -> str:
    """The picture as it stands; without colours it is what the eye reads."""
    plain = Console(
        file=io.StringIO(), width=where.width, height=where.height, force_terminal=colours,
        color_system="truecolor" if colours else None,
    )  # fmt: skip
    plain.print(shown.picture())
    return plain.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_squares_fill_up_as_interactions_end() -> None:
    """Agent 0's revision got 4.4, agent 1's draft 6 and its revision nothing, agent 2's conversation failed."""
    where = console()
    shown = LiveMap(HOMES, dimension="alignment", scale=7, console=where)
    assert [line.rstrip() for line in drawn(shown, where).splitlines()[:2]] == ["····", "····"]
    shown.add([told(1, 0, (2.0, 2.0), (4.4, 2.0)), told(1, 1, (6.0, 2.0), (None, None))])
    shown.add([told(1, 2, error="CallFailed: nothing")])
    lines = drawn(shown, where).splitlines()
    assert [line[:4] for line in lines[:2]] == [" 4 6", "····"]
    assert lines[0].split()[-2:] == ["failed", "1"]


def test_squares_have_the_colours_of_the_pictures() -> None:
    where = console()
    shown = LiveMap({0: (0, 0)}, dimension="alignment", scale=7, console=where)
    shown.add([told(0, 0, (2.0, 2.0), (6.0, 2.0))])
    expected = to_hex(rating_colormap()(rating_norm(7)(6.0)))
    red, green, blue = (int(expected[i : i + 2], 16) for i in (1, 3, 5))
    assert f"48;2;{red};{green};{blue}m" in drawn(shown, where, colours=True)


def test_figures_of_the_last_complete_round_stand_beside() -> None:
    where = console()
    shown = LiveMap(HOMES, dimension="alignment", scale=7, console=where)
    shown.end({"alignment": 4.25, "alignment_draft": 3.5, "rating": 5.0, "consensus": None, "interactions": 4})
    text = drawn(shown, where)
    for words in ("alignment        4.25", "alignment, draft 3.50", "rating           5.00"):
        assert words in text
    assert "consensus" not in text


def test_a_large_society_is_shown_in_blocks_that_fit() -> None:
    """64x64 agents on 80x24 characters: room for 20 squares, so blocks of 4x4, each the mean of its agents."""
    homes = {64 * row + column: (row, column) for row in range(64) for column in range(64)}
    where = console()
    shown = LiveMap(homes, dimension="alignment", scale=7, console=where)
    for agent in range(4):  # all in the first block: 1, 2, 3 and 6, mean 3
        shown.add([told(0, agent, (1.0, 1.0), (float([1, 2, 3, 6][agent]), 1.0))])
    lines = drawn(shown, where).splitlines()
    assert len(lines) <= 24
    assert lines[0].rstrip() == " 3" + "··" * 15


def test_agents_that_move_are_drawn_where_they_went() -> None:
    where = console()
    shown = LiveMap({0: (0, 0), 1: (1, 1)}, dimension="alignment", scale=7, console=where)
    shown.add([told(0, 0, (1.0, 1.0), (5.0, 1.0))])
    shown.end({}, {0: (1, 0)})
    assert [line.rstrip() for line in drawn(shown, where).splitlines()[:2]] == ["", " 5··"]


def test_agents_that_were_removed_are_not_drawn() -> None:
    where = console()
    shown = LiveMap({0: (0, 0), 1: (1, 1)}, dimension="alignment", scale=7, console=where)
    shown.add([told(0, 0, (1.0, 1.0), (5.0, 1.0))])
    shown.end({}, {0: (0, 0), 2: (0, 1)}, removed=[1])
    assert [line.rstrip() for line in drawn(shown, where).splitlines()[:2]] == [" 5··", ""]


@pytest.mark.parametrize("text", TEXTS)
def test_names_are_text_and_no_markup_of_the_terminals(text: str) -> None:
    where = console()
    shown = LiveMap(HOMES, dimension=f"[bold]{TEXTS[text]}", scale=7, console=where)
    shown.end({f"[bold]{TEXTS[text]}": 4.0})
    assert "[bold]" in drawn(shown, where)


def test_without_ratings_squares_are_states_as_digits_and_measures_stand_beside() -> None:
    """Purses of 10, 20 and 40: 20 is a third of the way, so 3 of 9."""
    where = console()
    shown = LiveMap(HOMES, dimension="alignment", scale=7, console=where, measures=["fairness"])
    states = {0: {"said": "hi", "purse": 10}, 1: {"purse": 20}, 2: {"purse": 40}}
    shown.end({"fairness": 0.25}, states=states)
    lines = drawn(shown, where).splitlines()
    assert [line[:4] for line in lines[:2]] == [" 0 3", " 9··"]
    assert "purse, 0 to 9 10 to 40" in lines[0]
    assert "fairness" in lines[1]
    shown.add([told(1, 0, (2.0, 2.0), (4.0, 2.0))])
    assert drawn(shown, where).splitlines()[0][:4] == " 4··"  # ratings, once there are some
