"""``sandbox ls``, ``sandbox plot`` and ``sandbox report``, from a shell."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from sandbox.cli.main import app, main
from sandbox.store.writer import RunWriter

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
OF_A_RUN = ["grid", "social_graph", "ratings", "pareto", "consensus", "memory"]


def shell(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


def told(*arguments: object) -> str:
    """What a command prints that goes well."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line on standard error of a command that ends with exit code 2."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["sandbox", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        return capsys.readouterr().err.rstrip("\n")

    return run


def test_plot_draws_all_that_suits_a_run(run_dir: Path, tmp_path: Path) -> None:
    paths = told("plot", run_dir, "--out", tmp_path).splitlines()
    assert paths == [str(tmp_path / f"{name}.png") for name in OF_A_RUN]
    assert all(Path(path).read_bytes().startswith(STARTS["png"]) for path in paths)


@pytest.mark.parametrize("fmt", STARTS)
def test_plot_writes_every_format(run_dir: Path, tmp_path: Path, fmt: str) -> None:
    found = json.loads(told("plot", run_dir, "grid", "ratings", "--format", fmt, "--out", tmp_path, "--json"))
    assert found == {"figures": [str(tmp_path / f"{name}.{fmt}") for name in ("grid", "ratings")]}
    assert all(Path(path).read_bytes().startswith(STARTS[fmt]) for path in found["figures"])


def test_plot_takes_settings(run_dir: Path, tmp_path: Path) -> None:
    told("plot", run_dir, "grid", "--format", "svg", "--out", tmp_path, "--set", "by=gain", "--set", "rounds=all")
    assert "alignment, revision minus draft" in (tmp_path / "grid.svg").read_text(encoding="utf-8")


def test_a_setting_goes_to_the_pictures_that_know_it(run_dir: Path, tmp_path: Path) -> None:
    told("plot", run_dir, "--format", "svg", "--out", tmp_path, "--set", "layout=grid", "--set", "theme=dark")
    assert all("#15181c" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8") for name in OF_A_RUN)


def test_without_out_figures_go_into_the_folder(tmp_path: Path) -> None:
    write_training(tmp_path / "model")
    assert told("plot", tmp_path / "model").strip() == str(tmp_path / "model" / "figures" / "training.png")


def write_training(folder: Path, **about: Any) -> None:
    folder.mkdir(parents=True)
    content = {"schema": 1, "trainer": "sft", "base": "hf:x", "settings": {}, "rows": {}, "seconds": 1.0, **about}
    (folder / "training.json").write_text(json.dumps({"history": [{"step": 1, "loss": 2.0}], **content}))


def test_data_are_the_numbers_behind_each_picture(run_dir: Path, tmp_path: Path) -> None:
    """What the module's own ``data`` says, under the same settings; a setting of the picture alone does not reach it."""
    from visualize.plots import grid

    arguments = ("plot", run_dir, "grid", "--data", "--set", "rounds=strip", "--set", "theme=dark", "--out", tmp_path)
    assert told(*arguments).splitlines() == [str(tmp_path / "grid.png"), str(tmp_path / "grid.csv")]
    assert json.loads(told(*arguments, "--json")) == {
        "figures": [str(tmp_path / "grid.png")], "data": [str(tmp_path / "grid.csv")],
    }  # fmt: skip
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "grid.csv"), grid.data(run_dir, rounds="strip"), check_dtype=False
    )


def test_every_picture_of_a_run_has_data(run_dir: Path, tmp_path: Path) -> None:
    told("plot", run_dir, "--data", "--out", tmp_path)
    assert all(len(pd.read_csv(tmp_path / f"{name}.csv")) for name in OF_A_RUN)


def test_a_plot_that_keeps_no_numbers_is_refused_data(
    run_dir: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from matplotlib.figure import Figure\n\n\ndef plot(run) -> Figure:\n    return Figure()\n"
    )
    said = refused("plot", run_dir, tmp_path / "mine.py", "--data", "--out", tmp_path)
    assert said.startswith(f"SettingsError: plot '{tmp_path / 'mine.py'}' has no data: ")
    assert said.endswith(" defines no data(source, **settings)")
    assert not (tmp_path / "mine.png").exists()


def test_a_plot_of_ones_own_is_a_file(run_dir: Path, tmp_path: Path) -> None:
    """Its settings are read as the types it declares, and its file is called after it."""
    (tmp_path / "mine.py").write_text(
        "from matplotlib.figure import Figure\n\n\n"
        "def plot(run, *, inches: float = 1.0) -> Figure:\n"
        "    return Figure(figsize=(inches, inches / 2))\n"
    )
    told("plot", run_dir, tmp_path / "mine.py", "--out", tmp_path, "--set", "inches=3")
    png = (tmp_path / "mine.png").read_bytes()
    assert int.from_bytes(png[16:20], "big") == 600  # 3 inches at the style's 200 dots an inch


