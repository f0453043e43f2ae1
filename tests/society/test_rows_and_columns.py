"""Grids that are not square: by settings, options and scenarios; recorded, resumed, branched and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox import Scenario, World, open_run
from sandbox.cli.main import app
from sandbox.errors import RunExists, ScenarioError, SettingsError
from sandbox.scenario.population import labels
from sandbox.seeding import keyed_rng
from visualize.drawing.map_plan import place_in_cells
from visualize.page.dashboard import _shape
from visualize.page.data import PageData
from visualize.plots import grid

MakeWorld = Callable[..., World]


def say(agent, question, world):
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text)


def scenario(**more: Any) -> Scenario:
    return Scenario(**{"questions": ["Q?"], "protocol": say, **more})


def places(world: World) -> list[tuple[int, int]]:
    return [world.space.position(agent) for agent in world.members]


def test_agents_stand_in_rows_and_columns(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """The radius is half the shorter side, 1: the agent in the corner has the two beside it as neighbours."""
    world = tiny_world(scenario(), size=None, rows=3, columns=5, out=tmp_path / "run")
    assert places(world) == [(row, column) for row in range(3) for column in range(5)]
    assert [other.index for other in world.space.neighbors(world.members[0])] == [1, 5]
    assert (world.size, world.society.rows, world.society.columns) == (5, 3, 5)
    world.run(1)
    world.close()
    again = tiny_world(scenario(), size=None, rows=3, columns=5, out=tmp_path / "run", resume=True)
    assert places(again) == places(world)
    again.close()
    branch = tiny_world(scenario(), size=None, rows=3, columns=5, out=tmp_path / "next", branch=f"{tmp_path / 'run'}@1")
    assert places(branch) == places(world)
    with pytest.raises(
        SettingsError,
        match="branch from it with the same, not 15 on 5x3 cells: add --rows 3 --columns 5",
    ):
        tiny_world(scenario(), size=None, rows=5, columns=3, out=tmp_path / "other", branch=f"{tmp_path / 'run'}@1")
    with pytest.raises(RunExists, match="columns"):
        tiny_world(scenario(), size=None, rows=5, columns=3, out=tmp_path / "run", resume=True)


def test_the_map_has_rows_and_columns(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Also where the last column is empty."""
    world = tiny_world(scenario(), size=None, rows=2, columns=5, agents=4, out=tmp_path / "run")
    world.run(1)
    run = open_run(tmp_path / "run")
    _, shape, _ = place_in_cells(grid.data(run), run)
    assert shape == (2, 5)
    assert grid.draw(run).axes[0].get_xlim() == (-0.5, 4.5)
    page = PageData(run)
    assert _shape(page.agents(0), page) == [2, 5]
    asked = run.survey([{"question": "Q?", "options": "yes|no"}], scenario=scenario())
    assert len(asked) == 4


def test_a_square_is_the_same_however_it_is_asked_for(tiny_world: MakeWorld, tmp_path: Path) -> None:
    tiny_world(scenario(), size=None, rows=2, columns=2, out=tmp_path / "run").close()
    world = tiny_world(scenario(), size=2, out=tmp_path / "run", resume=True)
    assert (world.size, world.society.rows) == (2, None)


def test_the_scenario_gives_a_grid_that_the_run_may_replace(tiny_world: MakeWorld, tmp_path: Path) -> None:
    sizes = [
        (scenario(rows=2, columns=3), {}, (2, 3)), (scenario(rows=2, columns=3), {"size": 2}, (2, 2)),
        (scenario(size=3), {}, (3, 3)), (scenario(size=3), {"rows": 1, "columns": 4}, (1, 4)), (scenario(), {}, (4, 4)),
        (scenario(society={"rows": 2, "columns": 4}), {}, (2, 4)),
    ]  # fmt: skip
    for number, (given, asked, shape) in enumerate(sizes):
        world = tiny_world(given, **{"size": None, "out": tmp_path / str(number), **asked})
        assert world.space.dimensions == shape


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"size": 3, "rows": 3, "columns": 5},
            "size=3 and rows and columns are given; give either size, or rows and columns",
        ),
        ({"size": None, "rows": 3}, "rows=3 needs columns too; give both, or size=N for a square"),
        (
            {"size": None, "rows": 3, "columns": 5, "neighborhood": "small_world"},
            "rows=3 and columns=5 are of a grid, and neighborhood='small_world' is a network; leave them out, and give size or",
        ),
        (
            {"size": None, "rows": 3, "columns": 5, "agents": 16},
            "16 agents do not fit on 3x5 places with 1 each; use --size 4",
        ),
        ({"size": None, "rows": 0, "columns": 5}, "rows=0"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_world: MakeWorld, given: dict[str, Any], words: str) -> None:
    with pytest.raises((ScenarioError, SettingsError), match=words):
        tiny_world(scenario(), **given)


def test_faults_of_the_grid_of_a_scenario() -> None:
    with pytest.raises(ScenarioError, match="size: rows or columns are given too"):
        scenario(size=3, rows=2, columns=2)
    with pytest.raises(ScenarioError, match="rows: give both rows and columns"):
        scenario(rows=2)
    with pytest.raises(ScenarioError, match="columns: expected a whole number from 1 to 1000, found 'x'"):
        scenario(rows=2, columns="x")


def test_half_are_good_on_or_above_the_diagonal_of_a_rectangle() -> None:
    found = labels("half_half", 10, (2, 5), keyed_rng(0))
    assert "".join(label[0] for label in found) == "gggggbbbbb"
    found = labels("half_half", 15, (3, 5), keyed_rng(0))
    assert "".join(label[0] for label in found) == "gggggbbggbbbbbb"
    assert labels("half_half", 20, (10, 2), keyed_rng(0)).count("good") == 10


def test_options_of_the_command_line(tmp_path: Path) -> None:
    command = ["run", "value_alignment", "--model", "scripted:", "--set", "embedder=hashing", "--rounds", "1", "--json"]
    said = CliRunner().invoke(app, [*command, "--rows", "1", "--columns", "3", "--out", str(tmp_path / "run")])
    assert json.loads(said.output)["interactions"] == 3
    assert open_run(tmp_path / "run").manifest["settings"]["columns"] == 3
    refused = CliRunner().invoke(
        app, [*command, "--rows", "1", "--columns", "3", "--size", "2", "--out", str(tmp_path / "x")]
    )
    assert isinstance(refused.exception, SettingsError)
    again = CliRunner().invoke(
        app,
        [
            "what-if",
            f"{tmp_path / 'run'}@0",
            "--event",
            "It rains.",
            "--rounds",
            "1",
            "--out",
            str(tmp_path / "if"),
            "--json",
        ],
    )
    assert again.exit_code == 0, again.output
