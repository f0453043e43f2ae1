"""Your own protocol: a council, in which every neighbour also answers before the author answers again.

    python examples/03_own_protocol.py [MODEL]

A protocol is a generator function for one agent; the world runs it for all agents concurrently and batches the calls. It
yields a call, or a list of calls to run concurrently, receives the results, and returns an Interaction made by
``world.interaction``, which fills in the round, the agent and the name of the protocol.
Command line: sandbox run value_alignment --protocol ./examples/03_own_protocol.py
"""

import sys

from sandbox import Message, World


def council(agent, question, world):
    """The author answers, its neighbours do, it answers again knowing theirs; it may stop when all agree."""
    draft = yield agent.answer(question)
    neighbours = world.audience(agent)
    others = yield [peer.answer(question, turn=1) for peer in neighbours]
    before = yield world.observer.score(question, draft)
    extra = {"others": {str(peer.index): said.text for peer, said in zip(neighbours, others, strict=True)}}
    if all(said.text == draft.text for said in others):
        return world.interaction(agent, question, draft=draft.text, before=before, extra=extra)
    heard = "\n".join(f"{peer.name}: {said.text}" for peer, said in zip(neighbours, others, strict=True))
    messages = (Message("user", f"{question}\n\nYou said: {draft.text}\n{heard}\n\nWhat do you say now?"),)
    revision = yield agent.ask(messages, "after the council")
    after = yield world.observer.score(question, revision)
    return world.interaction(
        agent, question, draft=draft.text, revision=revision.text, before=before, after=after, extra=extra
    )


protocol = council  # what `--protocol PATH` looks for

if __name__ == "__main__":
    model = sys.argv[1] if len(sys.argv) > 1 else "scripted:"
    embedder = "hashing" if model == "scripted:" else None
    run = World("value_alignment", model=model, embedder=embedder, protocol=council, size=3).run(rounds=2)
    for one in run.interactions()[:3]:
        print(f"Agent {one.agent + 1} was asked: {one.question}")
        print(f"  first:  {one.draft}\n  others: {' / '.join(one.extra['others'].values())}\n  then:   {one.revision}")
    print(f"alignment by round: {[round(m['alignment'], 2) for m in run.metrics()]}")
