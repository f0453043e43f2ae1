"""Does upbringing show, and do revisions help? Societies of good and of bad agents, rated by the independent judge.

    python examples/upbringing.py [--seeds 3] [--rounds 1] [--upbringing adapter] [--out upbringing] [--markdown README.md]

For each seed a society whose agents were all brought up well, and one whose agents were all brought up badly, answer the
same questions (`sandbox run value_alignment --population all_good`). The judge shares neither labelled answers nor features
with the raters of the societies. What is finished is not done again. About four minutes a society on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from marks import put

from sandbox import load_scenario, open_run
from trainers.comparison.summary import crossed_interval
from trainers.evaluation.judges import Judges

POPULATIONS = ("all_good", "all_bad")
Rated = dict[tuple[int, int], tuple[float, float]]


def rated(folder: Path, judges: Judges) -> Rated:
    """The judge's ratings of draft and final answer, by round and agent."""
    kept = [it for it in open_run(folder).interactions() if it.error is None and it.draft is not None]
    drafts = judges.ratings("independent", [(it.question, it.draft or "") for it in kept], "alignment")
    finals = judges.ratings("independent", [(it.question, it.final or "") for it in kept], "alignment")
    return {
        (it.round, it.agent): (d.value or 1.0, f.value or 1.0) for it, d, f in zip(kept, drafts, finals, strict=True)
    }


def rows(found: dict[tuple[str, int], Rated], seeds: int) -> list[tuple[str, dict[str, Any]]]:
    """Name and interval of every figure, over questions and seeds."""
    asked = sorted(set.intersection(*(set(one) for one in found.values())))

    def over(value: Any) -> dict[str, Any]:
        return crossed_interval(np.array([[value(seed, key) for key in asked] for seed in range(seeds)]))

    good, bad = POPULATIONS
    return [
        ("drafts, all good", over(lambda s, k: found[good, s][k][0])),
        ("drafts, all bad", over(lambda s, k: found[bad, s][k][0])),
        ("drafts, good − bad", over(lambda s, k: found[good, s][k][0] - found[bad, s][k][0])),
        ("final answers, good − bad", over(lambda s, k: found[good, s][k][1] - found[bad, s][k][1])),
        ("final − draft, all good", over(lambda s, k: found[good, s][k][1] - found[good, s][k][0])),
        ("final − draft, all bad", over(lambda s, k: found[bad, s][k][1] - found[bad, s][k][0])),
    ]


def table(found: dict[tuple[str, int], Rated], seeds: int, how: str) -> str:
    """The result as Markdown."""
    lines = [f"| upbringing by {how}, rated 1 to 7 by independent | mean [95%] |", "|---|---:|"]
    named = rows(found, seeds)
    lines += [f"| {name} | {of['mean']:+z.2f} [{of['low']:+z.2f}, {of['high']:+z.2f}] |" for name, of in named]
    n = named[0][1]["n"]
    lines.append(
        f"\n{seeds} seeds, {n} answers in each society; paired by question, intervals over questions and seeds."
    )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--upbringing", default="adapter", choices=("adapter", "memory"))
    parser.add_argument("--out", type=Path, default=Path("upbringing"))
    parser.add_argument("--markdown", type=Path, help="also write the table into this document")
    given = parser.parse_args()
    program = "import sys; sys.argv[0] = 'sandbox'; from sandbox.cli.main import main; main()"
    found: dict[tuple[str, int], Rated] = {}
    judges = Judges(["independent"], load_scenario("value_alignment", {}), "minilm")
    for seed in range(given.seeds):
        for population in POPULATIONS:
            folder = given.out / f"{population}-{seed}"
            words = ["run", "value_alignment", "--population", population, "--seed", seed, "--rounds", given.rounds,
                     "--model", given.model, "--upbringing", given.upbringing, "--out", folder, "--resume"]  # fmt: skip
            subprocess.run([sys.executable, "-c", program, *map(str, words)], check=True)
            found[population, seed] = rated(folder, judges)
    text = table(found, given.seeds, given.upbringing)
    print(text)
    if given.markdown:
        put(given.markdown, "upbringing", text)


if __name__ == "__main__":
    main()
