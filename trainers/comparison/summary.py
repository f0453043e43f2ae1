"""Results of a comparison: means over seeds, paired differences to the base, and their table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.folders import write_json, write_text
from sandbox.metrics.intervals import mean_interval, share_interval

SCHEMA = 1
# What the keys of comparison.json mean; names within an object, or the objects of a list, follow a dot.
FIELDS: dict[str, str] = {
    "schema": "Version of the format.",
    "command": "Command that repeats the comparison.",
    "sources": "Runs and files that the rows were made of.",
    "base": "URI of the base model.",
    "tokens": "Budget of each training, in tokens; null if it is in steps.",
    "steps": "Budget of each training, in steps; null if it is in tokens.",
    "questions": "File of the questions, or scenario; null for the held-out questions of the scenario.",
    "n_questions": "Number of questions; null for all.",
    "scenario": "Scenario that brings the rubric.",
    "judge": "The judge.",
    "embedder": "Embedder of judges by values.",
    "samples": "Answers to each question.",
    "max_tokens": "Maximum length of an answer.",
    "pairs": "File of held-out pairs; null for none.",
    "n_pairs": "Number of pairs; null for all.",
    "reward": "Reward that rated the rows; null for ratings.",
    "dimension": "Dimension that rated the rows; null for the first.",
    "rates": "Learning rates tried with each trainer.",
    "seeds": "Seeds of the trainings.",
    "rows": "What the rows of each kind held, in numbers.",
    "alarms": "Judges that cannot tell answers from texts that are none, in words.",
    "measures": "Names of what is compared.",
    "base_scores": "Mean of each measure for the base, with a 95% interval: mean, low, high, n.",
    "base_answer_tokens": "Mean length of the base's answers, in tokens.",
    "trainers": "One object for each trainer.",
    "trainers.name": "Its name.",
    "trainers.kind": "Kind of rows it learns from.",
    "trainers.steps": "Steps of its trainings.",
    "trainers.tokens": "Tokens of its trainings.",
    "trainers.rates": "What each learning rate that was tried gave, if several were.",
    "trainers.learning_rate": "The one that was chosen of them.",
    "trainers.done": "Seeds whose trainings are done.",
    "trainers.failed": "Seeds whose trainings failed, and why.",
    "trainers.notes": "Remarks on its trainings.",
    "trainers.scores": "Of each measure its mean, the difference from the base, paired by question, and that of each seed.",
    "trainers.answer_tokens": "Mean length of its models' answers, in tokens.",
    "trainers.seconds": "Mean time of a training, in seconds.",
    "trainers.cpu_seconds": "Mean processor time of a training, in seconds.",
    "trainers.memory_mib": "Mean peak memory of a training, in MiB.",
    "between": "Differences between trainers, paired by question and seed, with p values corrected for their number (Holm).",
}

Record = Mapping[str, Any]


def summary(header: Record, trainers: Mapping[str, Record], records: Mapping[str, Record]) -> dict[str, Any]:
    """The content of ``comparison.json``.

    Args:
        header: Settings of the comparison.
        trainers: For each trainer, the first fields of its record.
        records: Records of the jobs: ``base``, and ``TRAINER-SEED``.
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
                # In the order of their first occurrence.
                "notes": list(dict.fromkeys(note for record in done.values() for note in record.get("notes", ()))),
                "scores": {m: _score(m, list(done.values()), base) for m in measures},
                "answer_tokens": _mean([r["answer_tokens"] for r in done.values()]),
                "seconds": _mean([r["seconds"] for r in done.values()]),
                "cpu_seconds": _mean([r["cpu_seconds"] for r in done.values()]),
                "memory_mib": _mean([r["memory_mib"] for r in done.values()]),
            }
        )
    own = {m: _own_interval(m, list(base["scores"][m].values())) for m in measures}
    return {
        **header,
        "alarms": base.get("alarms", []),
        "measures": measures,
        "base_scores": own,
        "base_answer_tokens": base["answer_tokens"],
        "trainers": entries,
        "between": _between(header, trainers, records, measures),
    }


def _own_interval(measure: str, values: Sequence[float]) -> dict[str, Any]:
    """Shares, as the preference accuracy is one, have Wilson's interval; means Student's."""
    interval = share_interval if measure == "preference accuracy" else mean_interval
    return interval(values)._asdict()


def _between(
    header: Record, trainers: Mapping[str, Record], records: Mapping[str, Record], measures: Sequence[str]
) -> list[dict[str, Any]]:
    """Differences between every two trainers, with p values corrected for their number within each measure."""
    found = []
    for first, second in combinations(trainers, 2):
        seeds = [
            s
            for s in header["seeds"]
            if records[f"{first}-{s}"]["status"] == records[f"{second}-{s}"]["status"] == "done"
        ]
        entry: dict[str, Any] = {"first": first, "second": second, "scores": {}}
        for measure in measures:
            ours = [records[f"{first}-{s}"]["scores"][measure] for s in seeds]
            theirs = [records[f"{second}-{s}"]["scores"][measure] for s in seeds]
            both = [item for item in (ours[0] if ours else ()) if all(item in one for one in (*ours, *theirs))]
            table = np.array([[a[i] - b[i] for i in both] for a, b in zip(ours, theirs, strict=True)])
            entry["scores"][measure] = crossed_interval(table)
        found.append(entry)
    for measure in measures:
        corrected = holm([entry["scores"][measure]["p"] for entry in found])
        for entry, p in zip(found, corrected, strict=True):
            entry["scores"][measure]["p_holm"] = p
    return found


