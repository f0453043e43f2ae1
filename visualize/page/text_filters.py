"""Numbers, settings and texts as the report shows them. Knows no page."""

from __future__ import annotations

from typing import Any


def show_number(value: float | None, form: str = ".2f") -> str:
    """A number in a format; a dash for None and NaN."""
    return "–" if value is None or value != value else format(value, form)


def show_plainly(value: Any) -> str:
    """A setting, or nested settings, as text."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {show_plainly(one)}" for name, one in value.items())
    return "none" if value is None else str(value)


def shorten(text: str | None, cut: int | None) -> str:
    """A text, shortened to ``cut`` characters; a dash for None."""
    if text is None:
        return "–"
    if cut is None or len(text) <= cut:
        return text
    return f"{text[:cut]} … ({len(text) - cut} more characters are in the record)"
