"""State, stages and events: a belief spreads among neighbours, and an official denial comes in the third round.

sandbox run ./examples/11_state_and_stages.py --size 4 --rounds 5 --neighborhood small_world --out runs/belief
sandbox plot runs/belief measures
python -c "from sandbox import open_run; print(open_run('runs/belief').states())"
"""

from sandbox import Prompts, Scenario


def tell(agent, question, world):
    """First stage: every agent says what it believes."""
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text)


def judge(agent, question, world):
    """Second stage: having heard its neighbours, it says whether it believes the claim."""
    said = world.said("tell")
    heard = [
        (other.name, said[other.index].draft) for other in world.audience(agent) if said[other.index].error is None
    ]
    choice = yield agent.choose(question, ["yes", "no"], heard=heard)
    return world.interaction(agent, question, draft=choice.best or "?", extra={"yes": (choice.probs or {}).get("yes")})


def settle(world, interactions):
    """After the second stage a belief moves halfway to what the agent has just said."""
    for it in interactions:
        if world.stage == "judge" and it.extra.get("yes") is not None:
            state = world.members[it.agent].state
            state["belief"] = (state["belief"] + it.extra["yes"]) / 2


def deny(world):
    """From the third round on, an official denial is in every prompt."""
    for agent in world.members:
        agent.state["news"] = "The city denies it. "


def belief(interactions, world):
    """Mean belief in the claim, 0 to 1."""
    return sum(agent.state["belief"] for agent in world.members) / len(world.members)


scenario = Scenario(
    questions=["Is the tap water poisoned?"],
    prompts=Prompts(  # one for each kind of request: agent.answer and agent.choose
        answer="You believe this to {state[belief]:.0%}. {state[news]}{question}",
        choose="You believe this to {state[belief]:.0%}. {state[news]}{heard}{question} Answer with one of: {options}.",
    ),
    state=lambda agent, world: {"belief": 1.0 if agent.index == 0 else 0.2, "news": ""},
    stages=[tell, judge],
    settle=settle,
    events={2: deny},
    measures={"belief": belief},
)
