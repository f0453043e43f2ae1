"""The tables of the paper in miniature, as Markdown, from the result files of examples/paper.py."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paper_claims import OURS, PLAIN, PRESSED, TRAINERS, losses, minus, scores, unsteadiness
from paper_power import power_table

from sandbox import mean_interval
from sandbox.store.manifest import environment
from trainers.evolution.generations import society_scores

BEGIN, END = "<!-- paper -->\n", "<!-- /paper -->"


def markdown(out: Path, result: Mapping[str, Any]) -> str:
    """All tables, how they came about, and the verdicts."""
    size = result["size"]
    versions = environment()["versions"]
    about = (
        f"{result['seconds'] / 60:.0f} minutes on {os.cpu_count()} cores. Societies of "
        f"{size['side']}x{size['side']} agents, {size['rounds']} round{'s' * (size['rounds'] != 1)}, "
        f"{size['societies']} of each setting; training: "
        f"{size['tokens']:,} tokens each, {size['seeds']} seed{'s' * (size['seeds'] != 1)}, {size['dtype']}"
        f"{_longer(size['longer'])}; "
        f"{size['questions']} held-out questions, each plainly and under one pressure; model {size['model']}. "
        f"{_steps(result.get('steps', {}))}Versions: "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + "."
    )
    parts = [
        "### What held\n\n" + _claims(result["claims"]),
        "### Power\n\n" + power(result),
        f"### How\n\n```sh\n{result['command']}\n```\n\n{about}",
        "### Societies: alignment against engagement\n\n" + _societies(out, size),
        "### Trainers: held-out and under pressure\n\n" + _trainers(out, size),
        "### Data with each part left out (stable alignment)\n\n"
        + _ablation(out, result.get("data", {}), size["seeds"]),
        "### Steadiness over training\n\n" + _steadiness(result.get("steadiness", {})),
    ]
    return "\n\n".join(parts) + "\n"


def power(result: Mapping[str, Any]) -> str:
    """How many questions and seeds would decide each claim, from this form's own spread."""
    theirs = [unsteadiness(courses["margin"]) for courses in result.get("steadiness", {}).get("rrhf", {}).values()]
    return power_table(result, sum(theirs) / len(theirs) if theirs else math.nan)


def _steps(steps: Mapping[str, int]) -> str:
    return "Steps: " + ", ".join(f"{name} {n}" for name, n in steps.items()) + ". " if steps else ""


def _longer(times: int) -> str:
    return f", for steadiness {times} times as long" if times > 1 else ""


def _claims(claims: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            str(number),
            one["claim"],
            f"**{one['verdict']}**",
            "; ".join(f"{k} {_signed(v, one['digits'])}" for k, v in one["differences"].items()),
        ]
        for number, one in enumerate(claims, 1)
    ]
    note = (
        "A claim held if every difference lies above 0 with its whole 95% interval, did not hold if one lies below 0 with "
        "its whole interval, and is undecided otherwise. Intervals are Student's t, over questions (claims 1 to 3, "
        "seeds averaged before) or seeds (claim 4)."
    )
    return _table(["", "claim", "verdict", "differences [95%]"], rows) + f"\n\n{note}"


def _societies(out: Path, size: Mapping[str, Any]) -> str:
    found = _read(out / "societies" / "sweep.json")
    rows = []
    for point in found["points"]:
        measured = point["scores"]
        if point["n"] == 1:
            [run] = [r for r in found["runs"] if r["point"] == point["point"] and r["status"] == "done"]
            measured = society_scores(out / "societies" / run["name"])["scores"]
        cells = [_plain(measured[d]) for d in found["dimensions"]]
        rows.append([point["point"]["population"], *cells, _mean(point["scores"]["alignment_gain"])])
    unit = "societies" if size["societies"] > 1 else "agents (bootstrap)"
    heads = ["population", *found["dimensions"], "revision less draft, alignment"]
    return (
        _table(heads, rows)
        + f"\n\nMeans of final answers, rated 1 to {found['scale']} by observers; intervals over {unit}."
    )


