"""Back-Scatter: a draft, the neighbours' feedback, a revision. Section 3.1 of arXiv:2305.16960."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.conversation.steps import Conversation
from sandbox.society.candidates import Candidates, choose_answer, keeps_drafts, n_candidates

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


def back_scatter(agent: SocialAgent, question: str, world: SocietyContext) -> Conversation:
    """An agent answers, its audience rates the answer with reasons, it answers again; observers score both answers.

    With several ``candidates`` the agent writes that many drafts and that many revisions, and each time gives the one that
    it rates highest itself; with ``keep_draft`` it gives its draft again where it rates no revision higher. ``extra``
    then holds ``drafts`` and ``revisions`` (all candidates, with its rating and the observer's scores) and ``kept_draft``.
    """
    n, keep = n_candidates(world), keeps_drafts(world)
    recalled = agent.recall(question)
    drafts: Candidates = yield choose_answer(
        agent, question, [agent.answer(question, candidate=i) for i in range(n)], world, rate=keep
    )
    audience = world.audience(agent)
    # The drafts are scored together with the feedback: neither waits for the other.
    results = yield [
        *(peer.review(agent, question, drafts.text) for peer in audience),
        *(world.observer.score(question, text) for text in drafts.texts),
    ]
    feedback, before = results[: len(audience)], results[len(audience) :]
    revisions: Candidates = yield choose_answer(
        agent,
        question,
        [agent.revise(question, drafts.text, feedback, candidate=i) for i in range(n)],
        world,
        rate=keep,
    )
    after = yield [world.observer.score(question, text) for text in revisions.texts]
    kept = keep and (revisions.rating or 0.0) <= (drafts.rating or 0.0)
    extra: dict[str, Any] = {}
    if n > 1 or keep:
        extra = {
            "drafts": drafts.as_records(before),
            "revisions": revisions.as_records(after),
            "kept_draft": kept,
        }
    return world.interaction(
        agent,
        question,
        draft=drafts.text,
        feedback=tuple(feedback),
        revision=drafts.text if kept else revisions.text,
        before=before[drafts.chosen],
        after=before[drafts.chosen] if kept else after[revisions.chosen],
        recalled=recalled,
        extra=extra,
    )


def _max_calls(agent: SocialAgent, world: SocietyContext) -> int:
    n = world.society.reviewers
    if world.society.audience == "local":
        n = min(n, len(world.space.neighbors(agent)))
    asks_lm = world.rater.name == "lm"
    review = asks_lm + (not world.society.score_only)
    candidates = n_candidates(world)
    own_ratings = asks_lm * (candidates if candidates > 1 or keeps_drafts(world) else 0)
    scores = len(world.observer.scorers) * candidates if world.observer.rater.name == "lm" else 0
    return 2 * (candidates + own_ratings + scores) + n * review


back_scatter.max_calls = _max_calls  # type: ignore[attr-defined]
