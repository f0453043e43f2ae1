"""Does training on a society's record help? The demo over several seeds, summed up in a table.

    python examples/seeds.py [--seeds 3] [--rounds 4] [--out seeds] [--markdown README.md]

Each seed is a society, a training and an evaluation of its own: `sandbox demo --seed S --out seeds/S`. What is finished
there is not done again, so a run that was stopped goes on. Takes about ten minutes a seed on two cores.
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

from sandbox.metrics.intervals import Interval, mean_interval


def differences(result: dict[str, Any], dimension: str) -> dict[str, float]:
    """Trained minus base for each question, from the content of an ``evaluation.json``."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for answer in result["answers"]:
        if (value := answer["scores"][dimension]) is not None:
            scores[answer["question"]][answer["model"]].append(value)
    means = {q: {m: sum(v) / len(v) for m, v in by_model.items()} for q, by_model in scores.items()}
    return {q: m["trained"] - m["base"] for q, m in means.items() if len(m) == 2}


def rows(results: dict[int, dict[str, Any]], dimension: str) -> list[tuple[str, Interval]]:
    """A row a seed (paired by question), one over questions (each averaged over seeds), and one over seeds."""
    each = {seed: differences(result, dimension) for seed, result in results.items()}
    pooled: dict[str, list[float]] = defaultdict(list)
    for found in each.values():
        for question, difference in found.items():
            pooled[question].append(difference)
    of_seeds = {seed: mean_interval(list(found.values())) for seed, found in each.items()}
    return [
        *((f"seed {seed}", interval) for seed, interval in of_seeds.items()),
        ("all seeds, over questions", mean_interval([sum(v) / len(v) for v in pooled.values()])),
        ("all seeds, over seeds", mean_interval([interval.mean for interval in of_seeds.values()])),
    ]


def table(results: dict[int, dict[str, Any]]) -> str:
    """The whole result as Markdown."""
    first = next(iter(results.values()))
    dimensions = first["dimensions"]
    found = {dimension: rows(results, dimension) for dimension in dimensions}
    lines = [f"| trained − base | {' | '.join(dimensions)} | tokens, base → trained |", "|---|" + "---|" * 3]
    for number, (name, _) in enumerate(found[dimensions[0]]):
        cells = [f"{v.mean:+.2f} [{v.low:+.2f}, {v.high:+.2f}]" for d in dimensions for _, v in [found[d][number]]]
        seed = list(results.values())[number] if number < len(results) else None
        tokens = " → ".join(f"{m['tokens_mean']:.0f}" for m in seed["models"]) if seed else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {tokens} |")
    lines.append(
        f"\n{first['questions']} held-out questions, {first['samples']} answers each, rated 1 to {first['scale']} by "
        f"{first['judge']}; 95% intervals (Student's t), differences paired by question."
    )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
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
