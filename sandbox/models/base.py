"""What every language model promises: a list of requests in, a list of replies out, in the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import orjson


class Message(NamedTuple):
    """One turn of a conversation; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a language model.

    Attributes:
        messages: The conversation so far, ending with a user's turn.
        max_tokens: The reply's length at most, in tokens.
        temperature: 0 takes the likeliest token; 1 samples from the model's own distribution.
        top_p: Sample from the smallest set of tokens that holds this much probability, in (0, 1].
        stop: Strings that end the reply; they are not part of it.
        seed: Of this request alone: the same request gives the same reply.
        prefix: Text the reply must start with; it is not part of ``Reply.text``.
        choices: If given, the reply is one of these strings, and ``Reply.choice_probs`` says how likely
            each is. No text is sampled beyond it.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    prefix: str = ""
    choices: tuple[str, ...] = ()

    def content(self) -> str:
        """The whole content as JSON: a list of the fields in their order."""
        fields = (
            [tuple(message) for message in self.messages],
            self.max_tokens,
            self.temperature,
            self.top_p,
            self.stop,
            self.seed,
            self.prefix,
            self.choices,
        )
        return orjson.dumps(fields).decode()

    def key(self) -> str:
        """A hash of the whole content, the same in every process (32 hex digits)."""
        return content_key(self.content())


def content_key(content: str) -> str:
    """Hash :meth:`Request.content` (32 hex digits)."""
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: The reply without ``Request.prefix``, stripped of surrounding white space.
        choice_probs: Probability of each of ``Request.choices``, summing to 1; None where the model gives none.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        finish_reason: ``stop``, ``length`` or ``error``.
        error: Why there is no answer; ``text`` is then empty and must not be taken for one.
    """

    text: str
    choice_probs: Mapping[str, float] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The reply as plain JSON types; ``Reply(**d)`` is its inverse."""
        return asdict(self)


@runtime_checkable
class LanguageModel(Protocol):
    """What an agent speaks through.

    ``uri`` names the model in manifests; ``fingerprint`` is a short hash of its weights or content, so that
    a record says what really spoke. ``default_rater`` is the rater that suits it.
    """

    uri: str
    fingerprint: str
    default_rater: str

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order. A request that cannot be answered gives ``Reply.error``."""
        ...
