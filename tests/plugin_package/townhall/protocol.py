"""How one talks in a town hall."""


def show_of_hands(agent, question, world):
    """An agent speaks once, everybody near raises a hand or does not, and nobody speaks again."""
    speech = yield agent.answer(question)
    *feedback, score = yield [
        *(peer.review(agent, question, speech) for peer in world.audience(agent)),
        world.observer.score(question, speech),
    ]
    hands = sum(said.rating.value is not None and said.rating.value > 3 for said in feedback)
    return world.interaction(
        agent,
        question,
        draft=speech.text,
        feedback=tuple(feedback),
        before=score,
        extra={"hands": hands},
    )
