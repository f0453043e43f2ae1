"""An error that ends a run says what the folder keeps, and how to go on; the way that it names works."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import Scenario, World, open_run, what_if
from sandbox.cli.output import say_losses
from sandbox.errors import SandboxError, ScenarioError
from sandbox.sweep.sweep import run_sweep

MakeWorld = Callable[..., World]


def talk(agent: Any, question: str, world: Any) -> Any:
    said = yield agent.answer(question)
    return world.interaction(agent, question, draft=said.text)


def fails(*given: Any) -> Any:
    """Fails in the second round: each of its callers gives the world, at one end or the other."""
    world = given[-1] if hasattr(given[-1], "round") else given[0]
    return 1 / 0 if world.round == 1 else None


def asks_all(world: Any) -> Any:
    return list(world.members) + ([1 / 0] if world.round == 1 else [])


def asks(agent: Any, world: Any) -> str:
    return f"Q {1 / (world.round - 1)}?"


def refused(scenario: Scenario, make: MakeWorld, out: Path, **given: Any) -> str:
    with pytest.raises(SandboxError) as found, closing(make(scenario, size=2, out=out, resume=True, **given)) as world:
        world.run(3)
    return str(found.value)


FINE = Scenario(questions=["Q?"], protocol=talk, state={"a": 1})


@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        ({"settle": fails}, "1 complete round, 4 interactions of round 2"),
        ({"after_round": fails}, "1 complete round, 4 interactions of round 2"),
        ({"before_round": fails}, "1 complete round,"),
        ({"events": {1: fails}}, "1 complete round,"),
        ({"measures": {"m": fails}}, "1 complete round, 4 interactions of round 2"),
        ({"asked": asks_all}, "1 complete round,"),
        ({"ask": asks}, "1 complete round,"),
        ({"move": fails}, "1 complete round, 4 interactions of round 2"),
        ({"reward": {"fails": fails}}, "1 complete round, 4 interactions of round 2"),
        ({"stop": fails}, "1 complete round,"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_every_function_of_a_scenario(tiny_world: MakeWorld, tmp_path: Path, fault: dict[str, Any], kept: str) -> None:
    """Corrected, the run goes on in its folder: no error leaves it locked."""
    out = tmp_path / "run"
    said = refused(replace(FINE, **fault), tiny_world, out)
    assert "ZeroDivisionError" in said
    assert f"Kept in {out}: {kept}" in said or "stop" in fault
    assert (
        f"continue with --resume --out {out} (in Python: world.close(), then World(..., out={str(out)!r}, resume=True))"
        in said
    )
    assert f"--from {out}@" in said
    for good in fault:
        mended = {"events": {1: lambda world: None}, "measures": {}, "reward": {"fails": lambda it, world: 1.0}}.get(
            good
        )
        run = tiny_world(replace(FINE, **{good: mended}), size=2, out=out, resume=True).run(3)
    assert run.rounds == 3


def test_before_a_folder_is_begun_nothing_is_said_to_be_kept(tiny_world: MakeWorld, tmp_path: Path) -> None:
    begins = replace(FINE, state=lambda agent, world: 1 / 0)
    said = refused(begins, tiny_world, tmp_path / "run")
    assert "state of the scenario failed" in said
    assert "resume" not in said
    assert not (tmp_path / "run").exists()


def test_a_full_grid_names_ways_that_work(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """A larger capacity is refused on resume, and works in a branch."""

    def settle(world: Any, interactions: Any) -> None:
        if world.round == 1:
            world.add(label="good", near=0)

    full, out = replace(FINE, settle=settle), tmp_path / "run"
    said = refused(full, tiny_world, out)
    assert (
        "add only if world.space.free_near(agent). A new run, or a branch of this one, can have more room: --set"
        in said
    )
    assert f"--from {out}@1" in said
    assert "settings.capacity was 1, now 2" in refused(full, tiny_world, out, capacity=2)
    branch = tiny_world(full, size=2, out=tmp_path / "roomy", branch=f"{out}@1", capacity=2).run(3)
    assert len(branch.population()) == 5

    def careful(world: Any, interactions: Any) -> None:
        if world.round == 1 and world.space.free_near(world.members[0]):
            world.add(label="good", near=0)

    assert tiny_world(replace(FINE, settle=careful), size=2, out=out, resume=True).run(3).rounds == 3


def test_commands_that_resume_by_themselves_say_so(tiny_world: MakeWorld, tmp_path: Path) -> None:
    again = "Correct the cause and repeat the same command: what is finished is kept"
    settled = replace(FINE, settle=fails)
    tiny_world(settled, size=2, out=tmp_path / "run").run(1)
    objects: dict[str, Any] = {"model": "scripted:", "embedder": "hashing", "rater": "lm"}
    with pytest.raises(ScenarioError, match=rf"the future with the event: .*settle of the scenario failed.*{again}$"):
        what_if(f"{tmp_path / 'run'}@1", "Fire.", rounds=2, scenario=settled, out=tmp_path / "two", **objects)
    calls = open_run(tmp_path / "two" / "with").branch_calls()
    assert calls[0]["calls"] > 0  # they were made, and are kept
    [row] = run_sweep(settled, seeds=1, rounds=2, size=2, workers=1, **objects, out=tmp_path / "sweep")["runs"]
    assert re.search(rf"settle of the scenario failed.*{again}$", row["error"])


def test_failures_where_agents_come_and_go(
    tiny_world: MakeWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(agent: Any, question: str, world: Any) -> Any:
        said = yield agent.answer(question)
        if world.round == 1 and agent.index == 0:
            raise ValueError("no more words")
        return world.interaction(agent, question, draft=said.text)

    def leave(world: Any) -> None:
        if world.round == 1:
            world.members[3].remove()

    out = tmp_path / "run"
    run = tiny_world(Scenario(questions=["Q?"], protocol=broken, before_round=leave), size=2, out=out).run(3)
    say_losses(run.summary())
    assert f"or branch from the last good round: --from {out}@1" in capsys.readouterr().out
