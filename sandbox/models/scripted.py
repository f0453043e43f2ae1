"""A model with scripted replies, for tests of protocols and of whole societies.

The reply to a request depends on the request alone (except with ``in_order``), so that results do not depend on the order of
requests.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.errors import BrokenPlugin, DataFileError, ModelNotFound, SettingsError, nearest
from sandbox.models.base import Reply, Request
from sandbox.models.json_replies import example
from sandbox.seeding import keyed_rng

Reaction = Callable[[Request], "str | Reply"]

_FIELDS = ("text", "choice_probs", "match", "error")
_SUBJECTS = ("A neighbour", "Everybody", "My family", "The town", "A stranger", "Nobody", "A friend", "The law")
_VERBS = ("should respect", "can help", "often hurts", "may forgive", "has to trust", "will follow", "must not harm")
_OBJECTS = ("honest people", "those in need", "the rules", "the weak", "other opinions", "a good idea", "itself")


@dataclass(frozen=True, slots=True)
class Line:
    """One reply of a script.

    Attributes:
        text: The text of the reply.
        choice_probs: Probabilities of ``Request.choices``; need not sum to 1.
        match: A regular expression; the line answers requests that contain it.
        error: Fail with this message.
    """

    text: str = ""
    choice_probs: Mapping[str, float] | None = None
    match: str | None = None
    error: str | None = None


class ScriptedModel:
    r"""Replies from a script: a list, a table of regular expressions, or a function.

    * A list of replies: each request draws one by a hash of its content; with ``in_order`` they are used in turn, and a
      request after the last gets an error.
    * A table, in which every line has ``match``: the first line whose expression is found in the request answers it. The
      expression is searched in the contents of all messages and the prefix, joined by newlines.
    * A function of the :class:`~sandbox.models.base.Request` that returns text or a
      :class:`~sandbox.models.base.Reply`.
    * Nothing: placeholder sentences, by a hash of the request.

    A request with ``choices`` is answered by one of them: from a list, only lines that are a choice are drawn. Replies are
    not shortened by ``max_tokens`` and ``stop``; tokens are counted as words.

    Args:
        rest: A JSONL or JSON file of lines: a text, or an object with ``text``, ``choice_probs``, ``match``,
            ``error``. Or a Python function: ``./mine.py`` (its function ``reply``), ``./mine.py:function`` or
            ``module:function``. Empty if ``replies`` are given, or for placeholder sentences.
        replies: A list of such lines, or a function.
        delay_s: Duration of every call of :meth:`generate`, in seconds.
        in_order: Use the list as a queue.
        faults: Share of the calls that fail, in [0, 1]. Whether a call fails depends on the request and on the number of
            earlier tries, so that a retry may succeed.

    Attributes:
        history: All requests so far.

    Raises:
        ModelNotFound: the file does not exist.
        DataFileError: a line cannot be parsed; the message names it.
        SettingsError: a number is out of range, or replies are given without their name.
    """

    def __init__(
        self,
        rest: str = "",
        *,
        replies: Sequence[str | Mapping[str, Any]] | Reaction | None = None,
        delay_s: float = 0.0,
        in_order: bool = False,
        faults: float = 0.0,
    ) -> None:
        if not 0 <= faults <= 1 or delay_s < 0:
            raise SettingsError(f"model 'scripted': faults={faults} must be in 0..1, and delay_s={delay_s} 0 or more")
        if not isinstance(rest, str):
            raise SettingsError(
                f"ScriptedModel: expected a file or a function's name as text, got {type(rest).__name__}; replies and "
                "functions are given by name: ScriptedModel(replies=...)"
            )
        self.uri = f"scripted:{rest}"
        self.default_rater = "lm"
        self.history: list[Request] = []
        self._delay_s = delay_s
        self._in_order = in_order
        self._said = 0
        self._faults, self._asked = faults, Counter[str]()
        function = replies if callable(replies) else _function(rest)
        self._react: Reaction | None = function
        given: Sequence[tuple[str, Any]] = ()
        if function is None:
            listed = replies if isinstance(replies, Sequence) else ()
            given = _read(rest) if rest else [(f"reply {number}", one) for number, one in enumerate(listed, 1)]
        self._lines = [_line(one, place) for place, one in given]
        self._is_made_up = not rest and replies is None
        if not (self._lines or self._react or self._is_made_up):
            raise DataFileError(f"{rest or 'the list'} contains no replies; give at least one")
        self._table = [(re.compile(line.match), line) for line in self._lines if line.match is not None]
        if self._table and len(self._table) < len(self._lines):
            raise DataFileError(f"{rest or 'the list'}: either all lines must have 'match', or none")
        self.fingerprint = self._hash()

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order. A request without a scripted reply gives ``Reply.error``."""
        if self._delay_s:
            time.sleep(self._delay_s)
        replies = []
        for request in requests:
            self.history.append(request)
            replies.append(self._reply(request))
        return replies

    def _reply(self, request: Request) -> Reply:
        if self._faults:
            self._asked[request.key()] += 1
            if keyed_rng(request.key(), "fault", self._asked[request.key()]).random() < self._faults:
                return _failed("a simulated fault", request)
        if self._react is not None:
            said: Any = self._react(request)
            if isinstance(said, Reply):
                return said
            if not isinstance(said, str):
                name = getattr(self._react, "__qualname__", "a function")
                raise BrokenPlugin(f"script {name!r} replied {said!r}; expected a text or a Reply")
            return _spoken(Line(said), request)
        if self._is_made_up:
            return _made_up(request)
        if self._table:
            text = "\n".join([*(m.content for m in request.messages), request.prefix])
            found = next((line for pattern, line in self._table if pattern.search(text)), None)
            return (
                _failed("no line of the script matches the request", request)
                if found is None
                else _spoken(found, request)
            )
        if self._in_order:
            self._said += 1
            if self._said > len(self._lines):
                return _failed(f"the script ended after {len(self._lines)} replies", request)
            return _spoken(self._lines[self._said - 1], request)
        lines = [line for line in self._lines if not request.choices or _is_choice(line, request)]
        if not lines:
            return _failed(f"no line of the script is one of the choices {', '.join(request.choices)}", request)
        return _spoken(lines[int(request.key(), 16) % len(lines)], request)

    def _hash(self) -> str:
        if self._react is not None:
            content = f"{getattr(self._react, '__module__', '')}:{getattr(self._react, '__qualname__', '')}"
        else:
            content = json.dumps([[getattr(line, name) for name in _FIELDS] for line in self._lines], sort_keys=True)
        return hashlib.blake2b(f"{content}{self._in_order}".encode(), digest_size=8).hexdigest()


