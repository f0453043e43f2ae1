"""OpenAI's schema: requests and replies on the wire.

Follows https://platform.openai.com/docs/api-reference, and the variations of other servers. Knows no connections.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import orjson

from sandbox.models.base import Message, Reply, Request
from sandbox.models.local.chat_template import render
from sandbox.models.plain_roles import plain_roles, refuses_roles
from sandbox.models.remote.api_keys import scrubbed
from sandbox.models.remote.refused_fields import DROPPABLE, refused_field
from sandbox.models.remote.top_logprobs import choice_probs, positions
from sandbox.models.thoughts import THOUGHTS_ALONE, has_thoughts_alone, without_thoughts
from sandbox.text_cleaning import without_surrogates

Api = Literal["chat", "completion"]

# Maximum number of top log-probabilities: 20 with most servers, 5 with some.
_TOPS = (20, 5, 0)
# Features that a server may lack, as named by users: fields of a request, and messages of the role ``system``.
OMISSIBLE = (*DROPPABLE, "max_tokens", "logprobs", "response_format", "system")
_STOPS = 4  # maximum of the API
_BYTES_A_TOKEN = 16_384  # a token with 20 alternatives takes about 2,000
_BYTES_AROUND = 65_536
_FIELD = "choice"  # key of the object in a structured reply
# Where a chat model ends its turn, a base model continues with the next instruction.
_INSTRUCTION = "### Instruction:"


class BadReply(Exception):
    """The response contains no reply.

    Attributes:
        transient: Whether a retry may help.
    """

    def __init__(self, words: str, *, transient: bool) -> None:
        super().__init__(words)
        self.transient = transient


class _NoTemplate:
    """Stands in for a tokenizer in :func:`sandbox.models.local.chat_template.render`."""

    chat_template = None
    bos_token = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The features of a server, as far as known.

    Attributes:
        api: ``chat``, or ``completion`` for base models, which are prompted in the instruction format of Alpaca.
        tops: Number of top log-probabilities requested for ``Request.choices``; 0 for none.
        refused: Fields that the server rejects.
        structured: Whether choices are requested as JSON with a schema if there are no log-probabilities (chat only).
        system: Whether it takes system messages and turns in any order; otherwise :func:`plain_roles` are sent.
    """

    api: Api
    tops: int = _TOPS[0]
    refused: frozenset[str] = frozenset()
    structured: bool = True
    system: bool = True

    @property
    def path(self) -> str:
        """Path of requests, below the base URL of the server."""
        return "/chat/completions" if self.api == "chat" else "/completions"

    def body(self, name: str, request: Request) -> bytes:
        """The body of a request.

        ``seed`` is cut to 31 bits, which every server accepts. The chat API cannot fix the beginning of a reply, so that a
        prefix is requested in words; a completion continues after it.
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
            messages = _in_words(request, by_schema)
            plain = [{"role": role, "content": content} for role, content in messages]
            fields["messages"] = plain if self.system else plain_roles(messages)
            if by_schema:
                fields["response_format"] = _schema(request.choices)
            elif request.schema and self.structured:
                shape = {"name": "reply", "schema": orjson.loads(request.schema)}
                fields["response_format"] = {"type": "json_schema", "json_schema": shape}
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
        """For messages: how choices are requested from a server without log-probabilities."""
        is_asked = self.structured and self.api == "chat"
        return "choices are requested as JSON with a schema" if is_asked else "ratings are parsed from its text"

    def _by_schema(self, request: Request) -> bool:
        return bool(request.choices) and not self.tops and self.structured and self.api == "chat"

    def longest(self, request: Request) -> int:
        """Maximum plausible size of a response to the request, in bytes."""
        return _BYTES_AROUND + _BYTES_A_TOKEN * request.max_tokens

    def leaving_out(self, fields: Collection[str]) -> Dialect:
        """The dialect without some features.

        Args:
            fields: Names among ``OMISSIBLE``.
        """
        refused = self.refused.union(fields) - {"logprobs", "response_format", "system"}
        return replace(
            self,
            refused=refused,
            tops=0 if "logprobs" in fields else self.tops,
            structured=self.structured and "response_format" not in fields,
            system=self.system and "system" not in fields,
        )

    def without(self, said: str) -> tuple[str, Dialect] | None:
        """Find the field to leave out after the server rejected a request.

        Args:
            said: The error message of the server.

        Returns:
            What was rejected and the dialect to try; None if nothing can be left out.
        """
        if "logprobs" in said and self.tops:
            fewer = _TOPS[_TOPS.index(self.tops) + 1]
            return f"{self.tops} logprobs", replace(self, tops=fewer)
        if self.structured and re.search("response_format|json_schema|structured output", said, re.I):
            return "JSON with a schema", replace(self, structured=False)
        if self.system and self.api == "chat" and refuses_roles(said):
            return "system messages or the order of turns", self.leaving_out(("system",))
        refused = refused_field(said, self.refused)
        if refused is None:
            return None
        return refused, replace(self, refused=self.refused | {refused})

    def read(self, body: bytes, request: Request) -> tuple[Reply, Dialect]:
        """Parse a response.

        Returns:
            The reply, and the dialect for later requests: a server that gave no log-probabilities is not asked again.

        Raises:
            BadReply: the response contains no reply.
        """
        try:
            said = _loads(body)
        except (ValueError, RecursionError):
            raise BadReply(f"the response is not JSON: {excerpt(body)}", transient=True) from None
        choice = _choice(said)
        text = _text(choice)
        if text is None:
            raise BadReply(f"the response contains no reply: {excerpt(body)}", transient=True)
        if has_thoughts_alone(text):
            raise BadReply(THOUGHTS_ALONE, transient=False)
        text = without_surrogates(without_thoughts(text))
        ending = choice.get("finish_reason")
        if ending == "content_filter":
            raise BadReply("the server's content filter withheld the reply", transient=False)
        used = said.get("usage")
        used = used if isinstance(used, dict) else {}
        tokens = (_count(used.get("prompt_tokens")), _count(used.get("completion_tokens")))
        cached = min(_cached(used), tokens[0])
        dialect = self
        if request.choices and self.tops:
            logprobs = choice.get("logprobs")
            probs = choice_probs(positions(logprobs), request.choices)
            if probs is not None:
                return Reply(max(probs, key=probs.__getitem__), probs, *tokens, cached_tokens=cached), self
            if not any(True for _ in positions(logprobs)):
                dialect = replace(self, tops=0)
        elif self._by_schema(request):
            chosen = _chosen(text, request.choices)
            if chosen is not None:
                return Reply(chosen, None, *tokens, cached_tokens=cached), self
            if not text.lstrip().startswith(("{", "```")):  # the server ignores the schema
                dialect = replace(self, structured=False)
        ended = "length" if ending == "length" else "stop"
        return Reply(_cleaned(text, request), None, *tokens, ended, cached_tokens=cached), dialect


def refusal(body: bytes) -> tuple[str, str]:
    """Message and code of an error; the beginning of the body if its format is unknown."""
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
    words = without_surrogates(f"{words} ({param})" if param and str(param) not in words else words)
    return words, str(error.get("code") or "")


def excerpt(body: bytes) -> str:
    """The beginning of a body, for messages."""
    text = scrubbed(" ".join(body[:4096].decode("utf-8", "replace").split()))
    return repr(text if len(text) <= 200 and len(body) <= 4096 else f"{text[:200]}…")


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # some servers write Infinity
        return json.loads(body)


@lru_cache(maxsize=64)
def _schema(choices: tuple[str, ...]) -> dict[str, Any]:
    """A response format that allows only an object with one of the choices."""
    schema = {
        "type": "object",
        "properties": {_FIELD: {"type": "string", "enum": list(choices)}},
        "required": [_FIELD],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "choice", "strict": True, "schema": schema}}


def _chosen(text: str, choices: tuple[str, ...]) -> str | None:
    """The choice in a structured reply."""
    try:
        said = json.loads(text.strip().removeprefix("```json").strip("`"))
    except (ValueError, RecursionError):
        return None
    found = str(said.get(_FIELD)).strip() if isinstance(said, dict) else None
    return found if found in choices else None


def _in_words(request: Request, by_schema: bool) -> tuple[Message, ...]:
    """The messages for an API that cannot fix the beginning of a reply: prefix and choices in words."""
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
    for stop in request.stop:  # a server may accept fewer stop strings than given, or none
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
    # A refusal is in a separate field, in place of the content.
    texts = [message.get("content"), message.get("refusal")] if isinstance(message, dict) else [choice.get("text")]
    return next((text for part in texts if (text := _joined(part)) is not None), None)


def _joined(content: Any) -> str | None:
    """Content as text: a string, or the text of its parts; None for anything else."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type", "text") == "text"]
        known = [part for part in parts if isinstance(part, str)]
        return "".join(known) if known else None
    return content if isinstance(content, str) else None


def _cached(used: dict[str, Any]) -> int:
    """Prompt tokens that were read from the server's prefix cache, as vendors name them."""
    details = used.get("prompt_tokens_details")
    inside = details.get("cached_tokens") if isinstance(details, dict) else None
    return _count(inside) or _count(used.get("prompt_cache_hit_tokens"))


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) and tokens > 0 else 0
