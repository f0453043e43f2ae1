"""Paints who speaks to whom as matrices of groups: shares of what is said, and mean ratings."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_hex
from matplotlib.figure import Figure

from visualize.drawing.agent_values import bar_ends
from visualize.drawing.style import COLUMN_IN, PAGE_IN, Theme, background, contrast_colour, one_line, rating_colormap

_LONGEST = 18


def draw_matrices(
    table: pd.DataFrame, title: str, said: str, rating: str, limits: Sequence[float], theme: Theme
) -> Figure:
    """Draw the shares of what each group says to each, and how it rates, side by side.

    Args:
        table: Of :func:`visualize.drawing.agent_groups.group_table`.
        title: Title of the figure.
        said: What is counted: ``reviews`` or ``messages``.
        rating: Title of the colour bar of ratings.
        limits: Lowest and highest rating of the colours.
        theme: ``light`` or ``dark``.
    """
    has_ratings = bool(table["rating"].notna().any())
    sizes = dict(zip(table["speaker"], table["speakers"], strict=True))
    height = 1.55 + 0.24 * max(4, len(sizes))
    figure = Figure(figsize=(PAGE_IN if has_ratings else COLUMN_IN * 1.2, height), layout="constrained")
    axes = figure.subplots(1, 2 if has_ratings else 1, squeeze=False)[0]
    share = _square(table, "share")
    kinds = [("to whom each group speaks", 100 * share, "{:.0f}%", Normalize(0, 100 * _highest(share)))]
    words = [f"share of its {said} (%)"]
    if has_ratings:
        kinds.append(("how it rates them", _square(table, "rating"), "{:.1f}", Normalize(*limits)))
        words.append(rating)
    for ax, (name, values, form, norm), label in zip(axes, kinds, words, strict=True):
        _paint(ax, values, form, norm, theme)
        ax.set_title(name)
        names = [_short(one).removeprefix("community ") for one in sizes]
        is_wide = max(map(len, names)) * 5 * len(names) > 72 * 2.0  # 5 points a letter, on 2 inches
        turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if is_wide else {}
        ax.set_xticks(range(len(sizes)), names, **turned)
        ax.set_xlabel("to")
        bar = figure.colorbar(ax.images[0], ax=ax, shrink=0.9, pad=0.02, aspect=25, extend=bar_ends(norm, values))
        bar.set_label("\n".join(textwrap.wrap(label, 36)))
        bar.outline.set_linewidth(0)  # type: ignore[operator, union-attr]
    axes[0].set_yticks(range(len(sizes)), [f"{_short(name)} ({n:,})" for name, n in sizes.items()])
    axes[0].set_ylabel("from (number of agents)")
    for ax in axes[1:]:
        ax.set_yticks([])
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size="medium")
    return figure


def _square(table: pd.DataFrame, column: str) -> np.ndarray:
    """Shape [speakers, listeners]."""
    side = table["speaker"].nunique()
    return np.asarray(table[column].to_numpy(dtype=float).reshape(side, side))


def _highest(share: np.ndarray) -> float:
    known = share[~np.isnan(share)]
    return float(known.max()) if len(known) and known.max() > 0 else 1.0


def _short(name: str) -> str:
    return one_line(name, _LONGEST)


def _paint(ax: Axes, values: np.ndarray, form: str, norm: Normalize, theme: Theme) -> None:
    colours: Colormap = rating_colormap()
    ax.imshow(values, cmap=colours, norm=norm, interpolation="none", aspect="auto")
    side = len(values)
    thin = {"colors": background(theme), "linewidth": 1.2}
    ax.hlines(np.arange(0.5, side - 1), -0.5, side - 0.5, **thin)
    ax.vlines(np.arange(0.5, side - 1), -0.5, side - 0.5, **thin)
    for (row, column), value in np.ndenumerate(values):
        colour = None if np.isnan(value) else contrast_colour(to_hex(colours(norm(value))))
        words = "–" if np.isnan(value) else form.format(value)
        ax.text(column, row, words, ha="center", va="center", size=7 if side <= 7 else 6, color=colour)
    ax.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
