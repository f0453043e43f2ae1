"""OpenAI's schema: what a request becomes on the wire, and how a reply is read.

After https://platform.openai.com/docs/api-reference, and what other servers make of it. Knows nothing of connections.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import orjson

from sandbox.models.base import Message, Reply, Request
from sandbox.models.local.chat_template import render
from sandbox.models.remote.top_logprobs import choice_probs, positions

Api = Literal["chat", "completion"]

# Servers disagree on how many alternatives to a token they may be asked for: 20 with most, 5 with some.
_TOPS = (20, 5, 0)
_STOPS = 4  # the API takes no more
_BYTES_A_TOKEN = 16_384  # a token with 20 alternatives takes about 2,000
_BYTES_AROUND = 65_536
_FIELD = "choice"  # of the object that a reply under a schema is
_UNKNOWN = re.compile(r"support|unrecogni[sz]ed|unknown|permitted", re.IGNORECASE)
# A base model goes on with the next instruction where a chat model ends its turn.
_INSTRUCTION = "### Instruction:"


class BadReply(Exception):
    """The server's answer holds no reply.

    Attributes:
        transient: Whether asking again may help.
    """

    def __init__(self, words: str, *, transient: bool) -> None:
        super().__init__(words)
        self.transient = transient


class _NoTemplate:
    """What :func:`sandbox.models.local.chat_template.render` asks of a tokenizer, where there is none."""

    chat_template = None
    bos_token = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server is spoken to, as far as it is known.

    Attributes:
        api: ``chat``, or ``completion`` for base models, which are asked in the instruction format of Alpaca.
        tops: Alternatives to each token that are asked for where ``Request.choices`` wants probabilities.
        refused: Fields that the server does not take.
        structured: Whether choices are asked for as JSON under a schema, where there are no probabilities (chat only).
    """

    api: Api
    tops: int = _TOPS[0]
    refused: frozenset[str] = frozenset()
    structured: bool = True

    @property
    def path(self) -> str:
        """Where requests go, below the server's base URL."""
        return "/chat/completions" if self.api == "chat" else "/completions"

    def body(self, name: str, request: Request) -> bytes:
        """The request as the server wants it.

        ``seed`` is cut to 31 bits, which every server takes. Chat has no way to begin a reply for the model: a prefix
        is asked for in words. A completion goes on after it.
        """
        fields: dict[str, Any] = {
            "model": name,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed & 0x7FFF_FFFF,
        }
        stop = request.stop
        if self.api == "chat":
            by_schema = self._by_schema(request)
            told = _in_words(request, by_schema)
            fields["messages"] = [{"role": role, "content": content} for role, content in told]
            if by_schema:
                fields["response_format"] = _schema(request.choices)
        else:
            fields["prompt"] = render(_NoTemplate(), request.messages, request.prefix)
            stop = (_INSTRUCTION, *stop)
        if stop:
            fields["stop"] = stop[:_STOPS]
        if request.choices and self.tops:
            fields |= {"logprobs": True, "top_logprobs": self.tops} if self.api == "chat" else {"logprobs": self.tops}
        if "max_tokens" in self.refused:
            fields["max_completion_tokens"] = request.max_tokens
        if self.refused:
            fields = {field: value for field, value in fields.items() if field not in self.refused}
        try:
            return orjson.dumps(fields)
        except TypeError:  # half of a surrogate pair
            return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")

    def instead(self) -> str:
        """How choices are learnt from a server without probabilities, in words."""
        is_asked = self.structured and self.api == "chat"
        return "choices are asked for as JSON under a schema" if is_asked else "ratings are read from its words"

    def _by_schema(self, request: Request) -> bool:
        return bool(request.choices) and not self.tops and self.structured and self.api == "chat"

    def longest(self, request: Request) -> int:
        """Bytes beyond which an answer cannot be one to the request."""
        return _BYTES_AROUND + _BYTES_A_TOKEN * request.max_tokens

    def without(self, said: str) -> tuple[str, Dialect] | None:
        """What to do without after the server refused a request.

        Args:
            said: How it put that.

        Returns:
            The field to blame and the dialect to try; None where it is none that can be done without.
        """
        if "logprobs" in said and self.tops:
            fewer = _TOPS[_TOPS.index(self.tops) + 1]
            return f"{self.tops} logprobs", replace(self, tops=fewer)
        if self.structured and not self.tops and re.search("response_format|json_schema|structured output", said, re.I):
            return "JSON under a schema", replace(self, structured=False)
        if "max_completion_tokens" in said and "instead" in said:
            refused = "max_tokens"
        else:
            named = (f for f in ("seed", "temperature", "top_p", "stop") if re.search(rf"\b{f}\b", said))
            refused = next(named, "")
            # A value out of range is the caller's to mend; without a seed nothing is lost but repeatability.
            if refused != "seed" and not _UNKNOWN.search(said):
                return None
        if not refused or refused in self.refused:
            return None
        return refused, replace(self, refused=self.refused | {refused})

    def read(self, body: bytes, request: Request) -> tuple[Reply, Dialect]:
        """Read an answer.

        Returns:
            The reply, and the dialect to go on with: a server that gave no probabilities is not asked for them again.

        Raises:
            BadReply: it holds no reply.
        """
        try:
            said = _loads(body)
        except (ValueError, RecursionError):
            raise BadReply(f"the answer is not JSON: {excerpt(body)}", transient=True) from None
        choice = _choice(said)
        text = _text(choice)
        if text is None:
            raise BadReply(f"the answer holds no reply: {excerpt(body)}", transient=True)
        ending = choice.get("finish_reason")
        if ending == "content_filter":
            raise BadReply("the server's content filter withheld the reply", transient=False)
        used = said.get("usage")
        used = used if isinstance(used, dict) else {}
        tokens = (_count(used.get("prompt_tokens")), _count(used.get("completion_tokens")))
        dialect = self
        if request.choices and self.tops:
            logprobs = choice.get("logprobs")
            probs = choice_probs(positions(logprobs), request.choices)
            if probs is not None:
                return Reply(max(probs, key=probs.__getitem__), probs, *tokens), self
            if not any(True for _ in positions(logprobs)):
                dialect = replace(self, tops=0)
        elif self._by_schema(request):
            chosen = _chosen(text, request.choices)
            if chosen is not None:
                return Reply(chosen, None, *tokens), self
            if not text.lstrip().startswith(("{", "```")):  # the server takes no notice of the schema
                dialect = replace(self, structured=False)
        return Reply(_cleaned(text, request), None, *tokens, "length" if ending == "length" else "stop"), dialect


