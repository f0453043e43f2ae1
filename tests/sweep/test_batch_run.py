"""Mesa's own conventions: keywords in the constructor, ``step``, ``running``, and ``mesa.batch_run``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mesa
import pytest

from sandbox.errors import ScenarioError
from sandbox.world import World


def test_batch_run_runs_every_combination(tmp_path: Path) -> None:
    """Two populations of two seeds, a row a step; before 3.5 Mesa's runner takes one step more than it was told."""
    by_rng = "rng" in inspect.signature(mesa.batch_run).parameters  # since 3.4
    rows = mesa.batch_run(
        World,
        parameters={
            "scenario": "value_alignment", "model": "scripted:", "embedder": "hashing", "size": 2, "reviewers": 1,
            "population": ["all_good", "all_bad"], **({} if by_rng else {"seed": [0, 1]}),
        },
        **({"rng": [0, 1]} if by_rng else {}),
        max_steps=1, data_collection_period=1, display_progress=False,
    )  # fmt: skip
    grouped: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((row["population"], row["seed"]), []).append(row)
    assert set(grouped) == {(p, s) for p in ("all_good", "all_bad") for s in (0, 1)}
    for (population, seed), steps in grouped.items():
        world = World("value_alignment", model="scripted:", embedder="hashing", size=2, reviewers=1,
                      population=population, seed=seed)  # fmt: skip
        expected = world.run(len(steps)).metrics()
        assert [{name: row[name] for name in expected[0]} for row in steps] == expected
        world.close()


def test_a_run_that_a_cap_stopped_ends_a_batch(tmp_path: Path) -> None:
    """``running`` is False after the cap: Mesa's runner takes what is complete instead of going round for ever."""
    rows = mesa.batch_run(
        World,
        parameters={
            "model": "scripted:", "embedder": "hashing", "size": 2, "reviewers": 1, "max_calls": 50,
        },
        max_steps=1000, display_progress=False,
    )  # fmt: skip
    # 4 agents make 2 + 4 + 2 = 8 calls each: one round is 32.
    assert len(rows) == 1
    assert rows[0]["interactions"] == 4


def test_every_setting_is_a_keyword() -> None:
    kinds = {p.kind for name, p in inspect.signature(World).parameters.items() if name not in ("scenario", "settings")}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert issubclass(World, mesa.Model)


def test_mesas_own_things_work(tiny_world: Callable[..., World]) -> None:
    """Agents are in ``world.agents``, in cells of the space, and ``run_model``-like loops end when ``running`` does."""
    world = tiny_world()
    assert len(world.agents) == 9
    assert {agent.cell.coordinate for agent in world.agents} == {(r, c) for r in range(3) for c in range(3)}
    assert len(world.agents.select(lambda agent: agent.label == "good")) == 4
    world.step()
    assert world.steps == 1
    assert world.running
    with pytest.raises(ScenarioError):
        World("value_alignment", model="scripted:", size=1)


def test_a_step_that_raised_can_be_taken_again(tiny_world: Callable[..., World]) -> None:
    """As when somebody presses Ctrl-C in a notebook: Mesa has counted the step, and Mesa 3.5 would take no other."""
    world = tiny_world()
    world.on_interactions = lambda ended: (_ for _ in ()).throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.step()
    assert (world.round, world.steps) == (0, 0)
    world.on_interactions = lambda ended: None
    world.step()
    assert (world.round, world.steps) == (1, 1)
    assert len(world.run(2).metrics()) == 2
