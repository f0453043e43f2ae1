"""A sweep over population and number of reviewers, with several seeds: one table, one figure.

    python examples/08_sweep.py

Command line: sandbox sweep value_alignment --grid population=all_good,all_bad --grid reviewers=1,4 --seeds 3 --out sweeps/mine
"""

import sys
from pathlib import Path

import pandas as pd

from sandbox import run_sweep
from visualize.drawing.saving import save
from visualize.plots.sweep import draw


def main(
    out: Path = Path("sweeps/example-8"), model: str = "smollm2", seeds: int = 2, **settings: object
) -> pd.DataFrame:
    # Stopped, it goes on where it stood: each run is a folder of its own.
    found = run_sweep(
        "value_alignment",
        grid={"population": ["all_good", "all_bad"], "reviewers": [1, 4]},
        seeds=seeds,
        rounds=1,
        size=3,
        out=out,
        model=model,
        on_run=lambda row: print(f"{row['name']}: {row['status']}", file=sys.stderr),
        **settings,
    )
    rows = [{**point["point"], **point["scores"]["alignment"]} for point in found["points"]]
    save(draw(out), out / "figures" / "sweep.png")
    return pd.DataFrame(rows)  # mean over seeds, 95% interval, n


if __name__ == "__main__":
    print(main().round(2).to_string(index=False))