def refusal(body: bytes) -> tuple[str, str]:
    """What an error says, and its code; the beginning of the body where it is in no known form."""
    try:
        said = _loads(body)
    except (ValueError, RecursionError):
        return excerpt(body), ""
    error = said.get("error", said) if isinstance(said, dict) else None
    if not isinstance(error, dict):
        return excerpt(body), ""
    words, param = error.get("message"), error.get("param")
    if not isinstance(words, str):
        words = excerpt(body)
    return (f"{words} ({param})" if param and str(param) not in words else words), str(error.get("code") or "")


def excerpt(body: bytes) -> str:
    """The beginning of a body, to be shown."""
    text = " ".join(body[:800].decode("utf-8", "replace").split())
    return repr(text if len(text) <= 200 and len(body) <= 800 else f"{text[:200]}…")


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # some servers write Infinity
        return json.loads(body)


@lru_cache(maxsize=64)
def _schema(choices: tuple[str, ...]) -> dict[str, Any]:
    """A format of replies that allows an object with one of the choices, and nothing else."""
    schema = {
        "type": "object",
        "properties": {_FIELD: {"type": "string", "enum": list(choices)}},
        "required": [_FIELD],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "choice", "strict": True, "schema": schema}}


def _chosen(text: str, choices: tuple[str, ...]) -> str | None:
    """The choice that a reply under the schema holds."""
    try:
        said = json.loads(text.strip().removeprefix("```json").strip("`"))
    except (ValueError, RecursionError):
        return None
    found = str(said.get(_FIELD)).strip() if isinstance(said, dict) else None
    return found if found in choices else None


def _in_words(request: Request, by_schema: bool) -> tuple[Message, ...]:
    """The conversation for a server that cannot be given the beginning of a reply."""
    if not (request.prefix or by_schema):
        return request.messages
    *before, last = request.messages
    if by_schema:
        asked = f'{last.content}\n\nReply with a JSON object whose "{_FIELD}" is one of {", ".join(request.choices)}.'
        return (*before, Message(last.role, asked))
    among = f" and one of {', '.join(request.choices)}" if request.choices else ""
    asked = f'{last.content}\n\nBegin your reply with "{request.prefix}"{among}.'
    return (*before, Message(last.role, asked))


def _cleaned(text: str, request: Request) -> str:
    for stop in request.stop:  # a server may take fewer than there are, or none
        text = text.partition(stop)[0]
    text, prefix = text.strip(), request.prefix.strip()
    bare = text.lstrip("\"'*_ ")
    if prefix and bare.casefold().startswith(prefix.casefold()):
        return bare[len(prefix) :].lstrip("\"'*_ ")
    return text


def _choice(said: Any) -> dict[str, Any]:
    choices = said.get("choices") if isinstance(said, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _text(choice: Mapping[str, Any]) -> str | None:
    message = choice.get("message")
    # A model that declines says so in a field of its own, where its reply would be.
    texts = [message.get("content"), message.get("refusal")] if isinstance(message, dict) else [choice.get("text")]
    return next((text for text in texts if isinstance(text, str)), None)


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) and tokens > 0 else 0
