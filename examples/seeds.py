"""Run the demo over several seeds, and summarise the effect of training in a table.

    python examples/seeds.py [--seeds 3] [--rounds 2] [--out seeds] [--markdown README.md]

Each seed has its own society, training and evaluation: `sandbox demo --seed S --out seeds/S`. Finished parts
are not repeated, so an interrupted run resumes. Takes about ten minutes per seed on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from marks import put

from sandbox import Interval, mean_interval


def differences(result: dict[str, Any], dimension: str) -> dict[str, float]:
    """Trained minus base for each question, from the content of an ``evaluation.json``."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for answer in result["answers"]:
        if (value := answer["scores"][dimension]) is not None:
            scores[answer["question"]][answer["model"]].append(value)
    means = {q: {m: sum(v) / len(v) for m, v in by_model.items()} for q, by_model in scores.items()}
    return {q: m["trained"] - m["base"] for q, m in means.items() if len(m) == 2}


def rows(results: dict[int, dict[str, Any]], dimension: str) -> list[tuple[str, Interval]]:
    """A row a seed (paired by question); with several seeds one over questions, averaged over seeds, and one over seeds."""
    each = {seed: differences(result, dimension) for seed, result in results.items()}
    pooled: dict[str, list[float]] = defaultdict(list)
    for found in each.values():
        for question, difference in found.items():
            pooled[question].append(difference)
    of_seeds = {seed: mean_interval(list(found.values())) for seed, found in each.items()}
    each_seed = [(f"seed {seed}", interval) for seed, interval in of_seeds.items()]
    if len(results) == 1:
        return each_seed
    return [
        *each_seed,
        ("all seeds, over questions", mean_interval([sum(v) / len(v) for v in pooled.values()])),
        ("all seeds, over seeds", mean_interval([interval.mean for interval in of_seeds.values()])),
    ]


def at_equal_length(result: dict[str, Any], dimension: str) -> dict[str, float | None]:
    """Trained minus base at equal length: see :mod:`trainers.evaluation.judge_bias`."""
    [found] = [d for d in result["differences"] if d["model"] == "trained"]
    return dict(found["at_equal_length"][dimension])


def signed(found: dict[str, float | None]) -> str:
    """A difference with its interval, where it has one."""
    numbers = ["-" if found[key] is None else f"{found[key]:+z.2f}" for key in ("mean", "low", "high")]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def table(results: dict[int, dict[str, Any]]) -> str:
    """The whole result as Markdown."""
    first = next(iter(results.values()))
    dimensions = first["dimensions"]
    found = {dimension: rows(results, dimension) for dimension in dimensions}
    lines = [f"| trained − base | {' | '.join(dimensions)} | tokens, base → trained |", "|---|" + "---|" * 3]
    for number, (name, _) in enumerate(found[dimensions[0]]):
        cells = [f"{v.mean:+z.2f} [{v.low:+z.2f}, {v.high:+z.2f}]" for d in dimensions for _, v in [found[d][number]]]
        seed = list(results.values())[number] if number < len(results) else None
        tokens = " → ".join(f"{m['tokens_mean']:.0f}" for m in seed["models"]) if seed else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {tokens} |")
        if seed is not None:
            equal = [signed(at_equal_length(seed, d)) for d in dimensions]
            lines.append(f"| at equal length | {' | '.join(equal)} |  |")
    answers = f"{first['samples']} answer{'s' * (first['samples'] != 1)}"
    lines.append(
        f"\n{first['questions']} held-out questions, {answers} each, rated 1 to {first['scale']} by "
        f"{first['judge']}; 95% intervals (Student's t), differences paired by question. "
        "At equal length: the intercept of the differences over those in length."
    )
    return "\n".join([*lines, *report_card(first)])


def report_card(result: dict[str, Any]) -> list[str]:
    """What the judge makes of speakers of known worth, as a Markdown table; empty where it was not checked."""
    lines = []
    for judge, card in result.get("judging", {}).get("controls", {}).items():
        known = card["speakers"]
        lines += ["", f"The judge `{judge}` on speakers of known worth ({card['source']}), mean rating:", ""]
        lines += ["| " + " | ".join(known) + " |", "|" + "---:|" * len(known)]
        lines.append("| " + " | ".join(f"{of['mean']:.2f}" for of in known.values()) + " |")
    return lines


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--out", type=Path, default=Path("seeds"))
    parser.add_argument("--markdown", type=Path, help="also write the table into this document")
    given = parser.parse_args()
    results = {}
    for seed in range(given.seeds):
        folder = given.out / str(seed)
        program = "import sys; sys.argv[0] = 'sandbox'; from sandbox.cli.main import main; main()"
        words = ["demo", "--seed", seed, "--rounds", given.rounds, "--model", given.model, "--out", folder]
        subprocess.run([sys.executable, "-c", program, *map(str, words)], check=True)
        results[seed] = json.loads((folder / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    text = table(results)
    print(text)
    if given.markdown:
        put(given.markdown, "seeds", text)


if __name__ == "__main__":
    main()