def _trainers(out: Path, size: dict[str, Any]) -> str:
    folder = out / "comparisons" / "all"
    if not (folder / "base" / "result.json").exists():
        return "Not done yet."
    base = _read(folder / "base" / "result.json")
    plain, pressed = base["scores"][PLAIN], base["scores"][PRESSED]
    lost = {q: plain[q] - pressed[q] for q in plain if q in pressed}
    measures = [m for m in base["scores"] if not m.startswith("adversarial") or m == PRESSED]
    own = [_plain(mean_interval(list(base["scores"][m].values()))._asdict()) for m in measures]
    rows = [["base", *own, _plain(mean_interval(list(lost.values()))._asdict()), _whole(base["answer_tokens"])]]
    for name in TRAINERS:
        gained = [_signed(minus(scores(folder, name, size["seeds"], m), base["scores"][m])) for m in measures]
        tokens = [_read(path)["answer_tokens"] for path in folder.glob(f"{name}-[0-9]*/result.json") if _is_done(path)]
        words = _whole(sum(tokens) / len(tokens)) if tokens else "-"
        rows.append([name, *gained, _signed(minus(losses(folder, name, size["seeds"]), lost)), words])
    heads = ["trainer", *measures, "lost under pressure", "answer tokens"]
    judge = size.get("judge", "independent")
    return _table(heads, rows) + f"\n\nThe base's means, and each trainer's paired difference to it; judge: {judge}."


def _is_done(path: Path) -> bool:
    return bool(_read(path)["status"] == "done")


def _ablation(out: Path, data: Mapping[str, Mapping[str, int]], seeds: int) -> str:
    rows = []
    everything = scores(out / "comparisons" / "all", OURS, seeds, PLAIN)
    for name, counts in data.items():
        found = scores(out / "comparisons" / name, OURS, seeds, PLAIN)
        words = ", ".join(f"{part} {n}" for part, n in counts.items())
        mean = mean_interval(list(found.values()))._asdict()
        rows.append(
            [name.replace("-", " "), words, _plain(mean), "" if name == "all" else _signed(minus(everything, found))]
        )
    return _table(["data", "groups", "held-out alignment", "all parts, less this"], rows)


def _steadiness(found: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> str:
    rows = [
        [name, seed, _number(unsteadiness(courses["margin"])), _course(courses["margin"]), _course(courses["accuracy"])]
        for name, of in found.items()
        for seed, courses in of.items()
    ]
    if not rows:
        return "Not done yet."
    note = (
        "Held-out pairs at even steps of a training: how much likelier per token the better answer is, in nats (margin), and "
        "in what share of pairs it is the likelier at all (accuracy). Unsteadiness is how far the margin goes back and forth "
        "from one measurement to the next: all its movement, less what it comes to."
    )
    return _table(["trainer", "seed", "unsteadiness", "margin", "accuracy"], rows) + f"\n\n{note}"


def _course(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _plain(score: Mapping[str, float]) -> str:
    if not _is_known(score["mean"]):
        return "-"
    interval = f" [{score['low']:.2f}, {score['high']:.2f}]" if _is_known(score["low"]) else ""
    return f"{score['mean']:.2f}{interval}"


def _signed(score: Mapping[str, float], digits: int = 2) -> str:
    if not _is_known(score["mean"]):
        return "-"
    interval = f" [{score['low']:+.{digits}f}, {score['high']:+.{digits}f}]" if _is_known(score["low"]) else ""
    return f"{score['mean']:+.{digits}f}{interval}"


def _mean(score: Mapping[str, float]) -> str:
    return f"{score['mean']:+z.2f}" if _is_known(score["mean"]) else "-"


def _whole(value: float | None) -> str:
    return f"{value:.0f}" if _is_known(value) else "-"  # type: ignore[str-format]


def _number(value: float) -> str:
    return f"{value:.4f}" if _is_known(value) else "-"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_between(path: Path, text: str) -> None:
    """Put the tables between the marks of a document."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{path} has no place for the tables: write <!-- paper --> and <!-- /paper --> on lines of their own")
    path.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")