def test_a_sweeps_folder_can_be_drawn(tmp_path: Path) -> None:
    content = {"schema": 1, "grid": {"size": [2]}, "dimensions": ["a"], "scale": 7, "runs": [], "points": []}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    assert told("plot", tmp_path).splitlines() == [str(tmp_path / "figures" / "sweep.png")]


def test_plot_says_what_is_wrong(run_dir: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert refused("plot", run_dir, "grit") == (
        "UnknownPlugin: no plot named 'grit'. Did you mean 'grid'? Installed: comparison, consensus, evolution, grid, "
        "measures, memory, pareto, ratings, scorecard, social_graph, sweep, trainers, training, "
        "what_if"
    )
    assert refused("plot", run_dir, "--format", "gif") == ("SettingsError: --format 'gif' is not one of png, svg, pdf.")
    assert refused("plot", run_dir, "ratings", "--set", "by=gain") == (
        "SettingsError: plot 'ratings' has no setting 'by'. Settings: theme"
    )
    assert refused("plot", run_dir, "grid", "--set", "by=gian") == (
        "SettingsError: by='gian' is not one of rating, label, gain, alignment, engagement. Did you mean 'gain'?"
    )
    assert refused("plot", run_dir, "--set", "layuot=grid") == (
        "SettingsError: sandbox plot has no setting 'layuot'. Did you mean 'layout'? Settings: by, groups, layout, "
        "limits, of, rounds, theme, view, x, y"
    )
    assert refused("plot", run_dir, "grid", "--set", "by") == "SettingsError: --set takes KEY=VALUE; found 'by'"
    assert refused("plot", tmp_path / "none") == (
        f"RunNotFound: {tmp_path / 'none'} does not exist. Make a run with: sandbox run SCENARIO --out {tmp_path / 'none'}"
    )
    assert refused("plot", tmp_path) == (
        f"RunNotFound: {tmp_path} contains no run, trained model, evaluation, sweep or what-if. Make a run with: sandbox "
        "run SCENARIO "
        f"--out {tmp_path}"
    )
    assert refused("plot", run_dir, "training") == (
        f"DataFileError: {run_dir} is not a trained model; make one with: sandbox train RUN --out DIR (training.json: No "
        "such file or directory)"
    )
    assert not (run_dir / "figures").exists()


def test_a_run_picture_of_a_model_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    folder = tmp_path / "model"
    write_training(folder)
    assert refused("plot", folder, "grid") == (
        f"RunNotFound: {folder} is not a run: it has no manifest.json. Make one with: sandbox run SCENARIO --out {folder}"
    )


def test_animate_writes_a_film(run_dir: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "film.gif"
    assert told("animate", run_dir, "--out", path, "--set", "seconds=0.1", "--set", "by=label").strip() == str(path)
    with Image.open(path) as film:
        assert (film.n_frames, film.info["duration"]) == (3, 100)
    assert json.loads(told("animate", run_dir, "--out", path, "--json")) == {"film": str(path)}
    assert refused("animate", run_dir, "--set", "second=1") == (
        "SettingsError: sandbox animate has no setting 'second'. Did you mean 'seconds'? Settings: by, limits, seconds, theme"
    )
    assert refused("animate", tmp_path) == (
        f"RunNotFound: {tmp_path} is not a run: it has no manifest.json. Make one with: sandbox run SCENARIO --out "
        f"{tmp_path}"
    )


def test_show_compares_the_futures_of_a_what_if(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("visualize.page.serving")
    for name in ("with", "without"):
        shutil.copytree(run_dir, tmp_path / name)
    served: list[Any] = []
    monkeypatch.setattr("visualize.page.serving.serve", lambda page, shown, **more: served.append(shown))
    told("show", tmp_path)
    told("show", run_dir)
    assert served == [
        {"run": str(tmp_path / "with"), "against": str(tmp_path / "without")}, {"run": str(run_dir.resolve())}
    ]  # fmt: skip


def test_show_says_what_is_wrong(
    run_dir: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("solara", reason="the page needs the extra 'show'")
    assert refused("show") == "SettingsError: sandbox show takes a RUN, or --live SCENARIO; give one of them"
    assert refused("show", run_dir, "--live", "value_alignment") == (
        "SettingsError: sandbox show takes a RUN, or --live SCENARIO; give one of them"
    )
    assert refused("show", run_dir, "--set", "radius=2") == (
        "SettingsError: --set radius is a setting of a new world; use it with --live"
    )
    assert refused("show", "--live", "value_alignment", "--against", run_dir) == (
        "SettingsError: --against compares two recorded runs; it cannot be combined with --live"
    )
    assert refused("show", tmp_path).startswith(f"RunNotFound: {tmp_path} is not a run")
    assert refused("show", "--live", "value_alignmen").startswith(
        "UnknownPlugin: no scenario named 'value_alignmen'. Did"
    )
    assert refused("show", "--live", "value_alignment", "--size", "0").startswith("ScenarioError: ")
    assert refused("show", "--live", "value_alignment", "--set", "radios=1").startswith("SettingsError: ")
    assert refused("show", "--live", "value_alignment", "--model", "nope").startswith(
        "ModelNotFound: no model named 'nope'"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refused("show", run_dir, "--port", port) == (
            f"SettingsError: --port {port} of 127.0.0.1 cannot be used; choose another, or 0 for any that is free"
        )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert refused("show", run_dir) == (
        "ToolNotFound: sandbox show needs solara, uvicorn, altair, which are not installed; install with: pip "
        "install -e '.[show]'"
    )


def test_report_writes_one_page(tmp_path: Path) -> None:
    write_training(tmp_path / "model")
    assert told("report", tmp_path).strip() == str(tmp_path / "report.html")
    assert json.loads(told("report", tmp_path, "--json")) == {"report": str(tmp_path / "report.html")}
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_report_says_what_is_wrong(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert refused("report", tmp_path) == (
        f"RunNotFound: {tmp_path} contains no run, trained model, evaluation or sweep to report on. Make a run with: sandbox "
        f"run SCENARIO --out {tmp_path}"
    )


def test_ls_lists_every_kind_with_its_summary() -> None:
    found = json.loads(told("ls", "--json"))
    by_name = {(row["kind"], row["name"]): row for row in found}
    assert by_name["plots", "grid"] == {
        "name": "grid",
        "kind": "plots",
        "from": "social-sandbox",
        "summary": "Map of a society: a square for each agent, or its node in the network, coloured by rating, gain, label, "
        "persona or state.",
    }
    assert {"scenarios", "models", "raters", "trainers", "protocols", "embedders", "memories", "plots"} == {
        k for k, _ in by_name
    }
    assert all(row["summary"] for row in found)
    only = json.loads(told("ls", "plots", "--json"))
    assert only == [row for row in found if row["kind"] == "plots"]


def test_ls_as_a_table_shows_the_same() -> None:
    text = told("ls", "trainers")
    assert {"sft", "dpo", "stable_alignment"} <= set(text.replace("│", " ").split())


def test_ls_refuses_a_kind_there_is_none_of(refused: Callable[..., str]) -> None:
    assert refused("ls", "trainer") == (
        "UnknownPlugin: no kind of plugin named 'trainer'. Did you mean 'trainers'? Kinds: scenarios, models, raters, "
        "trainers, protocols, embedders, memories, plots, runs"
    )


def test_ls_runs_lists_what_is_there_and_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert json.loads(told("ls", "runs", "--json")) == []
    rubric = {"dimensions": ["alignment"], "scale": 7}
    about = {"rubric": rubric, "scenario": "value_alignment", "size": 3, "started": "2026-01-02T03:04:05"}
    writer = RunWriter(Path("runs/good"), about)
    writer.finish_round(0, [], {})
    writer.close()
    RunWriter(Path("runs/bare"), {"rubric": rubric}).close()
    RunWriter(Path("runs/old"), {"rubric": rubric}).close()
    manifest = Path("runs/old/manifest.json")
    manifest.write_text(manifest.read_text().replace('"schema": 2', '"schema": 0'))
    Path("runs/other").mkdir()
    assert json.loads(told("ls", "runs", "--json")) == [
        {"name": "runs/bare", "kind": "runs", "from": "", "summary": "a scenario, 0 rounds"},
        {
            "name": "runs/good",
            "kind": "runs",
            "from": "2026-01-02T03:04:05",
            "summary": "value_alignment, 3x3, 1 round",
        },
        {
            "name": "runs/old",
            "kind": "runs",
            "from": "",
            "summary": "cannot be read: runs/old has schema 0; this version reads schema 2. Read it with the "
            "version named in its manifest",
        },
    ]


def test_the_installed_command_does_the_same(run_dir: Path, tmp_path: Path) -> None:
    """One real process for each command: exit codes, and standard output that holds one JSON object."""
    drawn = shell("plot", run_dir, "pareto", "--out", tmp_path, "--json")
    assert (drawn.returncode, json.loads(drawn.stdout)) == (0, {"figures": [str(tmp_path / "pareto.png")]})
    listed = shell("ls", "plots", "--json", cwd=tmp_path)
    assert listed.returncode == 0
    assert {"grid", "pareto"} <= {row["name"] for row in json.loads(listed.stdout)}
    wrong = shell("report", tmp_path / "none")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr.startswith(f"RunNotFound: {tmp_path / 'none'} contains no run")
