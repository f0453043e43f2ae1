"""Draw the figures of docs/visualisation.md from the demo's run.

    python examples/10_figures.py            # draws demo/run into docs/

Without a demo, the society is first simulated with the bundled model, which takes some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox import World, is_run, open_run
from visualize.drawing.saving import save
from visualize.plots import grid, ratings, social_graph

# As in `sandbox demo`.
SOCIETY: dict[str, object] = {"size": 4, "population": "half_half", "n_questions": 24}


def main(
    run: Path = Path("demo/run"), out: Path = Path("docs"), model: str = "smollm2", rounds: int = 2, **settings: object
) -> list[Path]:
    if not is_run(run) or open_run(run).rounds < rounds:
        world = World("value_alignment", model=model, seed=0, out=run, resume=True, **SOCIETY, **settings)
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
