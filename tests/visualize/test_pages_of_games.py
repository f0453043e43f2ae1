"""The report and the page of games: nobody rates, so that nothing is said of raters, judges, scores and reviews."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox import World
from sandbox.store.run import Run
from visualize.page.data import PageData
from visualize.page.key_figures import key_figures
from visualize.report import write_report


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two rounds of public goods, by a scripted model."""
    out = tmp_path_factory.mktemp("runs") / "game"
    world = World("public_goods", model="scripted:", embedder="hashing", size=2, out=out)
    run = world.run(rounds=2)
    world.close()
    return run


def test_key_figures_name_no_rater_where_nobody_rates(game: Run) -> None:
    text = re.sub(r"<[^>]*>|\s+", " ", Path(write_report(game.path)).read_text(encoding="utf-8"))
    top = text.partition("Society: ")[2].partition("The scenario's own measures")[0]
    assert "public_goods" in top
    assert "rater of neighbours" not in top
    assert "judge" not in top
    assert {"rater of neighbours", "judge (observer)"} <= dict(key_figures(game, 1, 0)).keys()


def test_conversations_have_an_answer_and_no_empty_scores(game: Run) -> None:
    page = Path(write_report(game.path)).read_text(encoding="utf-8")
    assert page.count("<dt>Answer</dt>") == 8
    assert "<dt>Draft</dt>" not in page
    assert "<dt>Revision</dt>" not in page
    assert "alignment –" not in page
    data = PageData(game)
    assert not data.has_ratings
    [newest, _] = data.conversations(0)
    assert (newest["before"], newest["after"]) == ("", "")
