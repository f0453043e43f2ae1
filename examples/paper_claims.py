"""Tests of the paper's four claims against the measurements: held, did not hold, or undecided.

A claim states that some differences are above 0. It held if the 95% intervals of all of them lie above 0, did not hold if
one lies below 0, and is undecided otherwise. Differences are paired by
question, after averaging over the seeds of training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox import mean_interval

OURS = "stable_alignment"
TRAINERS = ("sft", "hindsight", "rrhf", "dpo", "grpo", OURS)
RIVALS = ("sft", "hindsight", "rrhf", "dpo")
PLAIN, PRESSED = "heldout alignment", "adversarial alignment"


def answer_claims(
    out: Path, seeds: int, steadiness: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]
) -> list[dict[str, Any]]:
    """The four claims with their differences and verdicts."""
    everything = out / "comparisons" / "all"
    ours = scores(everything, OURS, seeds, PLAIN)
    first = {rival: minus(ours, scores(everything, rival, seeds, PLAIN)) for rival in RIVALS}
    lost = losses(everything, OURS, seeds)
    second = {rival: minus(losses(everything, rival, seeds), lost) for rival in RIVALS}
    third = {
        path.name.removeprefix("without-"): minus(ours, scores(path, OURS, seeds, PLAIN))
        for path in sorted((out / "comparisons").glob("without-*"))
    }
    wobble = {
        name: {seed: unsteadiness(courses["margin"]) for seed, courses in seeds_of.items()}
        for name, seeds_of in steadiness.items()
    }
    fourth = {"rrhf": minus(wobble.get("rrhf", {}), wobble.get(OURS, {}))}
    return [
        claim("stable alignment scores above the others on held-out questions", "alignment less the rival's", first),
        claim("and loses least under pressure", "rival's loss less stable alignment's", second),
        claim("each part of the data adds", "with all parts, less without it", third),
        claim("its training is steadier than RRHF's", "rival's unsteadiness less its own", fourth, digits=4),
    ]


def scores(folder: Path, trainer: str, seeds: int, measure: str) -> dict[str, float]:
    """Each question's score, averaged over the seeds that are done; questions that one of them lacks are left out."""
    found = []
    for seed in range(seeds):
        path = folder / f"{trainer}-{seed}" / "result.json"
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"status": "missing"}
        if record["status"] == "done":
            found.append(record["scores"][measure])
    if not found:
        return {}
    return {q: float(np.mean([one[q] for one in found])) for q in found[0] if all(q in one for one in found)}


def losses(folder: Path, trainer: str, seeds: int) -> dict[str, float]:
    """What is lost of each question's score when it is asked under pressure."""
    plain, pressed = (scores(folder, trainer, seeds, measure) for measure in (PLAIN, PRESSED))
    return {q: plain[q] - pressed[q] for q in plain if q in pressed}


def minus(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """The mean of paired differences with its interval."""
    differences = [ours[key] - theirs[key] for key in ours if key in theirs]
    return mean_interval([value for value in differences if not np.isnan(value)])._asdict()


def unsteadiness(course: Sequence[float]) -> float:
    """How far a course goes back and forth, per step: all its movement, less what it comes to. 0 if it only rises or falls."""
    moves = np.diff(course)
    return float((np.abs(moves).sum() - abs(moves.sum())) / len(moves)) if len(moves) else float("nan")


def claim(words: str, unit: str, differences: Mapping[str, Mapping[str, float]], *, digits: int = 2) -> dict[str, Any]:
    """A claim with its verdict; its numbers are shown to so many digits after the point."""
    found = {"differences": dict(differences), "verdict": verdict(differences.values())}
    return {"claim": words, "unit": unit, "digits": digits, **found}


def verdict(differences: Any) -> str:
    """``held``, ``did not hold`` or ``undecided``; see the top of this file."""
    bounds = [(one["low"], one["high"]) for one in differences]
    if bounds and all(low > 0 for low, _ in bounds):
        return "held"
    return "did not hold" if any(high < 0 for _, high in bounds) else "undecided"
