"""Births and deaths: the poor leave, the rich have a child, and a newcomer arrives in the third round.

sandbox run ./examples/16_births.py --size 4 --rounds 6 --out runs/births
sandbox plot runs/births measures
python -c "from sandbox import open_run; print(open_run('runs/births').population())"
"""

from sandbox import Prompts, Scenario, keyed_rng


def trade(agent, question, world):
    """Every agent says what it does; what it gains is a matter of luck."""
    reply = yield agent.answer(question)
    gain = keyed_rng(world.seed, world.round, agent.index, "gain").choice([-2, -1, 1, 2])
    return world.interaction(agent, question, draft=reply.text, extra={"gain": gain})


def settle(world, interactions):
    """Whoever has nothing left leaves; whoever has seven coins gives three of them to a child, if there is room beside it."""
    for it in interactions:
        agent = world.members[it.agent]
        agent.state["purse"] += it.extra.get("gain", 0)
        if agent.state["purse"] <= 0:
            agent.remove()
        elif agent.state["purse"] >= 7 and world.space.free_near(agent):
            agent.state["purse"] -= 3
            world.add(label=agent.label, near=agent, state={"purse": 3, "parent": agent.name})


def arrive(world):
    """A newcomer comes from elsewhere."""
    world.add(label="good", name="Noor", state={"purse": 5})


def alive(interactions, world):
    """Number of agents after the round."""
    return len(world.members)


scenario = Scenario(
    questions=["How do you earn your bread?", "Whom do you trade with?"],
    prompts=Prompts(answer="You have {state[purse]} coins. {question}"),
    protocol=trade,
    state={"purse": 4, "parent": ""},
    settle=settle,
    events={2: arrive},
    measures={"alive": alive},
    size=4,
    society={"capacity": 2, "radius": 1},
)
