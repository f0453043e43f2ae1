"""Gossip: agents hear what their neighbours said in the previous round, state an opinion, and choose.

After agent-based models of opinion dynamics: what an agent says in a round, its neighbours hear in the next. There is no
revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.conversation.steps import Conversation
from sandbox.records import Feedback

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


def gossip(agent: SocialAgent, question: str, world: SocietyContext) -> Conversation:
    """An agent hears what its neighbours said in the previous round, states an opinion, and chooses an option.

    In the first round there is nothing to hear. ``extra`` holds ``choice``, the probability of each of the scenario's
    options (null when the reply could not be read). What was heard is stored in the feedback, without ratings.
    """
    before = [(peer, world.previous.get(peer.index)) for peer in world.audience(agent)]
    said = [(peer, it.final) for peer, it in before if it is not None and it.final]
    heard = [(peer.name, text) for peer, text in said]
    recalled = agent.recall(question)
    draft, choice = yield [agent.answer(question, heard=heard), agent.choose(question, heard=heard)]
    score = yield world.observer.score(question, draft)
    return world.interaction(
        agent,
        question,
        draft=draft.text,
        feedback=tuple(Feedback.unrated(peer.index, text) for peer, text in said),
        before=score,
        recalled=recalled,
        extra={"choice": choice.probs if choice.probs is None else dict(choice.probs)},
    )
