"""Identity of a comparison, stored in its folder, so that different comparisons are not mixed.

Knows no training or evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.folders import check_same_identity, write_json
from trainers.comparison.settings import ComparisonSettings


class ComparisonPlan:
    """The identity of a comparison and its token counts, stored in its folder.

    Args:
        folder: Folder of the comparison.
        sources: Sources of the rows.
        held: Settings of the comparison.
        settings: Settings of each trainer.

    Raises:
        RunExists: the folder contains another comparison.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[str | Path],
        held: ComparisonSettings,
        settings: Mapping[str, Mapping[str, Any]],
    ) -> None:
        ours = {"sources": [str(source) for source in sources], **asdict(held)}
        if not held.rates:
            del ours["rates"]  # as in comparisons that were made before there were rates
        self._file = folder / "plan.json"
        fresh = {**ours, "settings": {}, "tokens_a_step": {}}
        self.kept: dict[str, Any] = json.loads(self._file.read_text("utf-8")) if self._file.exists() else fresh
        # Trainers may be added; existing ones keep their settings.
        added = {name: dict(given) for name, given in settings.items()}
        check_same_identity(
            folder,
            {**self.kept, "settings": {name: self.kept["settings"].get(name, given) for name, given in added.items()}},
            {**ours, "settings": added},
            what="comparison",
        )
        self.kept["settings"] |= added
        self.save()

    def save(self) -> None:
        """Write the plan atomically."""
        write_json(self._file, self.kept, indent=1)
