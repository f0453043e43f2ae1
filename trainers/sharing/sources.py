"""Where rows come from: facts of the runs and files that they were made of, kept beside a file of rows.

``rows.jsonl`` has its facts in ``rows.jsonl.about.json``, which ``sandbox dataset`` writes; a file of rows holds rows only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.data_files import is_hub_name
from sandbox.folders import write_json
from sandbox.models.local.fingerprint import file_sha256
from sandbox.storage_errors import read_as_written
from sandbox.store.manifest import command_line
from sandbox.store.run import Run, is_run, open_run

SCHEMA = 1
# What the keys of FILE.about.json mean; for the page of file formats.
FIELDS: dict[str, str] = {
    "schema": "Version of the format.",
    "sha256": "Hash of the file of rows; facts of another file are not used.",
    "kind": "Kind of the rows.",
    "command": "Command that made them.",
    "rated_by": "Reward or dimension that rates the rows; empty for the first dimension of the rubric.",
    "statistics": "What the rows hold, in numbers: rows, questions, parts, ratings, left_out and others.",
    "sources": "One object for each run, file or dataset that the rows are made of.",
    "sources.name": "Its path, as given, or the name of a dataset.",
    "sources.kind": "run, file or dataset.",
    "sources.scenario": "Scenario of the run.",
    "sources.protocol": "Its protocol.",
    "sources.agents": "Number of agents that ever lived.",
    "sources.rounds": "Complete rounds.",
    "sources.interactions": "Number of interactions.",
    "sources.failed": "Those that failed.",
    "sources.models": "URIs of the language models that spoke.",
    "sources.raters": "Raters of neighbours and of the observer.",
    "sources.dimensions": "Dimensions of the rubric.",
    "sources.scale": "Highest rating.",
    "sources.seed": "Seed of the run.",
    "sources.sandbox": "Version of the program that recorded it.",
}


def run_facts(run: Run) -> dict[str, Any]:
    """What a run is, for cards: scenario, counts, models that spoke, raters."""
    with read_as_written(f"the record of {run.path}"):
        return _run_facts(run)


def _run_facts(run: Run) -> dict[str, Any]:
    about, frame = run.manifest, run.frame()
    listed = {k: v for k, v in about.get("models", {}).items() if k != "observer"}
    spoke = [str(uri) for uri in run.agents()["model"].dropna().unique() if uri] or _uris(listed)
    return {
        "name": str(run.path),
        "kind": "run",
        "scenario": about.get("scenario", "unknown"),
        "protocol": about.get("protocol", "unknown"),
        "agents": len(run.agents()),
        "rounds": run.rounds,
        "interactions": len(frame),
        "failed": int(frame["error"].notna().sum()),
        "models": list(dict.fromkeys(spoke)),
        "raters": about.get("raters", {}),
        "dimensions": run.dimensions,
        "scale": run.scale,
        "seed": about.get("seed"),
        "sandbox": about.get("sandbox"),
    }


def _uris(models: Any) -> list[str]:
    """All URIs in the manifest's models."""
    if isinstance(models, Mapping):
        own = [str(models["uri"])] if "uri" in models else []
        return own + [uri for key, value in models.items() if key != "uri" for uri in _uris(value)]
    return [uri for one in models for uri in _uris(one)] if isinstance(models, list) else []


def source_facts(sources: Sequence[str]) -> list[dict[str, Any]]:
    """Facts of runs, files and hub datasets; those of a file that has its own beside it are taken from there."""
    found: list[dict[str, Any]] = []
    for source in sources:
        if is_run(source):
            found.append(run_facts(open_run(source)))
        elif is_hub_name(source):
            found.append({"name": source, "kind": "dataset"})
        elif (about := read_about(Path(source))) is not None:
            found += about["sources"] or [{"name": source, "kind": "file"}]
        else:
            found.append({"name": source, "kind": "file"})
    return found


def about_path(file: Path) -> Path:
    """Where the facts of a file of rows stand."""
    return file.with_name(f"{file.name}.about.json")


def write_about(
    file: Path,
    kind: str,
    facts: Sequence[Mapping[str, Any]],
    rated_by: Mapping[str, str],
    statistics: Mapping[str, Any],
) -> None:
    """Write the facts of a file of rows beside it; those of its sources are given."""
    content = {
        "schema": SCHEMA,
        "sha256": file_sha256(file),
        "kind": str(kind),
        "command": command_line(),
        "rated_by": dict(rated_by),
        "statistics": dict(statistics),
        "sources": list(facts),
    }
    write_json(about_path(file), content, indent=1)


def read_about(file: Path) -> dict[str, Any] | None:
    """The facts of a file of rows; None if there are none, or they are of another file."""
    path = about_path(file)
    if not file.is_file() or not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("schema") == SCHEMA and set(FIELDS) >= set(found)
    return found if known and found.get("sha256") == file_sha256(file) else None


def source_lines(facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Facts of sources as a Markdown list, each once."""
    lines = []
    for one in facts:
        name = f"`{one['name']}`"
        if one["kind"] != "run":
            lines.append(f"* {one['kind']} {name}")
            continue
        models = ", ".join(f"`{uri}`" for uri in one["models"]) or "unknown"
        raters = one["raters"]
        failed = f", {one['failed']:,} of them failed" if one["failed"] else ""
        lines.append(
            f"* run {name}: scenario `{one['scenario']}`, protocol `{one['protocol']}`, {one['agents']:,} agents, "
            f"{one['rounds']:,} rounds, {one['interactions']:,} interactions{failed}; agents speak with {models}; answers are "
            f"rated on {', '.join(one['dimensions'])} (1 to {one['scale']}) by neighbours (`{raters.get('neighbours', '?')}`) "
            f"and an observer (`{raters.get('observer', '?')}`); seed {one['seed']}"
        )
    return list(dict.fromkeys(lines))
