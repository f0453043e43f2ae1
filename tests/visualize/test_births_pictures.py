"""Pictures, reports and exports of a run in which agents are added and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox import Scenario, World, open_run, registry
from sandbox.preview.dry_run import forecast
from sandbox.store.export import export_run
from sandbox.store.run import write_measures
from visualize.animation import frames
from visualize.page.data import PageData
from visualize.plots import grid
from visualize.report import write_report


def turn_over(world):
    """The first agent leaves after each round; one with the same state comes after the second, and all go in the fifth."""
    for agent in world.members[:1]:
        agent.remove()
    if world.round == 1:
        world.add(label="good", state={"wealth": 9})
    if world.round == 4:
        for agent in list(world.members):
            agent.remove()


def society(**more: Any) -> Scenario:
    given = {"agents": 8, "reviewers": 2, **more}
    return Scenario(
        name="turnover", questions=["What is fair?"], state={"wealth": 1}, after_round=turn_over, society=given,
        measures={"n": lambda its, world: len(world.members)},
    )  # fmt: skip


@pytest.fixture(scope="module", params=["moore", "small_world"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("turnover") / request.param
    more = {"capacity": 2} if request.param == "small_world" else {}
    scenario = society(neighborhood=request.param, **more)
    world = World(scenario, model="scripted:", embedder="hashing", size=3, out=out)
    world.run(6)
    world.close()
    write_measures(open_run(out))
    return out


def test_the_map_shows_those_who_live(run: Path) -> None:
    """Agents 0 to 7 begin; before round 2 agents 0 and 1 have left and 8 has come."""
    table = grid.data(run, rounds=3)
    assert list(table["agent"]) == [2, 3, 4, 5, 6, 7, 8]
    assert list(table["state.wealth"].dropna()) == [1, 1, 1, 1, 1, 9]
    assert [len(panel) for _, panel in grid.data(run, rounds="strip").groupby("panel", sort=False)] == [8, 7, 7, 6, 5]
    page = PageData(open_run(run))
    assert [one["agent"] for one in page.agents(2)] == [2, 3, 4, 5, 6, 7, 8]
    assert page.agents(5) == []
    assert len(list(frames(open_run(run)))) == 5


def test_every_picture_and_the_report_are_drawn(run: Path, tmp_path: Path) -> None:
    for name in ("grid", "social_graph", "ratings", "pareto", "consensus", "measures"):
        assert registry.load("plots", name)(run).axes, name
    assert write_report(run).stat().st_size > 10_000
    assert export_run(run, "jsonl", tmp_path / "run.jsonl").is_file()
    assert export_run(run, "graphml", tmp_path / "run.graphml").is_file()


def test_forecasts_count_the_agents_of_each_round(tmp_path: Path) -> None:
    """8, 7 and 7 agents in three rounds; of a run that is resumed after two, those of the third."""
    given = {"model": "scripted:", "embedder": "hashing", "size": 3}
    assert forecast(society(), rounds=3, **given).interactions == 22
    world = World(society(), out=tmp_path / "run", **given)
    world.run(2)
    world.close()
    assert forecast(society(), rounds=3, out=tmp_path / "run", resume=True, **given).interactions == 7
