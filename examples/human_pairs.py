"""Preference accuracy on held-out human pairs, before and after training.

    python examples/human_pairs.py PAIRS.jsonl [--trainers dpo,orpo,rrhf,stable_alignment] [--markdown docs/training.md]

PAIRS.jsonl contains {prompt, chosen, rejected}, plain or as messages, such as half of Anthropic's HH-RLHF. A fifth of its
questions is held out; each trainer takes the same number of steps on the rest; `sandbox evaluate --pairs` measures. Finished
parts are not repeated. Takes about ten minutes per trainer on one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from marks import put

BATCH = 2


def main() -> None:
    """Train what is missing, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--trainers", default="dpo,orpo,rrhf,stable_alignment")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--set", action="append", default=[], help="another setting of the trainers")
    parser.add_argument("--out", type=Path, default=Path("human_pairs"))
    parser.add_argument("--markdown", type=Path, help="also write the table into this document")
    given = parser.parse_args()
    rows, heldout = given.out / "rows.jsonl", given.out / "rows.heldout.jsonl"
    if not heldout.exists():
        given.out.mkdir(parents=True, exist_ok=True)
        sandbox("dataset", given.pairs, "--kind", "preferences", "--split", 0.2, "--out", rows)
    settings = {"batch_size": BATCH, "max_steps": given.steps, "max_length": given.max_length, "measure_kl": "false"}
    words = [f"{key}={value}" for key, value in settings.items()] + given.set
    told = [word for setting in words for word in ("--set", setting)]
    names = given.trainers.split(",")
    for name in names:
        folder = given.out / name
        if not folder.exists():  # it appears whole
            sandbox("train", rows, "--trainer", name, "--base", given.base, "--out", folder, *told)
    evaluation = given.out / "evaluation"
    if not (evaluation / "evaluation.json").exists():
        models = [given.base, *(f"hf:{given.out / name}" for name in names)]
        sandbox("evaluate", *models, "--pairs", heldout, "--set", f"max_length={given.max_length}", "--out", evaluation)
    result = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))
    text = table(result["pairs"], names, given.steps)
    print(text)
    if given.markdown:
        put(given.markdown, "human_pairs", text)


def table(pairs: dict[str, Any], names: list[str], steps: int) -> str:
    """Accuracy of the base and of each trained model, as Markdown."""
    lines = ["| model | preference accuracy | against the base, paired |", "|---|---|---|"]
    differences = [None, *pairs["differences"]]
    for name, model, difference in zip(["base", *names], pairs["models"], differences, strict=True):
        own = interval(model["accuracy"], "")
        lines.append(f"| {name} | {own} | {interval(difference['accuracy'], '+') if difference else ''} |")
    lines.append(f"\n{pairs['pairs']} held-out pairs; {steps} steps of {BATCH} pairs each; 95% intervals over pairs.")
    return "\n".join(lines)


def interval(found: dict[str, float], sign: str) -> str:
    """A mean with its interval."""
    return f"{found['mean']:{sign}.3f} [{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"


def sandbox(*words: object) -> None:
    """Run a command of ours."""
    subprocess.run([sys.executable, "-m", "sandbox", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
