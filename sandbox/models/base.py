"""The contract of language models: a list of requests -> a list of replies, in the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import orjson

from sandbox.plugin_defaults import class_hash, complete


class Message(NamedTuple):
    """One turn of a conversation; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a language model.

    Attributes:
        messages: The conversation so far, ending with a user turn.
        max_tokens: Maximum length of the reply, in tokens.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Sample from the smallest set of tokens with this probability, in (0, 1].
        stop: Strings that end the reply; not part of it.
        seed: Seed of this request: equal requests give equal replies.
        prefix: Required beginning of the reply; not part of ``Reply.text``.
        choices: If given, the reply is one of these strings, and ``Reply.choice_probs`` holds their probabilities. No
            further text is generated.
        schema: If given, a JSON Schema as text: the reply is to be JSON of this form. Models that can, keep to it.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    prefix: str = ""
    choices: tuple[str, ...] = ()
    schema: str = ""

    def content(self) -> str:
        """Return all fields as a JSON list, in their order; ``schema`` only if it is given."""
        fields = (
            [tuple(message) for message in self.messages],
            self.max_tokens,
            self.temperature,
            self.top_p,
            self.stop,
            self.seed,
            self.prefix,
            self.choices,
            *([self.schema] if self.schema else []),
        )
        return orjson.dumps(fields).decode()

    @classmethod
    def from_content(cls, content: str) -> Request:
        """Make a request from the result of :meth:`content`."""
        messages, max_tokens, temperature, top_p, stop, seed, prefix, choices, *schema = orjson.loads(content)
        return cls(
            tuple(Message(*one) for one in messages), max_tokens, temperature, top_p, tuple(stop), seed, prefix,
            tuple(choices), *schema,
        )  # fmt: skip

    def key(self) -> str:
        """Return a hash of all fields, the same in every process (32 hex digits)."""
        return content_key(self.content())


def content_key(content: str) -> str:
    """Hash :meth:`Request.content` (32 hex digits)."""
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of a language model.

    Attributes:
        text: The reply without ``Request.prefix`` and surrounding white space.
        choice_probs: Probability of each of ``Request.choices``, summing to 1; None if the model gives none.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens of the reply.
        finish_reason: ``stop``, ``length`` or ``error``.
        error: Why the request failed; ``text`` is then empty and is not an answer.
        cached_tokens: Tokens of the prompt that a server read from its prefix cache; part of ``prompt_tokens``.
    """

    text: str
    choice_probs: Mapping[str, float] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    error: str | None = None
    cached_tokens: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the reply as plain JSON types, without cached tokens if there are none; ``Reply(**d)`` is the inverse."""
        found = asdict(self)
        if not self.cached_tokens:
            del found["cached_tokens"]
        return found


@runtime_checkable
class LanguageModel(Protocol):
    """The interface of a language model.

    ``uri`` names the model in manifests; ``fingerprint`` is a short hash of its weights or content, which identifies the
    model that was actually used. ``default_rater`` is the rater used with it by default. :func:`complete_model` gives
    defaults for these three; only ``generate`` is required.

    A model with a method ``on_ask(agent, purpose, request)`` is told of each request that an agent prepares for it. One with
    an attribute ``asked_last`` is asked when no other model has anything to do.
    """

    uri: str
    fingerprint: str
    default_rater: str

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order. A failed request gives ``Reply.error``."""
        ...


def complete_model(model: Any, uri: str | None = None) -> LanguageModel:
    """Give a language model the attributes of the contract that it lacks.

    Args:
        model: An object with ``generate``.
        uri: URI that it was made from; None for ``object:CLASS``. Give objects of one class that speak differently a ``uri``
            of their own each: records tell models apart by it.

    Returns:
        The object itself if it lacks nothing. The default ``fingerprint`` is a hash of the code of its class, and the
        default rater ``lm``.

    Raises:
        BrokenPlugin: it is a class, or has no ``generate``.
    """
    found: LanguageModel = complete(
        "language model",
        model,
        "generate",
        {
            "uri": lambda: uri or f"object:{type(model).__qualname__}",
            "fingerprint": lambda: class_hash(model),
            "default_rater": lambda: "lm",
        },
    )
    return found
