"""Do players learn to cooperate? A society is trained on its own payoff, on the welfare of all, and against its past selves.

    python examples/cooperation.py [--game public_goods] [--seeds 3] [--workers 2] [--out cooperation]
        [--markdown docs/studies.md]

In public goods or the prisoner's dilemma all players speak through one model, which learns by policy gradient what paid: what
the player earned itself (``payoff``), or the mean of all who played with it (``welfare``), a moral reward as in
arXiv:2410.01639. Against past selves, half of the players keep earlier models, and the others learn from their own payoff.
After each generation the model plays with payoffs and in societies that it was not trained with, and in a society half of whose
players have the base model. Each arm and seed is an evolution (``sandbox evolve``); what is finished is not done again. About
a quarter of an hour a game on two cores.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from matplotlib.axes import Axes
from study import Study, Unit, arguments, report

from sandbox import World, open_run
from sandbox.models.catalog import full_uri
from trainers import Evolution

# The measure that tells cooperation, its unit, settings of the training, and settings that are held out.
GAMES: dict[str, dict[str, Any]] = {
    "public_goods": {
        "measure": "contribution", "unit": "coins of 20", "settings": {"punishment": "no"},
        "heldout": ("pot_return=0.3", "pot_return=0.6"),
    },
    "prisoners": {
        "measure": "cooperation", "unit": "share of players", "settings": {}, "heldout": ("temptation=4", "temptation=7"),
    },
}  # fmt: skip
ARMS = {"own payoff": ("payoff", 1.0), "own payoff, past selves": ("payoff", 0.5), "welfare of all": ("welfare", 1.0)}
TRAINER = {"baseline": "record", "per_token": False, "clip": None, "learning_rate": 1e-3, "schedule": "constant"}


def evolve(unit: Unit) -> dict[str, list[float]]:
    """Train and try one arm with one seed: the measure in each held-out society, before and after."""
    given, (reward, share) = GAMES[unit.study.words["game"]], ARMS[unit.arm]
    measure, size = given["measure"], unit.study.size
    base = unit.study.model
    evolution = Evolution(
        unit.study.words["game"], out=unit.folder, base=base, trainers=("policy_gradient",), reward=reward, share=share,
        record="last", generations=size["generations"], rounds=size["rounds"], societies=size["societies"],
        heldout=tuple(f"{held},agents={size['heldout_agents']}" for held in given["heldout"]), seed=unit.seed,
        settings={**given["settings"], "agents": size["agents"], "embedder": "hashing"},
        training={**TRAINER, "max_steps": size["steps"], "batch_size": 8, "progress": False, "measure_kl": False},
    )  # fmt: skip
    first, *_, last = evolution.run()["generations"]
    found = {
        f"{measure} {name}": [society["measures"][measure] for society in one["outcome"]["societies"]]
        for name, one in (("before", first), ("after", last))
    }
    for name, model in (("before", base), ("after", last["model"])):
        found[f"{measure} {name}"].append(among_others(unit, model, base, measure))
    return found


def among_others(unit: Unit, model: str, others: str, measure: str) -> float:
    """The measure of players with a model, who are half of a society, among players with another."""
    given, size = GAMES[unit.study.words["game"]], unit.study.size
    folder = unit.folder / ("among-others-after" if model != others else "among-others-before")
    models = model if model == others else {model: 0.5, others: 0.5}
    world = World(
        unit.study.words["game"], model=models, seed=unit.seed + 10_000, out=folder, resume=True, agents=size["agents"],
        embedder="hashing", observer=others, **given["settings"],
    )  # fmt: skip
    with closing(world):
        world.run(size["rounds"])
    run = open_run(folder)
    agents = run.agents()
    players = set(agents[agents["model"] == full_uri(model)]["agent"])
    frame = run.frame()
    return float(frame[frame["agent"].isin(players)][f"reward.{measure}"].mean())


def axis(ax: Axes, study: Study) -> None:
    """Name the axis."""
    given = GAMES[study.words["game"]]
    ax.set_xlabel(f"{given['measure']} in held-out societies ({given['unit']})")
    ax.set_xlim(0, 20 if given["measure"] == "contribution" else 1)


def main() -> None:
    """Run what is missing, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--game", choices=tuple(GAMES), default="public_goods")
    size = {"agents": 16, "rounds": 2, "generations": 2, "steps": 5, "societies": 2, "heldout_agents": 8}
    given, study = arguments(parser, "cooperation", size, words=("game",))
    held = ", ".join(GAMES[given.game]["heldout"])
    about = (
        f"`{given.game}`, generations: {size['generations']}, each of {size['steps']} steps of `policy_gradient` (learning "
        f"rate {TRAINER['learning_rate']:g}). Units of each seed: {size['societies']} held-out societies with each of {held}, "
        "and a society half of whose players have the base model. "
    )
    report(study, given, evolve, ARMS, GAMES[given.game]["measure"], about, axis)


if __name__ == "__main__":
    main()
