"""The pieces that a tutorial is made of: prose, blocks of code or commands, and pictures that a block has made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "tutorials"
ORDER = (
    "first_society", "own_scenario", "own_protocol", "own_trainer", "own_reward", "look", "evaluate_and_evolve", "other_models",
)  # fmt: skip
_PIECE = re.compile(
    r'^```(?P<language>python|sh|yaml|json)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^```$'
    r"|<!-- picture: (?P<file>\S+): (?P<words>.+?) -->",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Prose:
    """Markdown between blocks."""

    source: str


@dataclass(frozen=True)
class Block:
    """Code, commands or the content of a file, with the Markdown that it stands in.

    Attributes:
        title: The file that it is written to, instead of being run.
    """

    source: str
    language: str
    title: str | None
    code: str

    def commands(self) -> list[str]:
        """The lines of commands; one that is continued after a backslash is one line."""
        return re.sub(r"\s*\\\n\s*", " ", self.code).splitlines() if self.language == "sh" and not self.title else []


@dataclass(frozen=True)
class Picture:
    """A picture that a block has written, and what it shows."""

    source: str
    file: str
    words: str


Piece = Prose | Block | Picture


def is_run(command: str) -> bool:
    """Whether the build runs a line of a block of commands."""
    return command.startswith("sandbox ")


def tutorials() -> list[str]:
    """Names of the tutorials: those of the order, then any others."""
    return [*ORDER, *sorted(path.stem for path in FOLDER.glob("*.md") if path.stem not in ORDER)]


def source(name: str) -> str:
    """The Markdown of a tutorial.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def pieces(text: str) -> Iterator[Piece]:
    """Split the Markdown of a tutorial; joined, the sources of its pieces are the text."""
    at = 0
    for found in _PIECE.finditer(text):
        if text[at : found.start()]:
            yield Prose(text[at : found.start()])
        if found["file"]:
            yield Picture(found[0], found["file"], found["words"])
        else:
            yield Block(found[0], found["language"], found["title"], found["code"])
        at = found.end()
    if text[at:]:
        yield Prose(text[at:])
