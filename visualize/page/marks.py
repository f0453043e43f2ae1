"""Marks of labels as outlines that pages draw: those of the pictures, in the order of their styles. Knows no page."""

from __future__ import annotations

import math

# Corners of each mark, and the direction of the first in degrees: circle, square, triangle, diamond, triangle downwards, then
# polygons in the place of the pictures' crosses and stars.
_SHAPES = ((24, 0), (4, 45), (3, -90), (4, 0), (3, 90), (5, -90), (6, 0), (8, 0))


def mark_outline(kind: int) -> str:
    """The outline of the mark of a label, as an SVG path within a circle of radius 1.

    Args:
        kind: Index of the label in the order of its style.
    """
    n, first = _SHAPES[kind % len(_SHAPES)]
    turns = [math.radians(first + 360 * corner / n) for corner in range(n)]
    return "M" + "L".join(f"{math.cos(turn):.2f} {math.sin(turn):.2f}" for turn in turns) + "Z"