def _function(rest: str) -> Reaction | None:
    """The function of a script that is Python code; None for other scripts."""
    path, _, name = rest.partition(".py:")
    if rest.endswith(".py") or name:
        found = registry.load_object(f"{path.removesuffix('.py')}.py:{name or 'reply'}", "script")
    elif ":" in rest and not Path(rest).exists():
        found = registry.load_object(rest, "script")
    else:
        return None
    if not callable(found):
        raise DataFileError(f"script {rest!r} is a {type(found).__name__}; expected a function of a Request")
    return found


def _read(rest: str) -> list[tuple[str, Any]]:
    from sandbox.data_files import read_records

    if not Path(rest).is_file():
        raise ModelNotFound(f"script {rest!r} does not exist; give a JSONL file with one reply per line")
    return read_records(rest)


def _line(given: Any, where: str) -> Line:
    if isinstance(given, str):
        return Line(given)
    if not isinstance(given, Mapping):
        raise DataFileError(f"{where} is {given!r}; expected a text, or an object with {', '.join(_FIELDS)}")
    unknown = [name for name in given if name not in _FIELDS]
    if unknown:
        raise DataFileError(
            f"{where} has an unknown field {unknown[0]!r}.{nearest(str(unknown[0]), _FIELDS)} "
            f"Fields: {', '.join(_FIELDS)}"
        )
    if not any(name in given for name in ("text", "choice_probs", "error")):
        raise DataFileError(f"{where} has neither 'text' nor 'choice_probs' nor 'error'")
    for name in ("text", "match", "error"):
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            raise DataFileError(f"{where}: '{name}' is {value!r}; expected a text")
    probs = given.get("choice_probs")
    if probs is not None and not (isinstance(probs, Mapping) and all(map(_is_probability, probs.values()))):
        raise DataFileError(
            f"{where}: 'choice_probs' is {probs!r}; expected an object of choices with numbers of 0 or more"
        )
    try:
        re.compile(given.get("match") or "")
    except re.error as error:
        raise DataFileError(f"{where}: {given['match']!r} is not a regular expression: {error}") from None
    return Line(**{name: value for name, value in given.items() if value is not None})


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_choice(line: Line, request: Request) -> bool:
    return line.text.strip() in request.choices or bool(line.choice_probs) or line.error is not None


def _spoken(line: Line, request: Request) -> Reply:
    if line.error is not None:
        return _failed(line.error, request)
    if not request.choices:
        return Reply(line.text.strip(), None, _words(request), len(line.text.split()))
    text = line.text.strip()
    if line.choice_probs is not None:
        total = sum(line.choice_probs.get(c, 0.0) for c in request.choices)
        if total <= 0 or not set(line.choice_probs) <= set(request.choices):
            return _failed(f"the script gives probabilities of {', '.join(line.choice_probs)}", request)
        probs = {c: line.choice_probs.get(c, 0.0) / total for c in request.choices}
        text = text or max(probs, key=probs.__getitem__)
    else:
        probs = {c: float(c == text) for c in request.choices}
    if text not in request.choices:
        return _failed(f"the scripted reply {text!r} is none of {', '.join(request.choices)}", request)
    return Reply(text, probs, _words(request))


def _made_up(request: Request) -> Reply:
    draw = random.Random(int(request.key(), 16))
    if request.choices:
        weights = [draw.expovariate(1.0) for _ in request.choices]
        probs = {c: w / sum(weights) for c, w in zip(request.choices, weights, strict=True)}
        return Reply(max(probs, key=probs.__getitem__), probs, _words(request))
    if request.schema:
        return Reply(json.dumps(example(json.loads(request.schema), draw)), None, _words(request))
    sentences = [
        f"{draw.choice(_SUBJECTS)} {draw.choice(_VERBS)} {draw.choice(_OBJECTS)}." for _ in range(draw.randint(1, 3))
    ]
    words = " ".join(sentences).split()
    kept = words[: request.max_tokens]
    return Reply(" ".join(kept), None, _words(request), len(kept), "stop" if kept == words else "length")


def _words(request: Request) -> int:
    return sum(len(m.content.split()) for m in request.messages)


def _failed(why: str, request: Request) -> Reply:
    last = request.messages[-1].content if request.messages else ""
    return Reply("", None, _words(request), 0, "error", f"{why}; the request ends {last[-60:]!r}")
