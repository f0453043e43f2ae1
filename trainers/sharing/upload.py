"""What is pushed: files with their names on the hub, and remarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["model", "dataset"]
CARD = "README.md"


@dataclass(frozen=True)
class UploadFile:
    """A file of an upload.

    Attributes:
        name: Its path in the repository.
        content: Its bytes, or the file that holds them.
    """

    name: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


@dataclass(frozen=True)
class Upload:
    """A repository's content.

    Attributes:
        kind: ``model`` or ``dataset``.
        files: All files; the card is ``README.md``.
        notes: What was changed or left out.
    """

    kind: Kind
    files: Sequence[UploadFile]
    notes: Sequence[str] = ()

    @property
    def card(self) -> str:
        """Text of the card."""
        [card] = [file.content for file in self.files if file.name == CARD]
        return card.decode() if isinstance(card, bytes) else card.read_text(encoding="utf-8")
