"""Import of a world simulated by the paper's released code, as a run."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.data_files import json_type, parse_json, read_text
from sandbox.errors import DataFileError, RunExists
from sandbox.folders import draft_folder
from sandbox.metrics.round_metrics import round_metrics
from sandbox.records import Interaction
from sandbox.store.manifest import environment
from sandbox.store.run import Run, open_run
from sandbox.store.sample_world import DIMENSIONS, LISTS, MAX_AGENT, SCALE, UNKNOWN, Row, read_row, row_faults
from sandbox.store.writer import RunWriter

_NOTE_ORDER = (
    "the release sorts feedback by rating but not the reviewers: the audience is known, but not which reviewer gave which "
    "rating"
)


def import_sample_world(folder: str | Path, out: str | Path, *, command: str = "") -> Run:
    """Make a run from a world in the authors' layout.

    Ratings are kept; a rating outside 1..7 or unreadable is None, with the original as raw text. Facts that the layout lacks
    (models, seeds, prompts) are ``unknown`` in the manifest.

    Args:
        folder: ``external_memory``, or the folder that contains it.
        out: Run folder; must be missing or empty.
        command: Command that repeats the import, for the manifest.

    Returns:
        The run, opened for reading.

    Raises:
        DataFileError: names every file and record that cannot be read; nothing is written.
        RunExists: ``out`` is not empty.
    """
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunExists(f"{target} is not empty; choose another --out")
    files = _agent_files(Path(folder))
    faults: list[str] = []
    records = {agent: _read(path, faults) for agent, path in files.items()}
    if faults:
        raise DataFileError(f"{folder} cannot be imported:\n" + "\n".join(f"  {fault}" for fault in faults))
    interactions, notes = _interactions(records)
    # Written beside its place and moved when complete.
    with draft_folder(target, alone=True) as draft:
        fresh = draft / "run"
        _write_run(fresh, interactions, records, _manifest(Path(folder), records, notes, command))
        os.replace(fresh, target)
    return open_run(target)


def _agent_files(folder: Path) -> dict[int, Path]:
    inner = folder / "external_memory"
    place = inner if inner.is_dir() else folder
    named = ((re.fullmatch(r"agent_(\d+)\.jsonl?", path.name), path) for path in place.glob("agent_*"))
    found = {int(match.group(1)): path for match, path in named if match is not None}
    if not found:
        raise DataFileError(
            f"{folder} contains no external_memory/agent_0.jsonl, agent_1.jsonl, ...; expected a sample world"
        )
    strange = next((path for agent, path in found.items() if agent > MAX_AGENT), None)
    if strange is not None:
        raise DataFileError(f"{strange}: the number of the agent is above {MAX_AGENT}")
    return dict(sorted(found.items()))


def _read(path: Path, faults: list[str]) -> list[Row]:
    try:
        text = read_text(path)
        if text.startswith("version https://git-lfs"):
            raise DataFileError(f"{path} is a Git LFS pointer, not the file; fetch it with: git lfs pull")
        rows = parse_json(text, str(path), check_texts=False)
    except DataFileError as error:
        faults.append(str(error).replace(str(path), path.name, 1))
        return []
    if not isinstance(rows, list):
        faults.append(f"{path.name} contains {json_type(rows)}; expected an array of interactions")
        return []
    for number, row in enumerate(rows, 1):
        faults += [f"{path.name}, record {number}: {fault}" for fault in row_faults(row)]
    return rows


def _interactions(records: Mapping[int, Sequence[Row]]) -> tuple[list[Interaction], list[str]]:
    """Convert all records to interactions, in the order of rounds and agents; and notes for readers."""
    notes = [_NOTE_ORDER]
    iterations = {
        agent: [i for row in rows if type(i := row.get("iteration")) is int] for agent, rows in records.items()
    }
    if all(len(set(iterations[agent])) == len(rows) for agent, rows in records.items()):
        known = {i for given in iterations.values() for i in given}
        numbers = {i: number for number, i in enumerate(sorted(known))}
        rounds = {agent: [numbers[i] for i in given] for agent, given in iterations.items()}
    else:
        rounds = {agent: list(range(len(rows))) for agent, rows in records.items()}
        notes.append("iterations are missing or repeated; rounds are the order of an agent's records")
    found = [
        read_row(agent, round_, row)
        for agent, rows in records.items()
        for round_, row in zip(rounds[agent], rows, strict=True)
    ]
    uneven = sum(len({len(row[name]) for name in LISTS}) > 1 for rows in records.values() for row in rows)
    if uneven:
        notes.append(f"{uneven} records have fewer or more ratings or reasons than reviewers; they are paired in order")
    return sorted(found, key=lambda it: (it.round, it.agent)), notes


def _manifest(folder: Path, records: Mapping[int, Sequence[Row]], notes: Sequence[str], command: str) -> dict[str, Any]:
    unknown = {"uri": UNKNOWN, "fingerprint": UNKNOWN}
    return {
        "command": command,
        "scenario": folder.resolve().name,
        "rubric": {"dimensions": list(DIMENSIONS), "scale": SCALE},
        "protocol": "back_scatter",
        "size": _side(_everybody(records)),
        "population": UNKNOWN,
        "seed": UNKNOWN,
        "models": {"agents": unknown, "observer": unknown},
        "raters": {"neighbours": "lm", "observer": "lm"},
        "settings": {},
        "notes": [f"imported from a sample world of {len(records)} agents", *notes],
        **environment(),
    }


def _everybody(records: Mapping[int, Sequence[Row]]) -> list[int]:
    """Agents with a file, and those that occur only as reviewers."""
    reviewers = {agent for rows in records.values() for row in rows for agent in row["target_id"]}
    return sorted({*records, *reviewers})


def _side(agents: Sequence[int]) -> int:
    """The side of the square grid of the agents, which are numbered row by row."""
    return math.isqrt(max(agents)) + 1


def _write_run(
    path: Path, interactions: Sequence[Interaction], records: Mapping[int, Sequence[Row]], manifest: Mapping[str, Any]
) -> None:
    everybody = _everybody(records)
    side = _side(everybody)
    labels = {it.agent: it.label for it in interactions}
    store = RunWriter(path, manifest)
    try:
        store.add_agents((a, f"Agent {a}", labels.get(a, UNKNOWN), *divmod(a, side)) for a in everybody)
        earlier: list[dict[str, Any]] = []
        for round_, group in itertools.groupby(interactions, key=lambda it: it.round):
            done = list(group)
            for interaction in done:
                store.commit(interaction)
            memories = [(it.agent, it.question, it.final) for it in done if it.final is not None]
            metrics = round_metrics(done, list(DIMENSIONS), scale=SCALE, label_of=labels.get, earlier=earlier)
            store.finish_round(round_, memories, metrics)
            earlier.append(metrics)
    finally:
        store.close()
