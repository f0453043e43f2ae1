"""Write preference pairs that no agent and no observer has seen: the held-out questions' good and bad answers.

For preference accuracy:  python examples/heldout_pairs.py pairs.jsonl
                                   sandbox compare RUN --trainers sft,dpo --pairs pairs.jsonl
"""

import json
import sys
from pathlib import Path

from sandbox import read_table
from scenarios.value_alignment import DATA


def main(out: str) -> None:
    """Write one pair a line."""
    heldout = [entry for entry in read_table(DATA) if entry["split"] == "heldout"]
    pairs = [{"prompt": e["question"], "chosen": e["good"], "rejected": e["bad"]} for e in heldout]
    Path(out).write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
