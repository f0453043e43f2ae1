"""Names beside the nodes of a graph or a network, where they cover neither each other nor, if possible, other nodes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from visualize.drawing.style import Theme, background

# Where a name is set, as the direction from its node, in the order in which free places are looked for.
_SIDES = ((0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1))
_ALIGNED = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}


def write_names(
    ax: Axes, names: Sequence[str], order: Sequence[int], at: NDArray[np.float64], radii: NDArray[np.float64],
    points_per_unit: float, size: float, theme: Theme,
) -> list[int]:  # fmt: skip
    """Write names beside nodes; those that find no place are left out.

    Args:
        ax: Axes with the nodes.
        names: Name of each node; empty for none.
        order: Nodes to name, the most important first.
        at: Position of each node, in data units. Shape [nodes, 2].
        radii: Radius of each node, in points. Shape [nodes].
        points_per_unit: Points per data unit of ``ax``, approximately.
        size: Size of the text, in points.
        theme: ``light`` or ``dark``.

    Returns:
        The nodes that are named.
    """
    halo, written, taken = [withStroke(linewidth=1.6, foreground=background(theme))], [], []
    points = np.asarray(at, dtype=float) * points_per_unit
    for node in order:
        if not names[node]:
            continue
        wide = _width(names[node]) * size
        places = [_place(points[node], radii[node], side, wide, size) for side in _SIDES]
        free = [side for side, box in zip(_SIDES, places, strict=True) if not any(_meet(box, other) for other in taken)]
        if not free:
            continue
        boxes = dict(zip(_SIDES, places, strict=True))
        side = min(free, key=lambda one: (_covered(boxes[one], points, radii), free.index(one)))
        gap = np.array(side) * (radii[node] + 1) * (0.75 if all(side) else 1.0)
        across, along = _ALIGNED[side[0]][0], _ALIGNED[side[1]][1]
        text: dict[str, Any] = {"textcoords": "offset points", "ha": across, "va": along, "path_effects": halo}
        ax.annotate(names[node], tuple(at[node]), tuple(gap), size=size, zorder=5, **text)
        taken.append(boxes[side])
        written.append(node)
    return written


def _width(text: str) -> float:
    """Approximate width of a text, in its size: wide letters of East Asia, and emoji, are square."""
    return sum(1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.58 for letter in text)


def _place(
    node: NDArray[np.float64], radius: float, side: tuple[int, int], wide: float, size: float
) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a name at a side of its node, in points."""
    half = np.array([wide, 1.15 * size]) / 2
    x, y = node + np.array(side) * ((radius + 1) * (0.75 if all(side) else 1.0) + half)
    return x - half[0], x + half[0], y - half[1], y + half[1]


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _covered(box: tuple[float, float, float, float], points: NDArray[np.float64], radii: NDArray[np.float64]) -> int:
    """Number of nodes that a name covers, at least in part."""
    nearest = np.clip(points, [box[0], box[2]], [box[1], box[3]])
    return int((np.hypot(*(points - nearest).T) < radii).sum())
