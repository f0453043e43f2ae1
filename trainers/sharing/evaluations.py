"""The evaluation of a model, where the project keeps evaluations: ``evaluations/*/evaluation.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.models.local.fingerprint import fingerprint, weight_files
from sandbox.models.local.loading import adapter_chain
from trainers.evaluation.tables import markdown


def evaluation_of(folder: Path) -> tuple[str, list[str]]:
    """The newest evaluation of a model's weights as Markdown, and remarks; empty if there is none.

    Evaluations are looked for in ``evaluations/`` of the working directory, and beside the folder of the model's folder.
    """
    places = dict.fromkeys(
        place.resolve() for place in (Path("evaluations"), folder.resolve().parent.parent / "evaluations")
    )
    files = sorted((f for place in places for f in place.glob("*/evaluation.json")), key=lambda f: f.stat().st_mtime)
    mine, notes = None, []
    for file in reversed(files):
        found = _read(file)
        if mine is not None or (entry := _entry(found, folder, file)) is None:
            continue
        if _is_of_other_weights(entry, file, folder):
            notes.append(f"{file.parent.name}: evaluated other weights of this folder; left out of the card")
            continue
        mine = found
        notes.append(f"evaluation in the card: {file.parent.name}")
    if mine is None:
        return "", notes
    alarms = [f"* {words}" for words in mine.get("alarms") or ()]
    text = markdown({**mine, "command": None, "alarms": []})
    return "\n".join([text, *(["Warnings of the evaluation:", "", *alarms] if alarms else [])]), notes


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _entry(found: Mapping[str, Any], folder: Path, file: Path) -> Mapping[str, Any] | None:
    """What an evaluation says of the model in a folder; paths are read from the working directory, then from the project."""
    listed = [*(found.get("models") or ()), *((found.get("pairs") or {}).get("models") or ())]
    for one in listed:
        if not isinstance(one, dict):
            continue
        for prefix in ("hf:", "reward:"):
            rest = Path(str(one.get("uri", "")).removeprefix(prefix)).expanduser()
            for start in (Path.cwd(), file.parents[2]):
                if str(one.get("uri", "")).startswith(prefix) and (start / rest).resolve() == folder.resolve():
                    return one
    return None


def _is_of_other_weights(entry: Mapping[str, Any], file: Path, folder: Path) -> bool:
    """Whether the folder has been trained again since; known by the hash, or by the time where there is none."""
    if entry.get("fingerprint") is None:
        written = max((one.stat().st_mtime for one in weight_files(folder)), default=0.0)
        return file.stat().st_mtime < written
    try:
        return bool(entry["fingerprint"] != fingerprint(adapter_chain(folder)))
    except (SandboxError, OSError):
        return False
