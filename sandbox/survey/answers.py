"""Answers of agents to a survey: how each is asked, and what its reply says. Knows no files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import CallFailed, CallLog, Conversation
from sandbox.models.base import Reply
from sandbox.records import Choice
from sandbox.society.agent import SocialAgent
from sandbox.society.context import SocietyContext
from sandbox.survey.questions import SurveyQuestion, positions

_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:[.,]\d+)?(?![\w])")


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
    world.questions.add(_words(question) for question in questions)  # embedded in one batch, for recall
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
        reply: Reply = yield agent.answer(_words(question), turn=question.turn)
    except CallFailed as failure:
        return SurveyAnswer(agent.index, question, error=str(failure))
    if question.kind == "text":
        return SurveyAnswer(agent.index, question, reply.text)
    number = read_number(reply.text, question.low or 0.0, question.high or 0.0)
    if number is None:
        return SurveyAnswer(agent.index, question, raw=reply.text)
    return SurveyAnswer(agent.index, question, f"{number:.15g}", number)


def _words(question: SurveyQuestion) -> str:
    if question.kind != "number":
        return question.question
    return (
        f"{question.question}\n\nAnswer with one number from {question.low:g} to {question.high:g}, and nothing else."
    )


def _chosen(agent: int, question: SurveyQuestion, choice: Choice) -> SurveyAnswer:
    if not choice.probs:
        return SurveyAnswer(agent, question, raw=choice.raw)
    probabilities = {option: float(choice.probs[option]) for option in question.options}
    best = max(question.options, key=probabilities.__getitem__)
    at = positions(question.options)
    number = None if at is None else at[question.options.index(best)]
    return SurveyAnswer(agent, question, best, number, probabilities)


def read_number(text: str, low: float, high: float) -> float | None:
    """Read the number that a reply gives.

    The range itself is left out if the reply repeats it, as in "7 out of 10" or "on a scale from 0 to 10".

    Args:
        text: The reply.
        low: Lowest number.
        high: Highest number.

    Returns:
        The only number in [low, high]; None if there is none, or if there are several different ones.
    """
    first, last = re.escape(f"{low:g}"), re.escape(f"{high:g}")
    plain = re.sub(rf"(?<![\d.]){first}\s*(?:to|-|–|and|through)\s*{last}(?![\d.,]\d)", " ", text)
    plain = re.sub(rf"(?:/|out of|of)\s*{last}(?!\d|[.,]\d)", " ", plain)
    found = {float(number.replace(",", ".").replace("−", "-")) for number in _NUMBER.findall(plain)}
    fitting = [number for number in found if low <= number <= high]
    return fitting[0] if len(fitting) == 1 else None
