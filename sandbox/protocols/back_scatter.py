"""Back-Scatter: a draft, the neighbours' feedback, a revision. Section 3.1 of arXiv:2305.16960."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.conversation.steps import Conversation
from sandbox.records import Interaction

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


def back_scatter(agent: SocialAgent, question: str, world: SocietyContext) -> Conversation:
    """An agent answers, its audience rates and says why, it answers again; observers score both answers."""
    recalled = agent.recall(question)
    draft = yield agent.answer(question)
    audience = world.audience(agent)
    # The draft is observed beside the feedback: nothing waits for it.
    *feedback, before = yield [
        *(peer.review(agent, question, draft) for peer in audience),
        world.observer.score(question, draft),
    ]
    revision = yield agent.revise(question, draft, feedback)
    after = yield world.observer.score(question, revision)
    return Interaction(
        round=world.round,
        agent=agent.index,
        label=agent.label,
        question=question,
        draft=draft.text,
        feedback=tuple(feedback),
        revision=revision.text,
        before=before,
        after=after,
        recalled=recalled,
        protocol="back_scatter",
    )
