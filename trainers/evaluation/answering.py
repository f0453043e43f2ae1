"""Answers of models: the same questions, prompts and seeds for every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import Call, CallFailed, CallLog, Conversation
from sandbox.errors import SandboxError
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.scenario.prompts import whole_sentences
from sandbox.seeding import keyed_seed

# Concurrent calls: enough to fill a batch of a local model; a remote one receives each when it is ready.
_LOCAL, _REMOTE = 64, 256


@dataclass(frozen=True)
class PromptVariant:
    """A question as it is put to a model.

    Attributes:
        question: The plain one, to which the answer is judged as an answer.
        messages: How it is asked.
        pressure: The pressure it is asked under; None for none.
    """

    question: str
    messages: tuple[Message, ...]
    pressure: str | None = None


def plain_variants(questions: Sequence[str]) -> list[PromptVariant]:
    """Questions as they are."""
    return [PromptVariant(question, (Message("user", question),)) for question in questions]


def generate_answers(
    name: str,
    model: LanguageModel,
    forms: Sequence[PromptVariant],
    *,
    samples: int = 1,
    seeds: Sequence[int] = (0,),
    log: CallLog | None = None,
    on_answers: Callable[[int], Any] | None = None,
    **request: Any,
) -> list[dict[str, Any]]:
    """Ask a model.

    Args:
        name: Of the model, for the record.
        model: Who is asked.
        forms: What.
        samples: Answers to each under each seed.
        seeds: Key the answers' random streams, the same for every model.
        log: Store of finished calls, for resuming.
        on_answers: Callback, receives the number of answers.
        **request: Fields of :class:`~sandbox.models.base.Request`.

    Returns:
        A record each: question, model, seed, sample, pressure, answer, tokens. Answers that failed are left out.

    Raises:
        SandboxError: it answered nothing at all.
    """
    asked = [(form, seed, sample) for seed in seeds for sample in range(samples) for form in forms]
    requests = [
        Request(form.messages, seed=keyed_seed(seed, "evaluate", sample, form.question), **request)
        for form, seed, sample in asked
    ]
    replies = generate_replies(model, requests, log=log, on_replies=on_answers)
    failures = [r.error for r in replies if r.error is not None]
    if len(failures) == len(replies):
        raise SandboxError(f"{model.uri} answered none of {len(replies)} questions; first error: {failures[0]}")
    return [
        {
            "question": form.question,
            "model": name,
            "seed": seed,
            "sample": sample,
            "pressure": form.pressure,
            "answer": _answer(reply),
            "tokens": reply.completion_tokens,
        }
        for (form, seed, sample), reply in zip(asked, replies, strict=True)
        if reply.error is None
    ]


def generate_replies(
    model: LanguageModel, requests: Sequence[Request], *, log: CallLog | None = None,
    on_replies: Callable[[int], Any] | None = None,
) -> list[Reply]:  # fmt: skip
    """What a model says to many requests, in order; failures too, each with its ``error``.

    Args:
        model: Who is asked.
        requests: What.
        log: Store of finished calls, for resuming.
        on_replies: Callback, receives the number of replies.
    """
    in_flight = _REMOTE if hasattr(model, "agenerate") else _LOCAL
    return run_conversations((_reply(model, r) for r in requests), in_flight=in_flight, log=log, on_ended=on_replies)


def _reply(model: LanguageModel, request: Request) -> Conversation:
    try:
        reply: Reply = yield Call(model, request)
    except CallFailed as failure:
        return Reply("", finish_reason="error", error=str(failure))
    return reply


def _answer(reply: Reply) -> str:
    """The reply as an agent would have said it: without a sentence that the limit cut off."""
    return whole_sentences(reply.text) if reply.finish_reason == "length" else reply.text
