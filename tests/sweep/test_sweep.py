"""Sweeps: every point of a grid and every seed, each run by itself, failures and all."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dying_jobs import double_or_die
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import RunExists, RunLocked, SettingsError, UnknownPlugin
from sandbox.folders import locked
from sandbox.metrics.intervals import mean_interval
from sandbox.parallel import check_workers, parse_workers, run_jobs
from sandbox.society.kept import REPEAT
from sandbox.store.run import open_run
from sandbox.sweep.grid import expand_grid, parse_grid, parse_seeds, point_name
from sandbox.sweep.sweep import run_sweep
from sandbox.world import World

SMALL: dict[str, Any] = {"model": "scripted:", "embedder": "hashing", "size": 2, "reviewers": 1, "rounds": 1}


# -- what is asked for ---------------------------------------------------------------------------------------------


def test_grids_and_seeds_are_read() -> None:
    assert parse_grid(["population=all_good, all_bad", "n-questions=4"]) == {
        "population": ["all_good", "all_bad"], "n_questions": ["4"]
    }  # fmt: skip
    assert parse_grid(["population=good=0.5,bad=0.5; all_good"]) == {"population": ["good=0.5,bad=0.5", "all_good"]}
    assert (parse_seeds("3"), parse_seeds("3,7"), parse_seeds("7,")) == ([0, 1, 2], [3, 7], [7])


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (lambda t: parse_grid([t]), "size", "--grid takes KEY=VALUE,VALUE,...; found 'size'"),
        (lambda t: parse_grid([t]), "size=", "--grid takes KEY=VALUE,VALUE,...; found 'size='"),
        (lambda t: parse_grid([t, t]), "size=2", "--grid size is given twice; list all its values in one option"),
        (parse_seeds, "many", "--seeds takes a number of seeds (5 means 0 to 4) or a list (3,7); found 'many'"),
        (parse_seeds, ",", "--seeds takes a number of seeds (5 means 0 to 4) or a list (3,7); found ','"),
        (parse_workers, "0", "--workers '0' is neither a number of processes, 1 or more, nor 'ray'"),
        (parse_workers, "many", "--workers 'many' is neither a number of processes, 1 or more, nor 'ray'"),
    ],
)
def test_what_cannot_be_read_is_refused(read: Callable[[str], Any], text: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(text)
    assert str(refused.value) == words


def test_points_are_every_combination_the_last_key_fastest() -> None:
    grid = {"population": ["all_good", "all_bad"], "reviewers": ["1", "2"]}
    points, shared, rubric = expand_grid(
        "value_alignment", grid, {"model": "scripted:", "size": "2"}, seeds=[0], rounds=1
    )
    assert points == [
        {"population": p, "reviewers": r} for p in ("all_good", "all_bad") for r in (1, 2)
    ]  # fmt: skip
    assert shared == {"model": "scripted:", "size": 2}
    assert [d.name for d in rubric.dimensions] == ["alignment", "engagement"]


def test_all_faults_of_a_sweep_are_told_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        run_sweep(
            "value_alignment", out=tmp_path / "s", seeds=[1, 1], model="scripted:", size=2,
            grid={"populaton": ["a"], "seed": [1], "reviewers": ["1", "many", "1"], "audience": ["global"]},
        )  # fmt: skip
    lines = str(refused.value).splitlines()
    assert lines[0] == "this sweep cannot start:"
    assert [line.strip().split(";")[0].split(".")[0] for line in lines[1:]] == [
        "give each seed once",
        "there is no setting 'populaton'",
        "seed cannot be swept: give --seeds",
        "the sweep: reviewers='many' is not a whole number",
        "reviewers=1 is given twice",
    ]
    assert not (tmp_path / "s").exists()


def test_a_point_that_cannot_be_set_up_is_told_with_its_name(tmp_path: Path) -> None:
    """On 2x2 a global audience of four cannot be had, at either population; local ones can."""
    with pytest.raises(SettingsError) as refused:
        run_sweep(
            "value_alignment", out=tmp_path / "s", seeds=1, model="scripted:", size=2,
            grid={"audience": ["local", "global"], "population": ["all_good", "all_bad"]},
        )  # fmt: skip
    assert str(refused.value).splitlines()[1:] == [
        "  audience=global,population=all_good and 1 more: this society cannot be set up:",
        "      audience 'global' needs 4 reviewers per agent but there are only 3 others; use reviewers=3 or fewer, a "
        "larger --size, or audience=local",
    ]
    with pytest.raises(UnknownPlugin, match="Did you mean 'value_alignment'"):
        run_sweep("value_alinment", out=tmp_path / "s", seeds=1)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=300))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=2, unique_by=repr))
def test_names_of_points_are_safe_and_differ(points: list[tuple[Any, Any]]) -> None:
    names = [point_name({"a": a, "b": b}) for a, b in points]
    assert names[0] != names[1] or [str(v).lower() for v in points[0]] == [str(v).lower() for v in points[1]]
    for name in names:
        assert len(name) <= 200
        assert "/" not in name
        assert name.isascii()


# -- a sweep ---------------------------------------------------------------------------------------------------------


def test_a_sweep_leaves_runs_a_table_and_a_record(tmp_path: Path) -> None:
    """Two populations of three seeds: six runs, each in its folder, each what a world of its own gives; means over seeds
    with Student's t interval."""
    told: list[tuple[int, int]] = []
    result = run_sweep(
        "value_alignment", grid={"population": ["all_good", "all_bad"]}, seeds=3, out=tmp_path / "s",
        on_start=lambda *counts: told.append(counts), **SMALL,
    )  # fmt: skip
    assert told == [(6, 0)]
    assert json.loads((tmp_path / "s" / "sweep.json").read_text()) == result
    assert [run["name"] for run in result["runs"]] == [
        f"population={p},seed={s}" for p in ("all_good", "all_bad") for s in range(3)
    ]
    assert {run["status"] for run in result["runs"]} == {"done"}
    alone = World("value_alignment", population="all_bad", seed=2, out=tmp_path / "alone",
                  **{k: v for k, v in SMALL.items() if k != "rounds"}).run(1)  # fmt: skip
    assert open_run(tmp_path / "s" / "population=all_bad,seed=2").interactions() == alone.interactions()
    for point in result["points"]:
        theirs = [r["scores"]["alignment"] for r in result["runs"] if r["point"] == point["point"]]
        mean, low, high, n = mean_interval(theirs)
        assert point["scores"]["alignment"] == {"mean": mean, "low": low, "high": high, "n": n}
        assert (point["n"], point["failed"]) == (3, 0)
    rows = list(csv.DictReader((tmp_path / "s" / "sweep.csv").open()))
    assert [row["population"] for row in rows] == ["all_good"] * 3 + ["all_bad"] * 3
    assert [float(row["alignment"]) for row in rows] == [r["scores"]["alignment"] for r in result["runs"]]