def crossed_interval(table: NDArray[np.float64]) -> dict[str, Any]:
    """Mean of values that depend on a question and on a seed, with a 95% interval over both.

    The variance of the mean is that of the questions' means and that of the seeds' means, each over its number; Student's
    t has Satterthwaite's degrees of freedom. With one seed the interval is over questions alone.

    Args:
        table: Shape [seeds, questions].

    Returns:
        ``mean``, ``low``, ``high``, two-sided ``p``, ``n`` questions and ``seeds``; NaN where there is too little to say.
    """
    from scipy.special import stdtr, stdtrit

    seeds, n = table.shape if table.ndim == 2 else (0, 0)
    empty = {"mean": math.nan, "low": math.nan, "high": math.nan, "p": math.nan, "n": n, "seeds": seeds}
    if n == 0:
        return empty
    mean = float(table.mean())
    parts = [
        (float(means.var(ddof=1)) / len(means), len(means) - 1)
        for means in (table.mean(0), table.mean(1))
        if len(means) > 1
    ]
    variance = sum(v for v, _ in parts)
    if variance <= 0:
        return {**empty, "mean": mean}
    freedom = variance**2 / sum(v**2 / k for v, k in parts)
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, 0.975)) * error
    p = 2 * float(stdtr(freedom, -abs(mean) / error))
    return {"mean": mean, "low": mean - half, "high": mean + half, "p": p, "n": n, "seeds": seeds}


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number by Holm's step-down method (Holm 1979); NaN stays NaN and does not count."""
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    found, highest = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        found[i] = highest
    return found


def _score(measure: str, done: Sequence[Record], base: Record) -> dict[str, Any]:
    """Mean, difference to the base paired by question with an interval over questions and seeds, and each seed's."""
    theirs: Mapping[str, float] = base["scores"][measure]
    mine: list[Mapping[str, float]] = [record["scores"][measure] for record in done]
    both = [item for item in theirs if mine and all(item in one for one in mine)]
    means = [float(np.mean([one[item] for one in mine])) for item in both]
    differences = np.array([[one[item] - theirs[item] for item in both] for one in mine])
    return {
        "mean": _mean(means),
        "difference": crossed_interval(differences),
        "seeds": [_mean([one[item] - theirs[item] for item in both]) for one in mine],
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def write_comparison(result: Mapping[str, Any], folder: Path) -> None:
    """Write ``comparison.json`` and ``comparison.md``, each atomically."""
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


def between_cells(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table of differences between trainers: its columns, and a row for every two of them."""
    measures = result["measures"]
    rows = []
    for entry in result.get("between", []):
        found = [entry["scores"][m] for m in measures]
        rows.append(
            [f"{entry['first']} - {entry['second']}"]
            + [
                _difference(s)
                + (f" p={s['p_holm']:.2g}" if s["p_holm"] is not None and s["p_holm"] == s["p_holm"] else "")
                for s in found
            ]
        )
    return ["trainers", *measures], rows


def between_title(result: Mapping[str, Any]) -> str:
    """What the numbers of the table of differences are."""
    n = len(result.get("between", []))
    return (
        f"differences between trainers, judge {result['judge']}: paired by question and seed, with a 95% interval over both "
        f"and p values corrected for {n} comparison{'s' * (n != 1)} (Holm)"
    )


def title(result: Mapping[str, Any]) -> str:
    """Caption of the table."""
    n = max((s["n"] for s in result["base_scores"].values()), default=0)
    heldout = next((s["n"] for m, s in result["base_scores"].items() if m.startswith("heldout")), n)
    seeds = len(result["seeds"])
    return (
        f"{len(result['trainers'])} trainers from {result['base']}, {seeds} seed{'s' * (seeds != 1)}, {heldout} "
        f"questions, judge {result['judge']}: the base's mean, and each trainer's difference to it, paired, with a 95% "
        "interval over questions and seeds"
    )


def _own(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _difference(score: Mapping[str, Any]) -> str:
    if score["mean"] is None or math.isnan(score["mean"]):
        return "-"
    if score["low"] is None or math.isnan(score["low"]):
        return f"{score['mean']:+z.2f}"
    return f"{score['mean']:+z.2f} [{score['low']:+z.2f}, {score['high']:+z.2f}]"


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
    columns, rows = between_cells(result)
    if rows:
        lines += ["", "| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    notes = [f"{title(result)}."] + [f"Second table: {between_title(result)}."] * bool(rows)
    notes += [f"**{words}.**" for words in result.get("alarms", [])]
    parts = ["\n".join(lines), "\n\n".join(notes), *(["\n".join(["Failed:", *failed])] if failed else [])]
    if result["command"]:
        parts.insert(0, f"```sh\n{result['command']}\n```")
    return "\n\n".join(parts) + "\n"
