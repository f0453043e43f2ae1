"""A first run: nine agents answer, rate each other and revise; prints the results and draws two plots.

    python examples/01_first_run.py

Command line: sandbox run value_alignment --size 3 --rounds 1 --out runs/first, then sandbox plot runs/first
"""

from pathlib import Path

from sandbox import World
from visualize.drawing.saving import save
from visualize.plots import grid, ratings


def main(model: str = "smollm2", out: Path = Path("runs/example-1"), **settings: object) -> None:
    # The same seed gives the same record; resume=True goes on with a run that is there already.
    world = World("value_alignment", model=model, size=3, seed=0, out=out, resume=True, **settings)
    run = world.run(rounds=1)
    world.close()

    one = run.interactions()[0]
    print(f"Agent 1 was asked:  {one.question}\nIt answered:        {one.draft}")
    for said in one.feedback:
        print(f"Agent {said.reviewer + 1} gave it {said.rating.value:.1f}: {said.rating.reason}")
    print(f"It answered again:  {one.revision}")
    for name in run.dimensions:
        print(f"{name}, 1 to {run.scale}: {one.before.value(name):.2f} before, {one.after.value(name):.2f} after")

    # Everything else is read from the folder, now or years later: sandbox.open_run(out).
    print(save(grid.draw(run), out / "figures" / "grid.png"))
    print(save(ratings.draw(run), out / "figures" / "ratings.png"))


if __name__ == "__main__":
    main()