def test_a_sweep_goes_on_where_it_stood(tmp_path: Path) -> None:
    """Finished runs are not run again, new seeds and points are, and more rounds are added to what there is."""
    ran: list[str] = []
    common = {"out": tmp_path / "s", "on_run": lambda run: ran.append(run["name"]), **SMALL}
    run_sweep("value_alignment", grid={"population": ["all_good"]}, seeds=2, **common)
    assert len(ran) == 2
    ran.clear()
    run_sweep("value_alignment", grid={"population": ["all_good"]}, seeds=2, **common)
    assert ran == []
    wider = run_sweep("value_alignment", grid={"population": ["all_good", "all_bad"]}, seeds=2, **common)
    assert ran == ["population=all_bad,seed=0", "population=all_bad,seed=1"]
    assert len(wider["runs"]) == 4
    ran.clear()
    longer = run_sweep("value_alignment", grid={"population": ["all_good"]}, seeds=2, **{**common, "rounds": 2})
    assert len(ran) == 2
    assert [run["rounds"] for run in longer["runs"]] == [2, 2]


FRAGILE = """
from sandbox import Interaction

def protocol(agent, question, world):
    if world.population == "all_bad" and world.seed == 1:
        {what}
    draft = yield agent.answer(question)
    score = yield world.observer.score(question, draft)
    return Interaction(world.round, agent.index, agent.label, question, draft=draft.text, before=score)
"""


@pytest.mark.parametrize(
    ("what", "workers", "error"),
    [
        (
            "from sandbox.errors import ScenarioError; raise ScenarioError('a bad seed')",
            1,
            f"ScenarioError: a bad seed. {REPEAT}",
        ),
        ("import os; os._exit(9)", 2, "its worker process died, perhaps out of memory"),
    ],
)
def test_a_run_that_fails_leaves_the_others(tmp_path: Path, what: str, workers: int, error: str) -> None:
    """One of four fails, once by an error and once by the death of its process; it is told of, and left out of means.
    Mended and repeated, the sweep is whole."""
    path = tmp_path / "fragile.py"
    path.write_text(FRAGILE.format(what=what))
    common: dict[str, Any] = {
        "grid": {"population": ["all_good", "all_bad"]}, "seeds": 2, "out": tmp_path / "s", "workers": workers,
        "protocol": str(path), **SMALL,
    }  # fmt: skip
    result = run_sweep("value_alignment", **common)
    failed = [run for run in result["runs"] if run["status"] == "failed"]
    assert [(run["name"], run["error"]) for run in failed] == [("population=all_bad,seed=1", error)]
    assert [(p["n"], p["failed"]) for p in result["points"]] == [(2, 0), (1, 1)]
    assert result["points"][1]["scores"]["alignment"]["low"] is None
    path.write_text(FRAGILE.format(what="pass"))
    again = run_sweep("value_alignment", **{**common, "workers": 1})
    assert [run["status"] for run in again["runs"]] == ["done"] * 4


