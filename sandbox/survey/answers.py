"""Answers of agents to a survey: how each is asked, and what its reply says. Knows no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import CallFailed, CallLog, Conversation
from sandbox.models.base import Reply
from sandbox.records import Choice, StructuredReply
from sandbox.society.agent import SocialAgent
from sandbox.society.context import SocietyContext
from sandbox.survey.questions import SurveyQuestion, positions


@dataclass(frozen=True, slots=True)
class SurveyAnswer:
    """An agent's answer to one question.

    Attributes:
        agent: Index of the agent.
        question: The question.
        answer: The text, the number as text, or the option; None if it could not be read, or the call failed.
        number: The number, or that of an option that is one.
        probabilities: Probability of each option of a choice, in their order.
        raw: The reply, where it could not be read.
        error: Why the call failed.
    """

    agent: int
    question: SurveyQuestion
    answer: str | None = None
    number: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    raw: str = ""
    error: str | None = None


def ask_survey(
    world: SocietyContext,
    questions: Sequence[SurveyQuestion],
    *,
    in_flight: int = 1024,
    log: CallLog | None = None,
    on_ended: Callable[[int], Any] | None = None,
) -> list[SurveyAnswer]:
    """Ask every agent every question; all calls are batched together. No answer is remembered or heard by another agent.

    Args:
        world: The society.
        questions: The questions.
        in_flight: Maximum number of concurrent conversations.
        log: Store of finished calls, for resuming.
        on_ended: Callback, receives the number of answers that ended.

    Returns:
        The answers, in the order of agents and then questions.
    """
    world.questions.add(question.question for question in questions)  # embedded in one batch, for recall
    pairs = ((agent, question) for agent in world.members for question in questions)
    return run_conversations(
        (_asked(agent, question) for agent, question in pairs), in_flight=in_flight, log=log, on_ended=on_ended
    )


def _asked(agent: SocialAgent, question: SurveyQuestion) -> Conversation:
    """Ask one question. Gives a :class:`SurveyAnswer`."""
    try:
        if question.kind in ("choice", "ordered"):
            choice: Choice = yield agent.choose(question.question, question.options, turn=question.turn)
            return _chosen(agent.index, question, choice)
        if question.kind == "number":
            said: StructuredReply = yield agent.number(question.question, *question.bounds, turn=question.turn)
            return _counted(agent.index, question, said)
        reply: Reply = yield agent.answer(question.question, turn=question.turn)
    except CallFailed as failure:
        return SurveyAnswer(agent.index, question, error=str(failure))
    return SurveyAnswer(agent.index, question, reply.text)


def _counted(agent: int, question: SurveyQuestion, said: StructuredReply) -> SurveyAnswer:
    if said.value is None:
        return SurveyAnswer(agent, question, raw=said.raw)
    return SurveyAnswer(agent, question, str(said.value), float(said.value))


def _chosen(agent: int, question: SurveyQuestion, choice: Choice) -> SurveyAnswer:
    if not choice.probs:
        return SurveyAnswer(agent, question, raw=choice.raw)
    probabilities = {option: float(choice.probs[option]) for option in question.options}
    best = max(question.options, key=probabilities.__getitem__)
    at = positions(question.options)
    number = None if at is None else at[question.options.index(best)]
    return SurveyAnswer(agent, question, best, number, probabilities)
