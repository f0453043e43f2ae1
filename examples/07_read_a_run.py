"""Read a run in pandas: ratings, reviews, agents and measures.

python examples/07_read_a_run.py [RUN]      # default: a tiny run, created here
"""

import sys
import tempfile
from pathlib import Path

from sandbox import open_run
from sandbox.testing import tiny_run


def main(path: Path) -> None:
    run = open_run(path)
    print(f"{run.name}: {run.rounds} rounds of {run.manifest['scenario']}, seed {run.manifest['seed']}")

    frame = run.frame()  # one row an interaction; D_before and D_after for each dimension D of the rubric
    first = run.dimensions[0]
    frame["gain"] = frame[f"{first}_after"] - frame[f"{first}_before"]
    print(frame.groupby(["round", "label"])[["rating", "gain"]].agg(["mean", "count"]).round(2))

    reviews = run.feedback()  # one row a review
    labels = run.agents().set_index("agent")["label"]  # and the columns of the personas, where there are some
    reviews["from"], reviews["to"] = reviews["reviewer"].map(labels), reviews["agent"].map(labels)
    print(reviews.pivot_table("rating", "from", "to").round(2))

    measured = run.measures(resamples=500)  # with bootstrap intervals; own measures of the scenario too
    for name in ("consensus", "polarisation", f"{first}_gain"):
        one = measured[name]
        print(f"{name}: {one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}], n = {one['n']}")

    graph = run.social_graph()  # networkx: an edge from reviewer to author
    busiest = max(graph.nodes, key=graph.out_degree)
    print(f"agent {busiest} reviewed {graph.out_degree(busiest)} others")
    print(f"its own words, last: {run.interactions(agent=busiest)[-1].final}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(tiny_run(Path(folder) / "tiny"))
