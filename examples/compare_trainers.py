"""Compare all trainers on the same record, with the same budget and base.

    python examples/compare_trainers.py [--model smollm2] [--seeds 2] [--workers 2] [--out compared] [--markdown README.md]

A 4x4 society of three rounds is run, the held-out questions' good and bad answers become preference pairs, and
`sandbox compare` does the rest. Finished parts are not repeated, so an interrupted run resumes. Takes about an hour on
two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from marks import put

SETTINGS = ["batch_size=2", "learning_rate=5e-4", "measure_kl=false"]


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--trainers", default="sft,hindsight,rrhf,stable_alignment,dpo,orpo,kto,grpo")
    parser.add_argument("--size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--workers", type=int, default=1, help="trainings side by side; times then include waiting for cores"
    )
    parser.add_argument("--tokens", type=int, default=6000)
    parser.add_argument("--n-questions", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], help="another setting of the trainers")
    parser.add_argument("--out", type=Path, default=Path("compared"))
    parser.add_argument("--markdown", type=Path, help="also write the table into this document")
    given = parser.parse_args()
    run, pairs = given.out / "run", given.out / "heldout_pairs.jsonl"
    society = ["--model", given.model, "--size", given.size, "--rounds", given.rounds, "--seed", 0]
    sandbox("run", "value_alignment", *society, "--out", run, "--resume")
    subprocess.run([sys.executable, str(Path(__file__).with_name("heldout_pairs.py")), str(pairs)], check=True)
    settings = [word for setting in SETTINGS + given.set for word in ("--set", setting)]
    sandbox(
        "compare", run, "--trainers", given.trainers, "--base", given.model, "--out", given.out / "comparison",
        "--seeds", given.seeds, "--tokens", given.tokens, "--n-questions", given.n_questions, "--pairs", pairs,
        "--workers", given.workers, *settings,
    )  # fmt: skip
    text = (given.out / "comparison" / "comparison.md").read_text(encoding="utf-8")
    print(text)
    if given.markdown:
        # The command in it is one of three; this script is all of them.
        table = text.partition("```\n\n")[2] if text.startswith("```") else text
        put(given.markdown, "trainers", table.rstrip())


def sandbox(*words: object) -> None:
    """Run a command of ours."""
    subprocess.run([sys.executable, "-m", "sandbox", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
