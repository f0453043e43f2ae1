"""Ask judges about texts of known quality, and write their report cards into a document.

    python examples/judges.py [--judge independent --judge values] [--out judges] [--markdown docs/evaluation.md]

Takes some minutes on two cores. The rows are what judges are given: a refusal, the question repeated, a first sentence.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from marks import put


def table(result: dict[str, Any], command: str) -> str:
    """Mean ratings, and AUCs against people's good answers, as Markdown: a row for each kind of text."""
    cards = result["judging"]["controls"]
    heads = [f"{judge}, {what}" for judge in cards for what in ("mean", "AUC")]
    lines = ["| text | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for kind in next(iter(cards.values()))["speakers"]:
        cells = []
        for card in cards.values():
            found = card["speakers"][kind]
            auc = found.get("auc")
            cells += [f"{found['mean']:.2f}", "" if auc is None else f"{auc:.2f}"]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    sources = "; ".join(f"{judge}: {card['source']}" for judge, card in cards.items())
    return "\n".join(
        [
            *lines,
            "",
            f"On a scale of 1 to 7. Made by `{command}`. {sources}.",
        ]
    )


def main() -> None:
    """Ask the judges, unless that is done already, and write the table."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--judge", action="append", help="as in sandbox evaluate; may be repeated")
    given.add_argument("--pairs", help="other people's pairs, in place of the scenario's labelled answers")
    given.add_argument("--out", type=Path, default=Path("judges"))
    given.add_argument("--markdown", type=Path)
    asked = given.parse_args()
    if not (asked.out / "evaluation.json").exists():
        judges = [word for name in asked.judge or ["independent", "values"] for word in ("--judge", name)]
        given_pairs = [] if asked.pairs is None else ["--pairs", asked.pairs]
        command = [
            sys.executable, "-m", "sandbox", "evaluate", "--controls", *judges, *given_pairs, "--out", str(asked.out),
        ]  # fmt: skip
        subprocess.run(command, check=True)
    pairs = "" if asked.pairs is None else "--pairs PAIRS.jsonl "
    result = json.loads((asked.out / "evaluation.json").read_text(encoding="utf-8"))
    text = table(result, f"python examples/judges.py {pairs}--markdown docs/evaluation.md")
    print(text)
    if asked.markdown is not None:
        put(asked.markdown, "controls" if asked.pairs is None else "controls_on_pairs", text)


if __name__ == "__main__":
    main()
