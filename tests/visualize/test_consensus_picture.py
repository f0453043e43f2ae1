"""Agreement over rounds, against what the run recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from by_hand import legend, told, words
from matplotlib.axes import Axes

from sandbox.store.run import Run
from visualize.plots import consensus


def curves(ax: Axes) -> dict[str, list[float]]:
    return {c.get_label(): np.asarray(c[0].get_ydata()).round(9).tolist() for c in ax.containers}


def test_curves_are_the_measures_of_the_record(crowd: Run) -> None:
    figure = consensus.draw(crowd)
    left, right = figure.axes
    recorded = {name: [round(m[name], 9) for m in crowd.metrics()] for name in consensus.MEASURES}
    assert curves(left) | curves(right) == recorded
    assert all(value is not None for values in recorded.values() for value in values)
    table = consensus.data(crowd)
    first = table[(table["round"] == 0) & (table["measure"] == "polarisation")].iloc[0]
    assert [first["low"], first["high"]] == [crowd.metrics()[0][f"polarisation_{end}"] for end in ("low", "high")]
    assert left.get_title(loc="left") == "consensus on an answer"
    assert left.get_ylabel() == "agreement of its ratings (0 to 1)"
    assert right.get_title(loc="left") == "distance between labels"
    assert legend(figure) == ["polarisation", "divergence", "assortativity"]


def test_bars_are_the_recorded_bounds(make_run: Callable[..., Run]) -> None:
    measured = [{"consensus": 0.5, "consensus_low": 0.4, "consensus_high": 0.7}, {"consensus": 0.6}]
    figure = consensus.draw(make_run([told(0, 0), told(1, 0)], metrics=measured))
    (container,) = figure.axes[0].containers
    ends = [s[:, 1].round(9).tolist() for s in container[2][0].get_segments()]
    assert ends == [[0.4, 0.7], [0.6, 0.6]]


def test_what_has_not_been_measured_is_said(nobody: Run, lone: Run) -> None:
    assert words(consensus.draw(nobody)) == ["no finished round yet"]
    figure = consensus.draw(lone)
    assert [t.get_text() for ax in figure.axes for t in ax.texts] == [
        "no answer was rated twice",
        "nothing between labels",
    ]


def test_bounds_that_both_lie_to_one_side_of_a_skewed_measure_are_drawn(make_run: Callable[..., Run]) -> None:
    """Percentiles of the bootstrap need not hold the value itself, as of the divergence of few answers."""
    measured = [{"divergence": -0.1, "divergence_low": -0.05, "divergence_high": 0.4}]
    figure = consensus.draw(make_run([told(0, 0)], metrics=measured))
    right = figure.axes[1]
    [container] = [c for c in right.containers if c.get_label() == "divergence"]
    [ends] = [s[:, 1].round(9).tolist() for s in container[2][0].get_segments()]
    assert ends == [-0.05, 0.4]
    low, high = right.get_ylim()
    assert low < -0.1 < 0.4 < high
