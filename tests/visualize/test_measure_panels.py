"""Measures with unit, limits and panel: how they are checked, recorded and drawn, without their scenario."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Measure, Scenario, World, open_run
from sandbox.errors import ScenarioError
from visualize.plots import measures
from visualize.report import write_report


def purse(interactions: list[Any], world: Any) -> float:
    """Coins of all agents."""
    return 10.0 + world.round


def debt(interactions: list[Any], world: Any) -> float:
    """Coins owed."""
    return 25.0


def made(**given: Any) -> Scenario:
    return Scenario(name="mine", questions=["May I?"], measures=given)


@pytest.fixture
def kept(tiny_world: Callable[..., World], tmp_path: Path) -> Path:
    money = {"unit": "coins", "limits": (0, 20), "panel": "money"}
    world = tiny_world(
        made(purse=Measure(purse, **money), debt=Measure(debt, **money), plain=purse), size=2, rater="lm"
    )
    world.run(2)
    return tmp_path / "run"


def test_they_are_recorded_and_share_an_axis(kept: Path) -> None:
    """The axis goes to 25, for a value beyond the limits is drawn all the same; 3% of it is free at either end."""
    run = open_run(kept)
    assert run.own_measures["purse"] == "Coins of all agents."
    assert run.measure_axes["debt"] == {"unit": "coins", "limits": [0, 20], "panel": "money"}
    assert "plain" not in run.measure_axes
    money, plain = measures.draw(run).axes
    assert (money.get_title(loc="left"), money.get_ylabel()) == ("money", "coins")
    assert money.get_ylim() == pytest.approx((-0.75, 25.75))
    assert [text.get_text() for text in money.get_legend().get_texts()] == ["purse", "debt"]
    assert (plain.get_title(loc="left"), plain.get_ylabel()) == ("plain", "Coins of all agents")
    table = measures.data(run)
    assert set(table["panel"]) == {"money", "plain"}
    assert set(table[table["panel"] == "money"]["unit"]) == {"coins"}


def test_the_report_has_their_values_and_units(kept: Path) -> None:
    page = write_report(kept).read_text(encoding="utf-8")
    assert "<th>purse (coins)</th><th>debt (coins)</th><th>plain</th>" in page
    assert "purse: Coins of all agents; debt: Coins owed" in page


def test_a_plain_function_is_a_measure_without_them() -> None:
    assert Measure(purse).axis == {}
    assert Measure(purse, limits=(0, None)).axis == {"limits": [0, None]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"one": Measure(purse, limits=(2, 1))}, r"measures\['one'\]: limits=\(2, 1\) must be \(lowest, highest\)"),
        ({"one": Measure(purse, limits=3)}, r"limits=3 must be"),  # type: ignore[arg-type]
        ({"one": Measure(purse, unit=3)}, r"unit=3 must be text"),  # type: ignore[arg-type]
        ({"one": Measure("purse")}, r"or Measure\(function\), found 'purse'"),  # type: ignore[arg-type]
        (
            {"one": Measure(purse, "coins", panel="p"), "two": Measure(debt, "tons", panel="p")},
            r"measures\['two'\]: shares panel 'p' with 'one', but has the unit 'tons' and not 'coins'",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        made(**given)
