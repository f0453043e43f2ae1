"""What a comparison of trainers comes to: means over seeds, paired differences to the base, and the table of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.folders import write_json, write_text
from sandbox.metrics.intervals import mean_interval

SCHEMA = 1

Record = Mapping[str, Any]


def summary(header: Record, trainers: Mapping[str, Record], records: Mapping[str, Record]) -> dict[str, Any]:
    """The content of ``comparison.json``.

    Args:
        header: What was held equal.
        trainers: For each, what its record in the result begins with.
        records: Of the jobs: ``base``, and ``TRAINER-SEED``.
    """
    base = records["base"]
    measures = list(base["scores"])
    entries = []
    for name, about in trainers.items():
        mine = {seed: records[f"{name}-{seed}"] for seed in header["seeds"]}
        done = {seed: record for seed, record in mine.items() if record["status"] == "done"}
        entries.append(
            {
                "name": name,
                **about,
                "done": list(done),
                "failed": {str(seed): r["error"] for seed, r in mine.items() if r["status"] == "failed"},
                "scores": {m: _score(m, list(done.values()), base) for m in measures},
                "answer_tokens": _mean([r["answer_tokens"] for r in done.values()]),
                "seconds": _mean([r["seconds"] for r in done.values()]),
                "cpu_seconds": _mean([r["cpu_seconds"] for r in done.values()]),
                "memory_mib": _mean([r["memory_mib"] for r in done.values()]),
            }
        )
    own = {m: mean_interval(list(base["scores"][m].values()))._asdict() for m in measures}
    return {
        **header,
        "measures": measures,
        "base_scores": own,
        "base_answer_tokens": base["answer_tokens"],
        "trainers": entries,
    }


def _score(measure: str, done: Sequence[Record], base: Record) -> dict[str, Any]:
    """Mean, difference to the base paired by question after averaging over seeds, and each seed's difference."""
    theirs: Mapping[str, float] = base["scores"][measure]
    mine: list[Mapping[str, float]] = [record["scores"][measure] for record in done]
    both = [item for item in theirs if mine and all(item in one for one in mine)]
    means = [float(np.mean([one[item] for one in mine])) for item in both]
    differences = [mean - theirs[item] for mean, item in zip(means, both, strict=True)]
    return {
        "mean": _mean(means),
        "difference": mean_interval(differences)._asdict(),
        "seeds": [_mean([one[item] - theirs[item] for item in both]) for one in mine],
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def write_comparison(result: Mapping[str, Any], folder: Path) -> None:
    """Write ``comparison.json``, and ``comparison.md`` to be read, each in one step."""
    write_json(folder / "comparison.json", result, indent=1)
    write_text(folder / "comparison.md", markdown(result))


def cells(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table: its columns, and a row for the base and each trainer."""
    measures = result["measures"]
    columns = ["trainer", *measures, "answer tokens", "training tokens", "s", "CPU s", "MiB"]
    rows = [
        [
            "base",
            *(_own(result["base_scores"][m]["mean"]) for m in measures),
            _whole(result["base_answer_tokens"]),
            *[""] * 4,
        ]
    ]
    for entry in result["trainers"]:
        failed = f" ({len(entry['failed'])} failed)" if entry["failed"] else ""
        rows.append(
            [
                entry["name"] + failed,
                *(_difference(entry["scores"][m]["difference"]) for m in measures),
                _whole(entry["answer_tokens"]),
                f"{entry['tokens']:,}",
                _whole(entry["seconds"]),
                _whole(entry["cpu_seconds"]),
                _whole(entry["memory_mib"]),
            ]
        )
    return columns, rows


def title(result: Mapping[str, Any]) -> str:
    """What the numbers of the table are."""
    n = max((s["n"] for s in result["base_scores"].values()), default=0)
    heldout = next((s["n"] for m, s in result["base_scores"].items() if m.startswith("heldout")), n)
    seeds = len(result["seeds"])
    return (
        f"{len(result['trainers'])} trainers from {result['base']}, {seeds} seed{'s' * (seeds != 1)}, {heldout} "
        f"questions, judge {result['judge']}: the base's mean, and each trainer's difference to it, paired, with a 95% "
        "interval over questions"
    )


def _own(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _difference(score: Mapping[str, Any]) -> str:
    if score["mean"] is None or math.isnan(score["mean"]):
        return "-"
    if score["low"] is None or math.isnan(score["low"]):
        return f"{score['mean']:+.2f}"
    return f"{score['mean']:+.2f} [{score['low']:+.2f}, {score['high']:+.2f}]"


def _whole(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.0f}"


def markdown(result: Mapping[str, Any]) -> str:
    """The table as Markdown, with the command that repeats it."""
    columns, rows = cells(result)
    lines = [
        "| " + " | ".join(columns) + " |",
        "|---" + "|---:" * (len(columns) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    failed = [
        f"* {entry['name']}, seed {seed}: {error}"
        for entry in result["trainers"]
        for seed, error in entry["failed"].items()
    ]
    parts = ["\n".join(lines), f"{title(result)}.", *(["\n".join(["Failed:", *failed])] if failed else [])]
    if result["command"]:
        parts.insert(0, f"```sh\n{result['command']}\n```")
    return "\n\n".join(parts) + "\n"
