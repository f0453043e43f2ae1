"""Writes figures: to files for people, and to bytes for a page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure

from sandbox.errors import SettingsError
from visualize.drawing.style import themed

FORMATS = ("png", "svg", "pdf")
_UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, SVG or PDF, by the file's suffix; folders are made.

    The same figure gives the same bytes: no date is written into it.

    Raises:
        SettingsError: the suffix is none of these.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise SettingsError(f"{path.name!r} does not end in .{', .'.join(FORMATS)}; choose one of them")
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing():
        figure.savefig(path, format=suffix, metadata=_UNDATED.get(suffix))
    return path


def image(figure: Figure, kind: Literal["svg", "png"], dpi: int = 150) -> bytes:
    """A figure as the bytes of an SVG or PNG file.

    Text in an SVG stays text, so whoever opens it needs a font for it, not this machine.
    """
    buffer = io.BytesIO()
    with writing():
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=_UNDATED.get(kind))
    return buffer.getvalue()


@contextmanager
def writing() -> Iterator[None]:
    """Write figures in the project's own settings; letters that no font has are drawn as boxes without a word."""
    # Of the theme only the formats' own settings matter here: the colours are in the figure.
    with themed("light"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
