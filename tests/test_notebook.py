"""Objects in notebooks: small tables in which texts are text, plots by name, and a bar only there."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox import Scenario, World, notebook
from sandbox.errors import SettingsError, UnknownPlugin
from sandbox.models.scripted import ScriptedModel

EVIL = "<img src=x onerror=alert(1)>"


class Terminal:
    """A shell of a notebook: what tells it from a terminal is its kernel."""

    kernel = object()


@pytest.fixture
def world(tmp_path: Path) -> Any:
    scenario = Scenario(questions=[f"Is {EVIL} right?"], name=f"of {EVIL}", roles={"good": EVIL})
    made = World(
        scenario, model=ScriptedModel(replies=[f"Yes {EVIL}", "5"]), rater="lm", embedder="hashing", size=2,
        out=tmp_path / "run",
    )  # fmt: skip
    yield made
    made.close()


def test_tables_hold_texts_as_text(world: Any) -> None:
    run = world.run(rounds=1)
    said = run.interactions()[0]
    for shown, words in (
        (world, "4 (good 2, bad 2)"),
        (run, "1 complete"),
        (world.scenario, "alignment, engagement"),
        (world.members[0], "Agent 1"),
        (said, f"agent {said.feedback[0].reviewer + 1} rates it"),
    ):
        html = shown._repr_html_()
        assert html.startswith("<table>")
        assert words in html
        assert "<img" not in html
        assert len(html) < 5_000
    assert "Yes &lt;img src=x" in said._repr_html_()


def test_long_texts_are_cut(world: Any) -> None:
    from sandbox.records import Interaction

    html = Interaction(0, 0, "good", "q", draft="word " * 10_000)._repr_html_()
    assert len(html) < 5_000
    assert "48000 more characters" in html


def test_a_run_draws_itself(world: Any) -> None:
    run = world.run(rounds=1)
    assert run.plot("grid", by="gain").axes
    with pytest.raises(UnknownPlugin):
        run.plot("gird")
    with pytest.raises(SettingsError, match="plot 'grid'"):
        run.plot("grid", bye="gain")


def test_a_notebook_shows_figures(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyplot, which would teach it; a choice of the user's stays."""
    ipython = pytest.importorskip("IPython.core.formatters")
    from matplotlib.figure import Figure

    run = world.run(rounds=1)
    shell = SimpleNamespace(kernel=object(), display_formatter=ipython.DisplayFormatter())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    assert base64.b64decode(shell.display_formatter.format(run.plot("grid"))[0]["image/png"]).startswith(b"\x89PNG")
    shell.display_formatter = ipython.DisplayFormatter()
    shell.display_formatter.formatters["image/svg+xml"].for_type(Figure, lambda figure: "<svg/>")
    assert {*shell.display_formatter.format(run.plot("grid"))[0]} == {"image/svg+xml", "text/plain"}


def test_a_bar_is_shown_in_notebooks_only(
    world: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.run(rounds=1)
    assert "simulating" not in capsys.readouterr().err
    bars: list[Any] = []

    class Bar:
        def __init__(self, **about: Any) -> None:
            self.total, self.n = about["total"], 0
            bars.append(self)

        def update(self, n: int) -> None:
            self.n += n

        def set_postfix_str(self, text: str) -> None:
            self.text = text

        def refresh(self) -> None: ...

        def close(self) -> None:
            self.is_closed = True

    monkeypatch.setattr(notebook, "in_notebook", lambda: True)
    monkeypatch.setattr(notebook, "_bar", lambda total: Bar(total=total))
    told: list[int] = []
    world.on_interactions = lambda ended: told.append(len(ended))
    world.run(rounds=3)
    [bar] = bars
    assert (bar.n, bar.total, bar.text, bar.is_closed) == (8, 8, "round 3 of 3", True)
    assert sum(told) == 8


def test_a_notebook_is_told_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=Terminal))  # type: ignore[arg-type]
    assert notebook.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))  # type: ignore[arg-type]
    assert not notebook.in_notebook()


def test_tables_load_nothing_heavy() -> None:
    code = "import sys, sandbox.notebook; print({'pandas', 'matplotlib', 'tqdm', 'IPython'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_objects_are_one_readable_line(world: Any) -> None:
    run = world.run(rounds=1)
    said = run.interactions()[0]
    assert repr(world.scenario) == f"<Scenario 'of {EVIL}': 1 question, back_scatter, population half_half>"
    assert repr(world) == (
        f"<World 'of {EVIL}': 4 agents (good 2, bad 2), back_scatter, model {world.lm.uri}, 1 complete round, in {world.path}>"
    )
    assert repr(run) == f"<Run '{world.path}': of {EVIL}, 1 complete round>"
    assert repr(world.members[1]) == f"<SocialAgent 'Agent 2': index 1, label '{world.members[1].label}'>"
    assert repr(said).startswith(
        f"<Interaction round=0, agent=0, label='{said.label}', question='Is {EVIL} right?', final='Yes"
    )
    assert all(
        "\n" not in repr(one) and len(repr(one)) < 400 for one in (world, run, said, world.scenario, world.members[0])
    )
    assert "Interaction of agent 1 in round 1" in said._repr_html_()


def test_a_shell_that_displays_nothing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of Solara's server: the page of a live world showed an error in the place of its map."""
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=Terminal))  # type: ignore[arg-type]
    notebook.show_figures()
