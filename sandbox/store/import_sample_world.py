"""Makes a run of a world that the paper's authors' program simulated."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.errors import DataFileError, RunExists
from sandbox.metrics.round_metrics import round_metrics
from sandbox.records import Interaction
from sandbox.store.manifest import environment
from sandbox.store.run import Run, open_run
from sandbox.store.sample_world import DIMENSIONS, LISTS, SCALE, UNKNOWN, Row, read_row, row_faults
from sandbox.store.writer import RunWriter

_NOTE_ORDER = (
    "the release sorts feedback by rating but not the reviewers: who is in an audience is known, who gave which rating "
    "is not"
)


def import_sample_world(folder: str | Path, out: str | Path, *, command: str = "") -> Run:
    """Make a run of a world in the authors' layout.

    Ratings are kept as they are; one that lies outside 1..7 or could not be read is None, with what stood there as its
    raw text. What the layout does not tell (models, seeds, prompts) is ``unknown`` in the manifest.

    Args:
        folder: Holds ``external_memory``, or is it.
        out: The run's folder; must not exist, or be empty.
        command: How to repeat it, for the manifest.

    Returns:
        The run, to be read.

    Raises:
        DataFileError: names every file and record that cannot be read; nothing has been written then.
        RunExists: ``out`` is there and not empty.
    """
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunExists(f"{target} already holds something; choose another --out")
    files = _agent_files(Path(folder))
    faults: list[str] = []
    records = {agent: _read(path, faults) for agent, path in files.items()}
    if faults:
        raise DataFileError(f"{folder} cannot be imported:\n" + "\n".join(f"  {fault}" for fault in faults))
    interactions, notes = _interactions(records)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there when it is whole: half a world is not taken for one.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        fresh = Path(temporary) / "run"
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
            f"{folder} holds no external_memory/agent_0.jsonl, agent_1.jsonl, ...; is it a sample world?"
        )
    return dict(sorted(found.items()))


def _read(path: Path, faults: list[str]) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path.name} cannot be read: {error}")
        return []
    except ValueError as error:
        if text.startswith("version https://git-lfs"):
            faults.append(f"{path.name} is a pointer of Git LFS, not the file; fetch it with: git lfs pull")
        else:
            faults.append(f"{path.name} is not JSON: {error}")
        return []
    if not isinstance(rows, list):
        faults.append(f"{path.name} holds a {type(rows).__name__}; expected an array of interactions")
        return []
    for number, row in enumerate(rows, 1):
        faults += [f"{path.name}, record {number}: {fault}" for fault in row_faults(row)]
    return rows


def _interactions(records: Mapping[int, Sequence[Row]]) -> tuple[list[Interaction], list[str]]:
    """Every record as an interaction, in the order of rounds and agents; and what a reader should know of them."""
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
        notes.append(
            f"{uneven} records have not as many ratings or reasons as reviewers; they are paired from the first"
        )
    return sorted(found, key=lambda it: (it.round, it.agent)), notes


def _manifest(folder: Path, records: Mapping[int, Sequence[Row]], notes: Sequence[str], command: str) -> dict[str, Any]:
    nobody = {"uri": UNKNOWN, "fingerprint": UNKNOWN}
    return {
        "command": command,
        "scenario": folder.resolve().name,
        "rubric": {"dimensions": list(DIMENSIONS), "scale": SCALE},
        "protocol": "back_scatter",
        "size": _side(_everybody(records)),
        "population": UNKNOWN,
        "seed": UNKNOWN,
        "models": {"agents": nobody, "observer": nobody},
        "raters": {"neighbours": "lm", "observer": "lm"},
        "settings": {},
        "notes": [f"imported from a sample world of {len(records)} agents", *notes],
        **environment(),
    }


def _everybody(records: Mapping[int, Sequence[Row]]) -> list[int]:
    """Agents with a file, and those only heard of as reviewers."""
    reviewers = {agent for rows in records.values() for row in rows for agent in row["target_id"]}
    return sorted({*records, *reviewers})


def _side(agents: Sequence[int]) -> int:
    """The side of the square grid that holds the agents; theirs are numbered row by row."""
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
            told = list(group)
            for interaction in told:
                store.commit(interaction)
            memories = [(it.agent, it.question, it.final) for it in told if it.final is not None]
            metrics = round_metrics(told, list(DIMENSIONS), scale=SCALE, label_of=labels.get, earlier=earlier)
            store.finish_round(round_, memories, metrics)
            earlier.append(metrics)
    finally:
        store.close()
