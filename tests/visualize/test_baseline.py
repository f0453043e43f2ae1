"""The main pictures against what they looked like when somebody last looked at them.

After a change that is meant, look at what ``python tests/visualize/test_baseline.py`` writes, and commit it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from by_hand import SCORES, SOCIETY, write_evaluation, write_evolution, write_run, write_scores
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from visualize.drawing.saving import image
from visualize.plots import comparison, consensus, evolution, grid, memory, pareto, ratings, scorecard, social_graph

BASELINE = Path(__file__).with_name("baseline")
# Root of the mean squared difference of channels, in 0..255: other machines draw letters a little differently.
TOLERANCE = 4.0

PICTURES: dict[str, Callable[[Path], Figure]] = {
    "grid": grid.draw,
    "grid_gain_dark": partial(grid.draw, by="gain", theme="dark"),
    "grid_strip": partial(grid.draw, rounds="strip"),
    "social_graph": social_graph.draw,
    "ratings": ratings.draw,
    "pareto": pareto.draw,
    "consensus": consensus.draw,
    "memory": memory.draw,
    "comparison": comparison.draw,
    "evolution": evolution.draw,
    "scorecard": scorecard.draw,
}
WRITERS = {
    "comparison": lambda folder: write_evaluation(folder, SCORES), "evolution": write_evolution, "scorecard": write_scores,
}  # fmt: skip


def paint(name: str, folder: Path) -> bytes:
    """A picture of the tests' society, or of their evaluations, as PNG."""
    if name in WRITERS:
        return image(PICTURES[name](WRITERS[name](folder)), "png", dpi=90)
    measured = [
        {"consensus": 0.5 + 0.2 * r, "consensus_low": 0.4, "consensus_high": 0.8, "polarisation": 0.1} for r in (0, 1)
    ]
    return image(PICTURES[name](write_run(folder, SOCIETY, metrics=measured).path), "png", dpi=90)


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_the_one_that_was_looked_at(name: str, tmp_path: Path) -> None:
    painted = tmp_path / f"{name}.png"
    painted.write_bytes(paint(name, tmp_path))
    different = compare_images(str(BASELINE / f"{name}.png"), str(painted), tol=TOLERANCE)
    assert different is None, different


@pytest.mark.parametrize(("name", "other"), [("grid", "grid_gain_dark"), ("ratings", "pareto")])
def test_another_picture_would_be_noticed(name: str, other: str, tmp_path: Path) -> None:
    painted = tmp_path / f"{other}.png"
    painted.write_bytes(paint(other, tmp_path))
    try:
        different = compare_images(str(BASELINE / f"{name}.png"), str(painted), tol=TOLERANCE)
    except Exception as error:  # matplotlib's own, for pictures of another size
        different = str(error)
    assert different is not None


def test_a_single_square_of_another_colour_would_be_noticed(tmp_path: Path) -> None:
    changed = [*SOCIETY[:-1]]  # agent 3 is not rated in the last round
    painted = tmp_path / "grid.png"
    painted.write_bytes(image(grid.draw(write_run(tmp_path, changed)), "png", dpi=90))
    assert compare_images(str(BASELINE / "grid.png"), str(painted), tol=TOLERANCE) is not None


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for picture in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as temporary:
            (BASELINE / f"{picture}.png").write_bytes(paint(picture, Path(temporary)))
