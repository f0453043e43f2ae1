"""How all pictures look: one colour map for ratings, one look for each label, light and dark.

Colours are told apart by people with each kind of colour blindness, and wherever colour tells something, lightness,
a marker, a line style or a hatch tells it too, so a photocopy reads as well.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, Literal, NamedTuple, get_args

import matplotlib.style
from matplotlib import font_manager, rc_params_from_file
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure

from sandbox.errors import SettingsError, nearest

Theme = Literal["light", "dark"]

COLUMN_IN = 3.4
PAGE_IN = 7.0

DRAFT, REVISION = "#D55E00", "#0072B2"

# Read now, while matplotlib still checks and converts what it reads: under Solara's server it does not.
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
# Scripts that DejaVu Sans lacks; whichever of these a machine has are used where a letter is missing.
_WORLD_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai",
    "Noto Sans Ethiopic", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS",
)  # fmt: skip

# matplotlib's settings are the process's own, so two threads that draw would mix their themes.
_LOCK = RLock()


class Look(NamedTuple):
    """How something with a name is told from others, in colour and without."""

    colour: str
    marker: str
    linestyle: str | tuple[int, tuple[int, ...]]
    hatch: str


LOOKS = (
    Look("#0072B2", "o", "-", ""),
    Look("#D55E00", "s", "--", "////"),
    Look("#009E73", "^", "-.", "...."),
    Look("#CC79A7", "D", ":", "\\\\\\\\"),
    Look("#E69F00", "v", (0, (5, 1, 1, 1, 1, 1)), "xxxx"),
    Look("#56B4E9", "P", (0, (8, 2)), "++++"),
    Look("#8A7F00", "X", (0, (1, 1)), "oooo"),
    Look("#7A7F87", "*", (0, (3, 3)), "----"),
)


@contextmanager
def themed(name: Theme) -> Iterator[None]:
    """Draw in the project's style, whatever the user's own matplotlib settings are; they come back afterwards.

    Raises:
        SettingsError: there is no such theme.
    """
    choice("theme", name, get_args(Theme))
    fonts = {"font.family": ["DejaVu Sans", *_installed_world_fonts(), "sans-serif"]}
    with _LOCK, matplotlib.style.context(["default", _STYLE, fonts, _DARK if name == "dark" else {}]):
        yield


@cache
def _installed_world_fonts() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return tuple(name for name in _WORLD_FONTS if name in installed)


def ink(name: Theme) -> str:
    """The colour of text and outlines on the theme's ground."""
    return "#e6e9ec" if name == "dark" else "#1b1f24"


def ground(name: Theme) -> str:
    """The colour behind everything."""
    return "#15181c" if name == "dark" else "#ffffff"


@cache
def rating_map() -> Colormap:
    """Colours of ratings, from 1 (dark vermilion) over grey to the scale's end (light blue).

    Lightness rises evenly all the way, in grey and under each kind of colour blindness, so seven steps stay apart.
    """
    return LinearSegmentedColormap.from_list("ratings", ["#7A2403", "#AC5128", "#9E8A80", "#86BBDD", "#B4E6FF"])


def rating_norm(scale: int) -> Normalize:
    """Where a rating lies on :func:`rating_map`; the same in every picture of a run."""
    return Normalize(1, scale)


def text_on(colour: str | tuple[float, ...]) -> str:
    """Black or white, whichever is read more easily on ``colour`` (luminance as in WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, in the names' order; the first eight differ in everything."""
    return {name: LOOKS[i % len(LOOKS)] for i, name in enumerate(dict.fromkeys(names))}


def label_order(labels: Iterable[str]) -> list[str]:
    """The labels of a population in the order in which all pictures take them: ``good`` first, then by name."""
    return sorted(set(labels), key=lambda label: (label != "good", label))


def fold(text: str, width: int = 46) -> str:
    """A title in lines that fit a column; breaks between words."""
    return "\n".join(textwrap.wrap(text, width))


def plain(text: str, limit: int = 40) -> str:
    """Text that a picture can hold: one line, no control characters (XML forbids them), at most ``limit`` long."""
    line = " ".join(text.split())
    kept = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c for c in line)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def choice(setting: str, given: str, known: Sequence[str]) -> None:
    """Refuse a value that a setting cannot have.

    Raises:
        SettingsError: names the values there are.
    """
    if given not in known:
        raise SettingsError(f"{setting}={given!r} is not one of {', '.join(known)}.{nearest(given, known)}")


def finished(figure: Figure) -> Figure:
    """Make the ticks now that matplotlib would make as it draws, when another theme may hold; inside :func:`themed`."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_major_ticks()
    return figure


def empty_figure(message: str) -> Figure:
    """A figure that says why there is nothing to see; made inside :func:`themed`."""
    figure = Figure(figsize=(COLUMN_IN, 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", wrap=True, transform=axes.transAxes)
    return figure
