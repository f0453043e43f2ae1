"""An evolution: the language model of a society learns from its own record, generation after generation.

    python examples/09_evolve.py [--model smollm2] [--generations 3] [--out evolution]

The same as `sandbox evolve value_alignment --generations 3`. Each generation's held-out answers are rated by the society's
own raters, on whose ratings it is trained, and by an independent judge. Finished parts are not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainers import Evolution
from visualize.plots.evolution import draw


def evolve(out: Path, model: str, generations: int, **settings: Any) -> dict[str, Any]:
    """Three lines do it: plan, run, draw."""
    evolution = Evolution("value_alignment", out=out, base=model, generations=generations, **settings)
    result = evolution.run(on_stage=print)
    draw(out).savefig(out / "evolution.png")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("evolution"))
    given = parser.parse_args()
    result = evolve(given.out, given.model, given.generations)
    dimension = result["dimensions"][0]
    for one in result["generations"]:
        raters, judge = (one["heldout"][who][dimension]["mean"] for who in (result["raters"], result["judge"]))
        print(f"generation {one['generation']}: raters {raters:.2f}, judge {judge:.2f} {one['verdict'] or ''}")


if __name__ == "__main__":
    main()
