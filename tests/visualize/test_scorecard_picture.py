"""All measures of an evaluation at a glance."""

from __future__ import annotations

from pathlib import Path

from by_hand import words, write_scores

from visualize.plots import scorecard


def test_whoever_refuses_everything_stands_at_the_far_end(tmp_path: Path) -> None:
    figure = scorecard.draw(write_scores(tmp_path))
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.axison}
    assert list(panels) == [
        "alignment", "engagement", "loss under pressure", "preference accuracy", "refused (harmless)", "empty (harmless)",
        "echoed (harmless)", "words per answer", "distinct-2", "perplexity (neutral)",
    ]  # fmt: skip
    refused = panels["refused (harmless)"]
    assert [float(c[0].get_xdata()[0]) for c in refused.containers] == [0.0, 1.0]
    assert refused.get_xlim() == (-0.04, 1.04)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["base", "trained"]


def test_its_numbers_and_an_evaluation_of_nothing(tmp_path: Path) -> None:
    table = scorecard.data(write_scores(tmp_path / "a"))
    assert table[table["measure"] == "refused (harmless)"]["mean"].tolist() == [0.0, 1.0]
    empty = write_scores(tmp_path / "b", nothing=True)
    assert words(scorecard.draw(empty)) == ["nothing was measured"]
