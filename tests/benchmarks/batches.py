"""How often a request's sampled text depends on the requests that it happens to be batched with.

    python tests/benchmarks/batches.py [--requests 500] [--model hf:smollm2] [--dtype float32] [--markdown FILE]

Every request has a seed of its own, so only the arithmetic of differently shaped batches can make a difference. The same
requests are answered twice: all at once, where they are batched with those of their own length; and shuffled, a few at a
time, where they are batched with others. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tables import put

from sandbox.metrics.intervals import mean_interval
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.scenario.loading import load_scenario

MAX_TOKENS = 24


def requests(n: int) -> list[Request]:
    """So many different requests, over the questions of ``value_alignment``, as agents of a society make them."""
    scenario = load_scenario("value_alignment", {})
    questions = scenario.questions
    return [
        Request(
            (
                Message("system", scenario.prompts.answer_system.format(name=f"Agent {i % 100 + 1}")),
                Message("user", questions[i % len(questions)]),
            ),
            max_tokens=MAX_TOKENS, temperature=0.8, top_p=0.95, seed=i,
        )
        for i in range(n)
    ]  # fmt: skip


def main() -> None:
    """Measure, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--model", default="hf:smollm2")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--at-once", type=int, default=20, help="of the second time")
    parser.add_argument("--markdown", type=Path, help="write a sentence into this file")
    given = parser.parse_args()
    model = load_model(given.model, dtype=given.dtype)
    asked = requests(given.requests)
    began = time.perf_counter()
    first = [reply.text for reply in model.generate(asked)]
    second = [""] * len(asked)
    order = random.Random(0).sample(range(len(asked)), len(asked))
    for start in range(0, len(order), given.at_once):
        some = order[start : start + given.at_once]
        for number, reply in zip(some, model.generate([asked[i] for i in some]), strict=True):
            second[number] = reply.text
    differ = [a != b for a, b in zip(first, second, strict=True)]
    n, failed = sum(differ), sum(not text for text in first)
    said = {
        "model": given.model, "dtype": given.dtype, "requests": len(asked), "max_tokens": MAX_TOKENS, "differ": n,
        "share": n / len(asked), "empty": failed, "at_once": given.at_once,
        "mean_characters": mean_interval([len(text) for text in first]).mean,
        "seconds": round(time.perf_counter() - began),
    }  # fmt: skip
    print(json.dumps(said))
    if given.markdown is not None:
        put(
            given.markdown,
            "batches",
            f"Of {len(asked)} requests to `{given.model}` in {given.dtype} ({MAX_TOKENS} tokens each, temperature 0.8, top-p "
            f"0.95), {n} ({n / len(asked):.1%}) gave another text when they were batched with other requests.",
        )


if __name__ == "__main__":
    main()
