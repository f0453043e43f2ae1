"""Who is asked what, where, and when: a village on a grid of 3 by 4, in which half of the people are asked each week.

sandbox show-prompts ./examples/20_who_asks_whom.py
sandbox run ./examples/20_who_asks_whom.py --rounds 4 --out runs/village
sandbox plot runs/village measures
"""

from sandbox import Scenario, Upbringing

CAR = "How do you get to town?"


def talk(agent, question, world):
    said = yield agent.answer(question)
    chosen = yield agent.choose(f"{question} Choose one.", world.scenario.options)
    return world.interaction(
        agent, question, draft=said.text, extra={"chosen": max(chosen.probs, key=chosen.probs.get)}
    )


def asked(world):
    """Those whose number is even in even weeks, and the others in odd ones."""
    return [agent for agent in world.members if agent.index % 2 == world.state["week"] % 2]


def ask(agent, world):
    return f"It rains on {agent.state['days']} days. " + (
        CAR if agent.label == "driver" else world.scenario.questions[1]
    )


def rain(world):
    for agent in world.members:
        agent.state["days"] = (world.round + agent.index) % 7


def next_week(world):
    world.state["week"] += 1


def walk(agent, world):
    """Whoever sees rain ahead goes to a free place nearby; others stay."""
    return next(iter(world.space.free_near(agent)), None) if agent.state["days"] > 4 else None


def wet(interactions, world):
    """Days of rain of all agents, 0 or more."""
    return sum(agent.state["days"] for agent in world.members)


scenario = Scenario(
    name="Who asks whom", source="written for this example", questions=[CAR, "Would you take a bus?"],
    heldout=["Should the bus be free?"], options=["bus", "car"], rows=3, columns=4, society={"capacity": 2},
    population={"driver": 0.5, "walker": 0.5}, roles={"driver": "You own a car."},
    upbringing={"driver": [Upbringing(CAR, "By car, it is quick.")], "walker": [Upbringing(CAR, "On foot.")]},
    protocol=talk, asked=asked, ask=ask, before_round=rain, after_round=next_week, move=walk, state={"days": 0},
    world_state={"week": 0}, measures={"wet": wet},
    stop=lambda world: world.state["week"] >= 6,
)  # fmt: skip
