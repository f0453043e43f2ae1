"""Style of all plots: one colour map for numbers, one style per label, a light and a dark theme.

Colours can be distinguished with each kind of colour blindness, and whatever colour encodes is also encoded by lightness,
a marker, a line style or a hatch, so that plots remain readable in greyscale.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, Literal, NamedTuple, get_args

import matplotlib.style
import numpy as np
from matplotlib import colormaps, font_manager, rc_params_from_file
from matplotlib.colors import Colormap, ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sandbox.errors import SettingsError, nearest
from sandbox.notebook import show_figures

Theme = Literal["light", "dark"]

COLUMN_IN = 3.4
PAGE_IN = 7.0

DRAFT, REVISION = "#D55E00", "#0072B2"
# Links, and edges without a rating.
GREY = "#8a929b"
# The groups of agents without a word, which are the last ones.
UNKNOWN, NO_VALUE = "unknown", "no value"
_OTHERS = re.compile(r"\d+ others")  # the rare words as one group

# Read at import: matplotlib checks and converts settings here, but not under Solara's server.
_STYLE: dict[Any, Any] = dict(
    rc_params_from_file(Path(__file__).with_name("sandbox.mplstyle"), use_default_template=False)
)
_DARK = {
    "figure.facecolor": "#15181c",
    "axes.facecolor": "#15181c",
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": "#e6e9ec",
    "grid.color": "#31373e",
    "text.color": "#e6e9ec",
    "xtick.color": "#9aa3ad",
    "ytick.color": "#9aa3ad",
    "xtick.labelcolor": "#e6e9ec",
    "ytick.labelcolor": "#e6e9ec",
}
# Fonts for scripts that DejaVu Sans lacks; those installed are used for missing glyphs.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai",
    "Noto Sans Ethiopic", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS",
)  # fmt: skip

# matplotlib's settings belong to the process, so two drawing threads would mix their themes.
_LOCK = RLock()


class LabelStyle(NamedTuple):
    """Colour, marker, line style and hatch of a label or series, each of which identifies it."""

    colour: str
    marker: str
    linestyle: str | tuple[int, tuple[int, ...]]
    hatch: str


LABEL_STYLES = (
    LabelStyle("#0072B2", "o", "-", ""),
    LabelStyle("#D55E00", "s", "--", "////"),
    LabelStyle("#009E73", "^", "-.", "...."),
    LabelStyle("#CC79A7", "D", ":", "\\\\\\\\"),
    LabelStyle("#E69F00", "v", (0, (5, 1, 1, 1, 1, 1)), "xxxx"),
    LabelStyle("#56B4E9", "P", (0, (8, 2)), "++++"),
    LabelStyle("#8A7F00", "X", (0, (1, 1)), "oooo"),
    LabelStyle("#7A7F87", "*", (0, (3, 3)), "----"),
)


@contextmanager
def use_theme(name: Theme) -> Iterator[None]:
    """Draw in the project's style; the user's own matplotlib settings are restored afterwards. Notebooks show the figure.

    Raises:
        SettingsError: the theme is unknown.
    """
    check_choice("theme", name, get_args(Theme))
    show_figures()
    fonts = {"font.family": ["DejaVu Sans", *_installed_fallback_fonts(), "sans-serif"]}
    with _LOCK, matplotlib.style.context(["default", _STYLE, fonts, _DARK if name == "dark" else {}]):
        yield


@contextmanager
def missing_glyphs_ignored() -> Iterator[None]:
    """Measure and draw text without warnings of glyphs that no font has; they become boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@cache
def _installed_fallback_fonts() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return tuple(name for name in _FALLBACK_FONTS if name in installed)


def foreground(name: Theme) -> str:
    """The colour of text and outlines in a theme."""
    return "#e6e9ec" if name == "dark" else "#1b1f24"


def background(name: Theme) -> str:
    """The background colour of a theme."""
    return "#15181c" if name == "dark" else "#ffffff"


@cache
def rating_colormap() -> Colormap:
    """Colour map of ratings and of all other numbers, from the lowest (violet) through teal to the highest (yellow-green).

    It is viridis without its ends, which are hard to see on a dark or a white page. Steps of equal size look equally large;
    lightness rises evenly, in greyscale and under each kind of colour blindness, so that seven steps can be distinguished.
    """
    return ListedColormap(colormaps["viridis"](np.linspace(0.1, 0.95, 256)), name="ratings")


def rating_norm(scale: int) -> Normalize:
    """Maps ratings in 1..scale to :func:`rating_colormap`; the same in every plot of a run."""
    return Normalize(1, scale)


def contrast_colour(colour: str | tuple[float, ...]) -> str:
    """Black or white, whichever has the higher contrast on ``colour`` (luminance as in WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def label_styles(names: Iterable[str]) -> dict[str, LabelStyle]:
    """A style for each name, in the order of the names; the first eight differ in colour, marker, line and hatch.

    Those of :data:`UNKNOWN` and :data:`NO_VALUE` are grey.
    """
    styles = {name: LABEL_STYLES[i % len(LABEL_STYLES)] for i, name in enumerate(dict.fromkeys(names))}
    return styles | {name: LABEL_STYLES[-1] for name in (UNKNOWN, NO_VALUE) if name in styles}


def label_order(labels: Iterable[str]) -> list[str]:
    """Labels in the order used by all plots: ``good`` first, then by name; ``N others`` and those without a value last."""

    def place(label: str) -> tuple[bool, bool, bool, str]:
        return label in (UNKNOWN, NO_VALUE), bool(_OTHERS.fullmatch(label)), label != "good", label

    return sorted(set(labels), key=place)


def wrap_title(text: str, width: int = 46) -> str:
    """Wrap a title into lines of at most ``width`` characters, between words."""
    return "\n".join(textwrap.wrap(text, width))


def one_line(text: str, limit: int = 40) -> str:
    """Text on one line, without control characters (XML forbids them), of at most ``limit`` characters."""
    line = " ".join(text.split())
    line = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def check_choice(setting: str, given: str, known: Sequence[str]) -> None:
    """Check the value of a setting against its choices.

    Raises:
        SettingsError: the value is none of them; lists them.
    """
    if given not in known:
        raise SettingsError(f"{setting}={given!r} is not one of {', '.join(known)}.{nearest(given, known)}")


def fix_ticks(figure: Figure) -> Figure:
    """Create the ticks now, in the current theme: matplotlib creates them when drawing, possibly under another one."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_major_ticks()
    return figure


def empty_figure(message: str) -> Figure:
    """A figure with only a message, drawn in the current theme."""
    figure = Figure(figsize=(COLUMN_IN, 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", wrap=True, transform=axes.transAxes)
    return figure


def make_panels(
    n: int, row_in: float, *, extra_in: float = 0.0, width_in: float | None = None, sharey: bool = False
) -> tuple[Figure, NDArray[Any]]:
    """A figure with panels, at most three in a row, drawn in the current theme.

    Args:
        n: Number of panels.
        row_in: Height of a row of panels, in inches.
        extra_in: Height beside the rows, in inches.
        width_in: Width of the figure, in inches; by default a column for one panel and a page for several.
        sharey: Let panels share their vertical axis.

    Returns:
        The figure, and its axes of shape [n].
    """
    n_columns = min(n, 3)
    n_rows = math.ceil(n / n_columns)
    width_in = width_in or (COLUMN_IN if n_columns == 1 else PAGE_IN)
    figure = Figure(figsize=(width_in, row_in * n_rows + extra_in), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharey=sharey).ravel()
    for unused in axes[n:]:
        unused.set_axis_off()
    return figure, axes[:n]
