"""Vote: a private opinion, deliberation among neighbours, and a vote; after studies of juries and deliberative polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.conversation.steps import Conversation
from sandbox.records import Feedback

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


def vote(agent: SocialAgent, question: str, world: SocietyContext) -> Conversation:
    """An agent chooses an option in private, hears its neighbours' answers to the question, and votes.

    ``extra`` holds ``private`` and ``vote``, the probability of each of the scenario's options before and after the
    deliberation (null when a reply could not be read). The neighbours' answers are stored in the feedback, without
    ratings. A neighbour's answer is the same that it gives when it is asked the question itself in the round.
    """
    audience = world.audience(agent)
    private, draft, *others = yield [
        agent.choose(question),
        agent.answer(question),
        *(peer.answer(question) for peer in audience),
    ]
    heard = [(f"{agent.name} (you)", draft.text)]
    heard += [(peer.name, said.text) for peer, said in zip(audience, others, strict=True)]
    voted, score = yield [agent.choose(question, turn=1, heard=heard), world.observer.score(question, draft)]
    return world.interaction(
        agent,
        question,
        draft=draft.text,
        feedback=tuple(Feedback.unrated(peer.index, said.text) for peer, said in zip(audience, others, strict=True)),
        before=score,
        recalled=agent.recall(question),
        extra={name: c.probs and dict(c.probs) for name, c in (("private", private), ("vote", voted))},
    )
