"""Both futures of a what-if over the rounds, against what their runs measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Scenario, World, what_if
from sandbox.errors import DataFileError
from visualize.plots import what_if as what_if_plot

MakeWorld = Callable[..., World]
NEWS = "The mill has burnt down."


def bank(interactions: list[Any], world: World) -> float:
    """Coins of all."""
    return sum(agent.state["purse"] for agent in world.members)


def give(agent: Any, question: str, world: World) -> Any:
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text, extra={"gift": len(reply.text.split())})


def pay(world: World, interactions: list[Any]) -> None:
    for it in interactions:
        world.members[it.agent].state["purse"] -= it.extra["gift"]


def game() -> Scenario:
    return Scenario(
        name="game", questions=["What do you give?"], protocol=give, settle=pay, state={"purse": 100.0},
        measures={"bank": bank},
    )  # fmt: skip


def test_each_difference_says_which_rounds_it_describes(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """And the picture has both futures over all rounds: the same before the event."""
    tiny_world(game(), size=2, out=tmp_path / "game").run(2)
    given: dict[str, Any] = {"scenario": game(), "rounds": 4, "model": "scripted:"}
    for seed in (1, 2):
        found = what_if(f"{tmp_path / 'game'}@1", NEWS, to=0, out=tmp_path / "two" / str(seed), seed=seed, **given)
    assert {row["when"] for row in (*found.measures.values(), *found.extra.values())} == {"mean of rounds 2 to 4"}
    assert {row["when"] for row in found.states.values()} == {"after round 4"}
    one = what_if_plot.data(tmp_path / "two" / "2")
    bank_with = one[(one["measure"] == "bank") & (one["future"] == "with")]
    assert bank_with["mean"].tolist() == [metrics["bank"] for metrics in found.runs[1].metrics()]
    both = what_if_plot.data(tmp_path / "two").set_index(["measure", "round", "future"])
    assert both.loc[("bank", 0, "with"), ["low", "high"]].tolist() == [both.loc[("bank", 0, "without"), "mean"]] * 2
    assert (both["n"] == 2).all()
    assert both.loc[("state.purse", 3, "with"), "mean"] * 4 == pytest.approx(both.loc[("bank", 3, "with"), "mean"])
    figure = what_if_plot.draw(tmp_path / "two")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["bank", "state.purse"]
    assert figure.get_suptitle() == "The mill has burnt down. (before round 2, 2 seeds)"
    what_if(f"{tmp_path / 'game'}@2", "Rain.", out=tmp_path / "two" / "rain", **given)
    with pytest.raises(DataFileError, match="what-ifs of 2 different events or rounds"):
        what_if_plot.draw(tmp_path / "two")


def level(interactions: list[Any], world: World) -> float:
    """Mean purse."""
    return sum(agent.state["purse"] for agent in world.members) / len(world.members)


def test_a_state_that_a_measure_shows_is_drawn_once(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """And numbers of states that name agents are no quantities: neither drawn nor compared."""

    def scenario() -> Scenario:
        state = {"purse": 100.0, "partner": 2}
        return Scenario(
            name="game",
            questions=["?"],
            protocol=give,
            settle=pay,
            state=state,
            measures={"level": level, "bank": bank},
        )

    tiny_world(scenario(), size=2, out=tmp_path / "game").run(1)
    given: dict[str, Any] = {"scenario": scenario(), "rounds": 2, "model": "scripted:"}
    found = what_if(f"{tmp_path / 'game'}@1", NEWS, to=0, out=tmp_path / "two", **given)
    table = what_if_plot.data(tmp_path / "two")
    assert set(table["measure"]) == {"level", "bank"}
    assert not table.duplicated(["measure", "round", "future"]).any()
    assert (set(found.states), set(found.extra)) == ({"purse"}, {"gift"})
