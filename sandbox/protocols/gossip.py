"""Gossip: agents hear what their neighbours said the round before, say what they think, and choose.

After agent-based models of opinion: what one says this round, one's neighbours hear in the next. Without a revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.conversation.steps import Conversation
from sandbox.records import Feedback, Interaction, Rating

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


def gossip(agent: SocialAgent, question: str, world: SocietyContext) -> Conversation:
    """An agent hears what its neighbours said the round before, says what it thinks, and picks an option.

    In the first round there is nothing to hear. ``extra`` holds ``choice``, the probability of each of the scenario's
    options (null when the reply could not be read); who was heard stands in the feedback, which has no ratings.
    """
    before = [(peer, world.previous.get(peer.index)) for peer in world.audience(agent)]
    said = [(peer, it.final) for peer, it in before if it is not None and it.final]
    heard = [(peer.name, text) for peer, text in said]
    recalled = agent.recall(question)
    draft, choice = yield [agent.answer(question, heard=heard), agent.choose(question, heard=heard)]
    score = yield world.observer.score(question, draft)
    return Interaction(
        round=world.round,
        agent=agent.index,
        label=agent.label,
        question=question,
        draft=draft.text,
        feedback=tuple(Feedback(peer.index, Rating(None, reason=text)) for peer, text in said),
        before=score,
        recalled=recalled,
        protocol="gossip",
        extra={"choice": choice.probs if choice.probs is None else dict(choice.probs)},
    )
