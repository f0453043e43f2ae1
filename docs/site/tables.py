"""What pages that are made from the program share: writing a page, and tables of settings."""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Any

import mkdocs_gen_files
from file_fields import described

from sandbox.typed_settings import Bounds


def write(page: str, text: str, source: str = "") -> None:
    """Write a page of the site; ``source`` is the file of the repository that it shows."""
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text if not source else f"<!-- source: {source} -->\n{text}")


def required(words: str | None, what: str) -> str:
    """Words that a page needs.

    Raises:
        ValueError: there are none; names what has none.
    """
    if not (words or "").strip():
        raise ValueError(f"{what} has no description, so that its page cannot be made; write one")
    return str(words)


def first_line(text: str | None) -> str:
    """The first sentence of a docstring, on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def type_name(hint: Any) -> tuple[str, str]:
    """A type and the range of its values, in words."""
    span = ""
    if typing.get_origin(hint) is typing.Annotated:
        span = ", ".join(str(one) for one in hint.__metadata__ if isinstance(one, Bounds))
        hint = hint.__origin__
    if typing.get_origin(hint) is typing.Literal:
        return "choice", ", ".join(f"`{one}`" for one in typing.get_args(hint))
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    return re.sub(r"\b(?:[a-z_]+\.)+", "", name).replace(" | ", " or "), span


def _default(field: Any) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def settings_table(owner: Any, without: Any = None) -> str:
    """A table of a dataclass's fields: name, type, range, default, description."""
    words, hints = described(owner), typing.get_type_hints(owner, include_extras=True)
    known = {field.name: _default(field) for field in dataclasses.fields(without)} if without else {}
    lines = ["| setting | type | range | default | |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(owner):
        if field.name in known and _default(field) == known[field.name]:
            continue
        default = "" if (value := _default(field)) is dataclasses.MISSING else f"`{value!r}`"
        name, span = type_name(hints[field.name])
        described_as = required(
            words.get(field.name), f"setting {field.name!r} of {owner.__module__}.{owner.__qualname__}"
        )
        cells = (f"`{field.name}`", f"`{name}`", span, default, described_as)
        lines.append("| " + " | ".join(cell(one) for one in cells) + " |")
    return "\n".join(lines)
