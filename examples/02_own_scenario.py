"""Your own scenario: villagers from a table, a rubric of three dimensions, a measure, and a stop condition.

sandbox show-prompts ./examples/02_own_scenario.py
sandbox run ./examples/02_own_scenario.py --size 3 --rounds 4 --out runs/village
sandbox plot runs/village
"""

from pathlib import Path

from sandbox import Dimension, Rubric, Scenario, read_personas

HERE = Path(__file__).parent


def gap(interactions, world):
    """Mean rating of natives' drafts minus newcomers', in points."""
    of = {"native": [], "newcomer": []}
    for it in interactions:
        of[it.label] += [said.rating.value for said in it.feedback if said.rating.value is not None]
    return (
        sum(of["native"]) / len(of["native"]) - sum(of["newcomer"]) / len(of["newcomer"]) if all(of.values()) else None
    )


scenario = Scenario(
    questions=["Should the village build a car park or a playground?", "Who should clear the shared path of snow?"],
    personas=read_personas(HERE / "data" / "villagers.csv", "You are {age}, work as a {job}, and are a {side}."),
    population="column:side",
    rubric=Rubric(
        (
            Dimension("fair", "how fair the answer is to everyone in the village"),
            Dimension("practical", "how well the answer could be put into practice"),
            Dimension("friendly", "how friendly the answer is to those who think otherwise"),
        ),
        scale=5,
    ),
    measures={"gap": gap},
    stop=lambda world: world.round >= 2 and abs(world.metrics["fair_gain"] or 0) < 0.1,  # feedback changes nothing more
)
