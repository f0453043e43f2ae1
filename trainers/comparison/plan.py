"""What a folder compares, kept in it, so that nothing else is mixed in.

How models are trained and measured is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.errors import RunExists
from sandbox.folders import write_json
from trainers.comparison.settings import ComparisonSettings


class ComparisonPlan:
    """What a folder compares: kept in it, so that nothing else is mixed in, and so that counting is done once.

    Args:
        folder: The comparison's.
        sources: Of the rows.
        held: What is held equal.
        settings: Of each trainer.

    Raises:
        RunExists: something else is compared there.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[str | Path],
        held: ComparisonSettings,
        settings: Mapping[str, Mapping[str, Any]],
    ) -> None:
        ours = {"sources": [str(source) for source in sources], **asdict(held)}
        self._file = folder / "plan.json"
        fresh = {**ours, "settings": {}, "tokens_a_step": {}}
        self.kept: dict[str, Any] = json.loads(self._file.read_text("utf-8")) if self._file.exists() else fresh
        wrong = [f"its {n} is {self.kept.get(n)!r}, not {v!r}" for n, v in ours.items() if self.kept.get(n) != v]
        wrong += [
            f"its settings of {name} are {self.kept['settings'][name]}, not {dict(given)}"
            for name, given in settings.items()
            if self.kept["settings"].get(name, given) != given
        ]
        if wrong:
            raise RunExists(f"{folder} holds another comparison: {'; '.join(wrong)}. Choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        self.kept["settings"] |= {name: dict(given) for name, given in settings.items()}
        self.save()

    def save(self) -> None:
        """Write it, in one step."""
        write_json(self._file, self.kept, indent=1)
