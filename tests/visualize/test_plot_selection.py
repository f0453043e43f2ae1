"""Plots that would be empty are left out, and it is said which and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from sandbox import World
from sandbox.cli.main import app
from visualize.plots.selection import select_plots


def test_a_game_without_ratings_has_no_pictures_of_ratings(tiny_world: Callable[..., World], tmp_path: Path) -> None:
    run = tiny_world("prisoners", size=2, rater="lm", neighborhood="euclidean", out=tmp_path / "run").run(2)
    reasons = select_plots(run)
    assert [name for name, reason in reasons.items() if not reason] == ["measures", "grid", "memory"]
    assert reasons["ratings"] == "no answer was rated"
    said = CliRunner().invoke(app, ["plot", str(tmp_path / "run")], catch_exceptions=False)
    assert [Path(line).name for line in said.stdout.splitlines()] == ["measures.png", "grid.png", "memory.png"]
    assert "left out, as they would be empty: social_graph (no answer was reviewed)" in said.stderr
    told = CliRunner().invoke(app, ["plot", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    assert set(json.loads(told.stdout)["left_out"]) == {"social_graph", "ratings", "pareto", "consensus"}
    named = CliRunner().invoke(app, ["plot", str(tmp_path / "run"), "ratings"], catch_exceptions=False)
    assert (named.exit_code, Path(named.stdout.strip()).name) == (0, "ratings.png")


def test_a_society_of_the_paper_has_all(tiny_world: Callable[..., World], tmp_path: Path) -> None:
    run = tiny_world("value_alignment", size=2, rater="lm", out=tmp_path / "run").run(1)
    assert set(select_plots(run).values()) == {""}
