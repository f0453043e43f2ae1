"""Writes figures to files, and to bytes for a page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure

from sandbox.errors import SettingsError
from sandbox.folders import whole_file
from visualize.drawing.style import missing_glyphs_ignored, use_theme

FORMATS = ("png", "svg", "pdf")
_NO_DATE: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, SVG or PDF, chosen by the file's suffix; missing folders are created.

    The same figure gives the same bytes: files contain no date.

    Raises:
        SettingsError: the suffix is another one.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise SettingsError(f"{path.name!r} does not end in .{', .'.join(FORMATS)}; choose one of them")
    with whole_file(path) as fresh, output_settings():
        figure.savefig(fresh, format=suffix, metadata=_NO_DATE.get(suffix))
    return path


def image(figure: Figure, kind: Literal["svg", "png"], dpi: int = 150) -> bytes:
    """Render a figure as the bytes of an SVG or PNG file.

    Text in an SVG stays text, drawn with the fonts of the machine that opens it.
    """
    buffer = io.BytesIO()
    with output_settings():
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=_NO_DATE.get(kind))
    return buffer.getvalue()


@contextmanager
def output_settings() -> Iterator[None]:
    """Write figures with the project's settings; glyphs that no font has become boxes, without a warning."""
    # Either theme will do: only the settings of the file formats apply, the figure has its colours already.
    with use_theme("light"), missing_glyphs_ignored():
        yield
