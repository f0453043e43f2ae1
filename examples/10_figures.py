"""The pictures in README: a society of the bundled model, drawn.

    python examples/10_figures.py            # some minutes; pictures go to docs/, the run stays in runs/figures

A run that is there already is drawn as it is, or gone on with when it was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox import World, open_run
from visualize import grid, ratings, social_graph
from visualize.saving import save

ROUNDS = 5


def main(
    run: Path = Path("runs/figures"), out: Path = Path("docs"), model: str = "smollm2", rounds: int = ROUNDS,
    **settings: object,
) -> list[Path]:  # fmt: skip
    world = World("value_alignment", model=model, size=4, seed=0, out=run, resume=True, **settings)
    world.run(rounds)
    world.close()
    society = open_run(run)
    return [
        save(grid.draw(society, rounds="strip"), out / "society.png"),
        save(social_graph.draw(society), out / "social_graph.png"),
        save(ratings.draw(society), out / "ratings.png"),
    ]


if __name__ == "__main__":
    for path in main(*map(Path, sys.argv[1:3])):
        print(path)
