"""``sandbox sweep``, ``sandbox export`` and ``sandbox import`` as they are typed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process import call

from sandbox.records import Interaction
from sandbox.store.run import open_run

Sandbox = Callable[..., tuple[int, str, str]]
SCRIPTED = ("--model", "scripted:", "--set", "embedder=hashing", "--size", 2)


@pytest.fixture
def sandbox(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """Runs the command line in this process, in an empty folder: its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        ended = call(arguments, monkeypatch, capsys)
        return ended.code, ended.out, ended.err

    return run


def test_a_sweep_gives_a_table_and_a_figure(sandbox: Sandbox, tmp_path: Path) -> None:
    """The table has a line for each population with the mean of three runs; the figure is a picture; repeated, the
    command goes to the same folder and runs nothing."""
    command = ("sweep", "value_alignment", "--grid", "population=all_good,all_bad", "--seeds", 3, *SCRIPTED)
    code, out, _ = sandbox(*command)
    assert code == 0
    for words in ("population=all_good", "population=all_bad", "alignment", "engagement", "gain"):
        assert words in out
    [folder] = (tmp_path / "sweeps").iterdir()
    assert out.splitlines()[-1] == f"sweeps/{folder.name}: sweep.json, sweep.csv and figures/sweep.png"
    assert (folder / "figures" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(csv.DictReader((folder / "sweep.csv").open()))) == 6
    found = json.loads((folder / "sweep.json").read_text())
    line = next(line for line in out.splitlines() if "population=all_bad" in line)
    assert f"{found['points'][1]['scores']['alignment']['mean']:.2f} [" in line
    assert " 3 " in line
    code, out, _ = sandbox(*command)
    assert (code, out.splitlines()[0]) == (0, "6 of 6 runs are already finished")
    assert [path.name for path in (tmp_path / "sweeps").iterdir()] == [folder.name]


def test_a_sweep_for_scripts(sandbox: Sandbox) -> None:
    code, out, _ = sandbox("sweep", "value_alignment", "--grid", "reviewers=1,2", "--seeds", "4,", "--rounds", 1,
                           *SCRIPTED, "--out", "s", "--json")  # fmt: skip
    said = json.loads(out)
    assert code == 0
    assert (said["sweep"], said["runs"], said["failed"]) == ("s", 2, 0)
    assert [p["point"] for p in said["points"]] == [{"reviewers": 1}, {"reviewers": 2}]
    assert Path(said["figure"]).is_file()
    assert Path("s/reviewers=1,seed=4/manifest.json").is_file()


def test_a_sweep_in_which_some_or_all_runs_fail(sandbox: Sandbox, tmp_path: Path) -> None:
    """Some: told of, exit code 0. All: exit code 1."""
    path = tmp_path / "fragile.py"
    path.write_text(
        "from sandbox.errors import ScenarioError\nfrom sandbox.protocols.back_scatter import back_scatter\n\n\n"
        "def protocol(agent, question, world):\n"
        "    if world.population == 'all_bad':\n        raise ScenarioError('a bad day')\n"
        "    return (yield from back_scatter(agent, question, world))\n"
    )
    given = ("--protocol", path)
    code, out, _ = sandbox("sweep", "value_alignment", "--grid", "population=all_good,all_bad", "--seeds", 1, *SCRIPTED,
                           "--set", f"protocol={path}", "--out", "s")  # fmt: skip
    assert (code, given[0] in out) == (0, False)
    assert "failed: population=all_bad,seed=0: ScenarioError: a bad day" in out
    code, out, _ = sandbox("sweep", "value_alignment", "--grid", "population=all_bad", "--seeds", 1, *SCRIPTED,
                           "--set", f"protocol={path}", "--out", "t")  # fmt: skip
    assert code == 1


def test_a_sweep_that_cannot_be_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    code, _, err = sandbox("sweep", "value_alignment", "--grid", "populaton=all_good", *SCRIPTED)
    assert code == 2
    assert "there is no setting 'populaton'. Did you mean 'population'?" in err
    code, _, err = sandbox("sweep", "value_alignment", "--set", "seed=3", *SCRIPTED)
    assert (code, err) == (2, "SettingsError: --set seed cannot be: give --seeds\n")
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_out_and_comes_back(sandbox: Sandbox, run_dir: Path) -> None:
    code, out, _ = sandbox("export", run_dir, "--out", "a.jsonl", "--json")
    assert (code, json.loads(out)) == (0, {"run": str(run_dir), "format": "jsonl", "file": "a.jsonl"})
    lines = Path("a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [Interaction.from_dict(json.loads(line)) for line in lines] == open_run(run_dir).interactions()
    for fmt in ("parquet", "graphml"):
        code, out, _ = sandbox("export", run_dir, "--format", fmt, "--out", "folder")
        assert code == 0
        assert Path(out.strip()).is_file()
    code, out, _ = sandbox("export", run_dir, "--format", "sample_world", "--out", "theirs")
    assert (code, out) == (0, "theirs/external_memory\n")
    code, out, _ = sandbox("import", "theirs", "--out", "back", "--json")
    assert (code, json.loads(out)["interactions"]) == (0, 27)
    assert [i.question for i in open_run("back").interactions()] == [
        i.question for i in open_run(run_dir).interactions()
    ]
    code, out, _ = sandbox("import", "theirs", "--out", "again")
    assert out.startswith("note: imported from a sample world of 9 agents\n")
    assert out.splitlines()[-1] == "again: 27 interactions in 3 rounds. Plot it with: sandbox plot again"
    code, _, err = sandbox("import", "theirs", "--out", "back")
    assert (code, err) == (2, "RunExists: back is not empty; choose another --out\n")
