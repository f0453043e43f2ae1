"""Debate: a neighbour argues against an answer, the author answers again, the other neighbours judge who was convincing.

After Irving et al. (arXiv:1805.00899), with the audience in place of the judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.conversation.steps import Conversation
from sandbox.records import Feedback

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


def debate(agent: SocialAgent, question: str, world: SocietyContext) -> Conversation:
    """An agent answers, one neighbour argues against it, it answers again, and the other neighbours judge.

    The opponent is the first of the audience, the rest judge. ``extra`` holds ``opponent`` (its index; null for an agent
    without neighbours, who answers once), ``opponent_label`` and ``verdicts``: for each judge, the probability that the
    author was more convincing. The argument is stored in the feedback, without a rating. Observers score both answers.
    """
    recalled = agent.recall(question)
    draft = yield agent.answer(question)
    fields = {"draft": draft.text, "recalled": recalled}
    audience = world.audience(agent)
    if not audience:
        before = yield world.observer.score(question, draft)
        return world.interaction(
            agent, question, before=before, extra={"opponent": None, "opponent_label": None, "verdicts": {}}, **fields
        )
    opponent, *judges = audience
    against, before = yield [opponent.argue(agent, question, draft), world.observer.score(question, draft)]
    heard = [(f"{agent.name} (you)", draft.text), (opponent.name, against.text)]
    revision = yield agent.answer(question, turn=1, heard=heard)
    sides = [(agent.name, draft.text), (opponent.name, against.text), (agent.name, revision.text)]
    asked = f"Who is more convincing on this question: {question}"
    after, *verdicts = yield [
        world.observer.score(question, revision),
        *(judge.choose(asked, (agent.name, opponent.name), turn=agent.index + 1, heard=sides) for judge in judges),
    ]
    extra = {
        "opponent": opponent.index,
        "opponent_label": opponent.label,
        "verdicts": {
            str(judge.index): said.probs[agent.name]
            for judge, said in zip(judges, verdicts, strict=True)
            if said.probs is not None
        },
    }
    said = (Feedback.unrated(opponent.index, against.text),)
    return world.interaction(
        agent, question, feedback=said, revision=revision.text, before=before, after=after, extra=extra, **fields
    )
