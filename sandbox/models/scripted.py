"""A model that says what it was told to: for tests of protocols, and for dry runs of whole societies.

A run must not depend on the order in which requests are batched; so, unless told otherwise, which reply a request
gets depends on the request alone.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.errors import DataFileError, ModelNotFound, SettingsError, nearest
from sandbox.models.base import Reply, Request
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
        text: What is said.
        choice_probs: Probabilities of ``Request.choices``; need not sum to 1.
        match: A regular expression; the line answers requests that it is found in.
        error: Fail with this instead.
    """

    text: str = ""
    choice_probs: Mapping[str, float] | None = None
    match: str | None = None
    error: str | None = None


class ScriptedModel:
    r"""Replies from a script: a list, a table of regular expressions, or a function.

    * A list of replies: each request draws one by a hash of its own content; with ``in_order`` they come one after
      the other, and a request after the last gets an error.
    * A table, where every line has ``match``: the first whose expression is found in the request answers it. What is
      searched are the contents of all messages and the prefix, one a line.
    * A function of the :class:`~sandbox.models.base.Request`, giving text or a whole
      :class:`~sandbox.models.base.Reply`.
    * Nothing: sentences made up from a few words, by a hash of the request.

    A request with ``choices`` is answered by one of them: from a list only lines that are one are drawn. Replies are
    given as they stand, whatever ``max_tokens`` and ``stop`` say; tokens are counted as words.

    Args:
        rest: A JSONL or JSON file of lines: a text, or an object with ``text``, ``choice_probs``, ``match``,
            ``error``. Or a Python function: ``./mine.py`` (its function ``reply``), ``./mine.py:function`` or
            ``module:function``. Empty if ``replies`` are given, or for made-up sentences.
        replies: A list of such lines, or a function.
        delay_s: How long every call of :meth:`generate` takes, in seconds.
        in_order: Take the list as a queue.
        faults: Share of the calls that fail, in [0, 1]. Which do depends on the request and on how often it was asked
            of this object, so that what is tried again may succeed.

    Attributes:
        history: Every request so far.

    Raises:
        ModelNotFound: the file is not there.
        DataFileError: a line cannot be read; says which.
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
        self.uri = f"scripted:{rest}"
        self.default_rater = "lm"
        self.history: list[Request] = []
        self._delay_s = delay_s
        self._in_order = in_order
        self._said = 0
        self._faults, self._asked = faults, Counter[str]()
        function = replies if callable(replies) else _function(rest)
        self._react: Reaction | None = function
        given: Sequence[Any] = () if function or callable(replies) else _read(rest) if rest else replies or ()
        self._lines = [_line(one, f"{rest or 'reply'} {number}") for number, one in enumerate(given, 1)]
        self._is_made_up = not rest and replies is None
        if not (self._lines or self._react or self._is_made_up):
            raise DataFileError(f"{rest or 'the list'} holds no replies; give at least one")
        self._table = [(re.compile(line.match), line) for line in self._lines if line.match is not None]
        if self._table and len(self._table) < len(self._lines):
            raise DataFileError(f"{rest or 'the list'}: either every line has 'match', or none has")
        self.fingerprint = self._hash()

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order. What the script has no answer for gives ``Reply.error``."""
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
            said = self._react(request)
            return said if isinstance(said, Reply) else _spoken(Line(said), request)
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
    """The Python function that a script is, if it is one."""
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


def _read(rest: str) -> list[Any]:
    from sandbox.data_files import read_table

    if not Path(rest).is_file():
        raise ModelNotFound(f"script {rest!r} does not exist; give a JSONL file with one reply a line")
    return list(read_table(rest))


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
    try:
        re.compile(given.get("match") or "")
    except re.error as error:
        raise DataFileError(f"{where}: {given['match']!r} is not a regular expression: {error}") from None
    return Line(**given)


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
        return _failed(f"the script says {text!r}, which is none of {', '.join(request.choices)}", request)
    return Reply(text, probs, _words(request))


def _made_up(request: Request) -> Reply:
    draw = random.Random(int(request.key(), 16))
    if request.choices:
        weights = [draw.expovariate(1.0) for _ in request.choices]
        probs = {c: w / sum(weights) for c, w in zip(request.choices, weights, strict=True)}
        return Reply(max(probs, key=probs.__getitem__), probs, _words(request))
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
