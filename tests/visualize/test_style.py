"""Colours that everybody can tell apart, text that every picture can hold, and a style that stays in the pictures."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
from by_hand import TEXTS, told
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from sandbox.store.run import Run
from visualize.drawing.style import (
    LABEL_STYLES,
    contrast_colour,
    label_order,
    label_styles,
    one_line,
    rating_colormap,
    use_theme,
    wrap_title,
)
from visualize.plots import grid, pareto, ratings, social_graph

# Machado, Oliveira and Fernandes 2009, https://doi.org/10.1109/TVCG.2009.113, severity 1.0, in linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: object) -> np.ndarray:
    channels = np.asarray(to_rgb(colour))  # type: ignore[arg-type]
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lightness(colour: np.ndarray) -> float:
    """CIE L*, in 0..100, of a colour in linear RGB."""
    luminance = float(np.clip(colour, 0, 1) @ [0.2126, 0.7152, 0.0722])
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


@pytest.mark.parametrize("kind", BLINDNESS)
def test_lightness_of_ratings_rises_for_everybody(kind: str) -> None:
    """Seven steps, each at least 6 of 100 lighter than the one before; so they are told apart in grey as well."""
    steps = [lightness(BLINDNESS[kind] @ linear(rating_colormap()(x))) for x in np.linspace(0, 1, 7)]
    assert min(np.diff(steps)) > 6


def test_the_first_looks_differ_in_every_way() -> None:
    for part in ("colour", "marker", "hatch"):
        assert len({getattr(style, part) for style in LABEL_STYLES}) == len(LABEL_STYLES)
    assert len({str(style.linestyle) for style in LABEL_STYLES}) == len(LABEL_STYLES)


@pytest.mark.parametrize("x", np.linspace(0, 1, 15))
def test_numbers_on_squares_can_be_read(x: float) -> None:
    """Contrast by WCAG 2.2, at least 4.5 to 1."""
    square = rating_colormap()(x)
    background, foreground = (float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (square, contrast_colour(square)))
    assert (max(background, foreground) + 0.05) / (min(background, foreground) + 0.05) >= 4.5


def test_labels_come_in_one_order() -> None:
    assert label_order(["bad", "neutral", "good", "bad"]) == ["good", "bad", "neutral"]
    assert list(label_styles(["b", "a", "b"])) == ["b", "a"]


def test_text_for_a_picture_is_one_line_without_control_characters() -> None:
    assert one_line(TEXTS["control"]) == "a\ufffd[31mb\ufffdc d"
    assert one_line("  many \n\t words  ") == "many words"
    assert one_line("x" * 50) == "x" * 39 + "…"
    for text in ("chinese", "arabic", "hindi", "emoji", "html", "math"):
        assert one_line(TEXTS[text]) == TEXTS[text]


def test_titles_break_between_words() -> None:
    assert wrap_title("one two three", 7) == "one two\nthree"


def test_the_users_own_settings_are_neither_used_nor_changed() -> None:
    with matplotlib.rc_context({"font.size": 31.0, "text.parse_math": True}):
        with use_theme("dark"):
            assert matplotlib.rcParams["font.size"] == 8
        assert matplotlib.rcParams["font.size"] == 31.0


@pytest.mark.parametrize("draw", [grid.draw, social_graph.draw, ratings.draw, pareto.draw])
def test_in_the_dark_every_text_is_light(society: Run, draw: Callable[..., Figure]) -> None:
    """Ticks too, which matplotlib makes only when the figure is written, under whatever style holds then."""
    from matplotlib.text import Text

    figure = draw(society, theme="dark")
    figure.draw_without_rendering()
    assert lightness(linear(figure.get_facecolor()[:3])) < 15
    for ax in figure.axes:
        for text in [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.title, ax.xaxis.label, ax.yaxis.label]:
            if text.get_text():
                assert lightness(linear(text.get_color())) > 60, text
    for one in figure.legends:
        assert all(lightness(linear(t.get_color())) > 60 for t in one.findobj(Text) if t.get_text())


def test_a_tick_made_later_reads_no_mathematics(make_run: Callable[..., Run]) -> None:
    figure = ratings.draw(make_run([told(0, 0, (2.0, 2.0), (3.0, 3.0))]))
    figure.draw_without_rendering()
    assert not any(t.get_parse_math() for ax in figure.axes for t in [*ax.get_xticklabels(), *ax.get_yticklabels()])
