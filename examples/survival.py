"""Does the lake last longer? Fishers are trained on their catch, and on the survival of the lake, and try other lakes.

    python examples/survival.py [--seeds 3] [--workers 2] [--out survival] [--markdown docs/studies.md]

In the scenario ``commons`` all fishers speak through one model. On the catch it learns by policy gradient from the rows of a
run (``sandbox train RUN --reward catch``): what each caught. On survival it plays groups of months on the same lake, and what
was said where more of the lake was left becomes likelier (trainer ``society_grpo``). Before and after, the model fishes in
lakes with other stocks and growth rates, and so do programs that always take the same: who takes least leaves most, so that
the lake alone says little without what was caught. What is finished is not done again. About a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from study import Study, Unit, arguments, difference_table, draw, finish, run_units

from sandbox import World, open_run
from sandbox.models.scripted import ScriptedModel
from scenarios.commons import CAPACITY
from trainers import load_trainer, unpaired_rows

GROWTH = 1.25  # in the lake of the training
HELDOUT = ({"growth": 1.15}, {"growth": 1.4, "stock": 4.0}, {"growth": 1.25, "stock": 6.0})
ARMS = {"own catch": "policy_gradient", "survival of the lake": "society_grpo"}
SOCIETY = {"talk": "no", "embedder": "hashing", "observer": "scripted:"}
MEASURES = ("lake left", "caught")
TRAINER = {"learning_rate": 1e-3, "schedule": "constant", "measure_kl": False, "progress": False}


def fish(folder: Path, model: Any, seed: int, rounds: int, **settings: Any) -> None:
    """Fish for some months; a run that is complete is not repeated."""
    with closing(World("commons", model=model, seed=seed, out=folder, resume=True, **SOCIETY, **settings)) as world:
        world.run(rounds)


def outcome(folder: Path, months: int) -> dict[str, float]:
    """Share of the lake that is left, and tons that a fisher caught, as means over the months; nothing after a collapse."""
    run = open_run(folder)
    capacity = CAPACITY * len(run.agents())
    stocks, catches = ([float(month[key]) for month in run.metrics()] for key in ("stock", "harvest"))
    return {"lake left": sum(stocks) / capacity / months, "caught": sum(catches) / months}


def programs(study: Study) -> str:
    """What programs reach in the same lakes that always take the same number of tons, as a Markdown table."""
    lines = ["| each month, each fisher takes | lake left | caught |", "|---:|---:|---:|"]
    for tons in (1, 3, 5, 7, 9):
        model = ScriptedModel(replies=[str(tons)])
        found = []
        for number, lake in enumerate(HELDOUT):
            folder = study.out / f"program-{tons}" / str(number)
            fish(folder, model, 0, study.size["months"], agents=study.size["agents"], **lake)
            found.append(outcome(folder, study.size["months"]))
        lines.append(f"| {tons} | " + " | ".join(f"{np.mean([one[k] for one in found]):.2f}" for k in MEASURES) + " |")
    return "\n".join(lines)


def train(unit: Unit) -> str:
    """Train one arm with one seed."""
    size, model = unit.study.size, unit.folder / "model"
    lake = {"growth": GROWTH, "agents": size["agents"]}
    if (model / "training.json").exists():
        return f"hf:{model}"
    if ARMS[unit.arm] == "policy_gradient":
        fish(unit.folder / "run", unit.study.model, unit.seed, size["rounds"], **{**lake, "agents": size["fishers"]})
        rows = unpaired_rows(open_run(unit.folder / "run"), reward="catch")
        trainer = load_trainer(
            "policy_gradient", baseline="record", per_token=False, clip=None, max_steps=size["steps"], batch_size=8,
            seed=unit.seed, **TRAINER,
        )  # fmt: skip
    else:
        trainer = load_trainer(
            "society_grpo", scenario="commons", reward="survival", rounds=size["rounds"], group=size["group"],
            episodes=size["steps"], epochs=1, batch_size=1, first_seed=1000 * unit.seed, seed=unit.seed,
            society={**SOCIETY, **lake}, **TRAINER,
        )  # fmt: skip
        rows = trainer.make_rows()
    return str(trainer.train(rows, base=unit.study.model, out=model).uri)


def evolve(unit: Unit) -> dict[str, list[float]]:
    """Train, and fish in the held-out lakes before and after."""
    size = unit.study.size
    found: dict[str, list[float]] = {f"{what} {when}": [] for what in MEASURES for when in ("before", "after")}
    for name, model in (("before", unit.study.model), ("after", train(unit))):
        for number, lake in enumerate(HELDOUT):
            for one in range(size["societies"]):
                folder = unit.folder / f"{name}-{number}-{one}"
                seed = 10_000 + 100 * unit.seed + 10 * number + one
                fish(folder, model, seed, size["months"], agents=size["agents"], **lake)
                for what, value in outcome(folder, size["months"]).items():
                    found[f"{what} {name}"].append(value)
    return found


def axis(ax: Axes, study: Study) -> None:
    """Name the axis."""
    ax.set_xlabel(f"share of the lake left in held-out lakes, mean of {study.size['months']} months")
    ax.set_xlim(0, 1)


def main() -> None:
    """Run what is missing, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = {"agents": 4, "fishers": 16, "rounds": 4, "months": 6, "group": 4, "steps": 6, "societies": 2}
    given, study = arguments(parser, "survival", size)
    held = "; ".join(", ".join(f"{k}={v:g}" for k, v in lake.items()) for lake in HELDOUT)
    about = (
        f"`commons` without talk, trained with growth={GROWTH:g} and a full lake, {size['steps']} steps of `policy_gradient` "
        f"on the catch, or of `society_grpo` on survival. Units of each seed: {size['societies']} societies of "
        f"{size['agents']} fishers in each of the lakes {held}. Lake left: share of its capacity; "
        f"caught: tons a fisher; means of {size['months']} months, nothing after a collapse. "
    )
    found = run_units(study, evolve, list(ARMS), given.workers)
    figure = draw(found, lambda ax: axis(ax, study), "lake left")
    tables = "\n\n".join([*(difference_table(found, what) for what in MEASURES), programs(study)])
    finish(study, given, tables, about, figure)


if __name__ == "__main__":
    main()
