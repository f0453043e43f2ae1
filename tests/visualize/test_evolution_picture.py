"""Generations against what was written of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from by_hand import legend, words, write_evolution
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sandbox.errors import DataFileError
from visualize.plots import evolution


def shaded(figure: Figure) -> list[float]:
    """Generations on a shaded ground, in the first panel."""
    grounds = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    return [round(p.get_x() + p.get_width() / 2, 6) for p in grounds]


def test_raters_and_judge_over_generations(tmp_path: Path) -> None:
    folder = write_evolution(tmp_path)
    figure = evolution.draw(folder)
    heldout, gain, society = figure.axes[:3]
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "held-out alignment", "gain in alignment since 0", "alignment in the society",
    ]  # fmt: skip
    assert [c[0].get_ydata().tolist() for c in heldout.containers] == [[4.0, 4.6, 5.2], [4.5, 4.4, 3.9]]
    assert [c[0].get_ydata().tolist() for c in gain.containers] == [[0.0, 0.6, 1.2], [0.0, -0.1, -0.6]]
    assert [c[0].get_ydata().tolist() for c in society.containers] == [[3.5, 4.0], [4.2, 4.9]]
    assert legend(figure) == [
        "society's raters: values",
        "judge: independent",
        "drafts",
        "final answers",
    ]
    assert shaded(figure) == [1.0, 2.0]
    light, dark = (p.get_alpha() for p in figure.axes[0].patches)
    assert light < dark


def test_its_numbers(tmp_path: Path) -> None:
    table = evolution.data(write_evolution(tmp_path))
    assert list(table.columns) == list(evolution.COLUMNS)
    [row] = table[(table["panel"] == "gain") & (table["series"] == "judge") & (table["generation"] == 2)].to_dict(
        "records"
    )
    assert (row["mean"], row["low"], row["high"], row["n"]) == (-0.6, -0.9, -0.3, 20)


def test_where_nothing_is_done_or_nothing_is_there(tmp_path: Path) -> None:
    assert words(evolution.draw(write_evolution(tmp_path / "a", done=0))) == ["no generation is finished"]
    with pytest.raises(DataFileError, match="is not an evolution; make one with: sandbox evolve SCENARIO --out DIR"):
        evolution.draw(tmp_path)