def test_processes_do_as_one_process_does(tmp_path: Path) -> None:
    grid = {"population": ["all_good", "mixed_half_half"]}
    one, two = (
        run_sweep("value_alignment", grid=grid, seeds=2, out=tmp_path / f"{n}", workers=n, **SMALL) for n in (1, 2)
    )
    names = [run["name"] for run in one["runs"]]
    assert names == [run["name"] for run in two["runs"]]
    assert [run["scores"] for run in one["runs"]] == [run["scores"] for run in two["runs"]]
    for name in names:
        assert open_run(tmp_path / "1" / name).interactions() == open_run(tmp_path / "2" / name).interactions()


def test_a_run_that_a_cap_stopped_is_said_to_be(tmp_path: Path) -> None:
    result = run_sweep("value_alignment", seeds=1, out=tmp_path / "s", max_calls=20, **SMALL)
    [run] = result["runs"]
    assert (run["status"], run["rounds"], run["error"]) == ("stopped", 0, None)
    assert run["calls"] <= 20
    assert result["points"][0]["n"] == 0


def test_another_sweeps_folder_is_refused(tmp_path: Path, run_dir: Path) -> None:
    run_sweep("value_alignment", seeds=1, out=tmp_path / "s", **SMALL)
    with pytest.raises(
        RunExists, match="holds another sweep: settings.reviewers was 1, now 2. Grid, seeds and rounds may"
    ):
        run_sweep("value_alignment", seeds=1, out=tmp_path / "s", **{**SMALL, "reviewers": 2})
    with pytest.raises(RunExists, match="holds a run, not a sweep; choose another --out"):
        run_sweep("value_alignment", seeds=1, out=run_dir, **SMALL)
    with (
        locked(tmp_path / "t" / "sweep.lock"),
        pytest.raises(RunLocked, match="another process is writing to .*/t; wait"),
    ):
        run_sweep("value_alignment", seeds=1, out=tmp_path / "t", **SMALL)


def test_objects_do_not_go_to_other_processes(tmp_path: Path) -> None:
    from sandbox.models.scripted import ScriptedModel

    objects = {**SMALL, "model": ScriptedModel()}
    with pytest.raises(
        SettingsError, match="model cannot be passed to other processes as objects; give URIs, or workers=1"
    ):
        run_sweep("value_alignment", seeds=1, out=tmp_path / "s", workers=2, **objects)
    assert run_sweep("value_alignment", seeds=1, out=tmp_path / "s", **objects)["settings"]["model"] == "scripted:"


# -- workers ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_takes_only_its_own_job(tmp_path: Path) -> None:
    ended = sorted(run_jobs(double_or_die, list(range(6)), workers=2))
    assert [(e.job, e.result) for e in ended] == [(n, None if n == 3 else 2 * n) for n in range(6)]
    assert [e.job for e in ended if e.crash] == [3]


def test_a_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """The number of the worker's process is free soon after the kill."""
    told = tmp_path / "worker"
    code = (
        "from dying_jobs import write_and_wait\nfrom sandbox.parallel import run_in_subprocess\n"
        f"if __name__ == '__main__':\n    run_in_subprocess(write_and_wait, {str(told)!r})\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    parent = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": paths})
    wait_until(lambda: told.exists() and told.read_text() != "")
    parent.kill()
    parent.wait()
    wait_until(lambda: not _is_alive(int(told.read_text())))


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, a minute at most."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    assert holds()


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_ray_is_asked_for_only_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SettingsError) as refused:
        check_workers("ray")
    assert str(refused.value) == "workers='ray' needs Ray, which is not installed: pip install -e '.[ray]'"


@pytest.mark.slow
def test_ray_runs_jobs_and_survives_a_dead_one() -> None:
    """Against the real library, where it is installed; a cluster takes a while to start."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, log_to_driver=False, include_dashboard=False)
    try:
        ended = sorted(run_jobs(double_or_die, [1, 3, 4], workers="ray"))
    finally:
        ray.shutdown()
    assert [(e.job, e.result) for e in ended] == [(1, 2), (3, None), (4, 8)]
    assert ended[1].crash is not None
