"""Any server that speaks OpenAI's schema: OpenAI itself, vLLM, llama.cpp, Ollama, TGI, a gateway.

Replies are cached nowhere here: the run's record is what keeps them.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import finalize

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.base import Reply, Request
from sandbox.models.remote.api_keys import read_key, scrubbed
from sandbox.models.remote.async_calls import AsyncCalls
from sandbox.models.remote.http_client import Lane, Lanes, NoAnswer, TooLong
from sandbox.models.remote.openai_schema import Api, BadReply, Dialect
from sandbox.models.remote.retries import Failed, backoff_s, failure, spent

_LOG = logging.getLogger(__name__)
HOSTED = "https://api.openai.com/v1"


class OpenAIModel:
    """A language model behind an HTTP server that speaks OpenAI's schema.

    Every request is tried until it is answered, refused for good, or out of tries or time; it then gives
    ``Reply.error``. How many are under way at once adapts to what the server takes.

    ``Request.choices`` are read from the likeliest tokens (see :func:`sandbox.models.remote.top_logprobs.choice_probs`); where
    the server shows none, one of them is asked for as JSON under a schema (structured output), and where it has none
    of that either the reply is text; ``choice_probs`` is then None. ``Request.prefix`` is asked for in words over the
    chat API, and left out of the reply if the model begins with it; over the completion API it is part of the prompt.
    Fields that a server does not take (``seed``, ``logprobs`` and the like) are left out from then on, and a warning
    says so. Whether the same seed gives the same reply is up to the server.

    Args:
        rest: What stands after ``openai:``: ``NAME`` (at OpenAI, or at ``OPENAI_BASE_URL`` where that is set), or
            ``NAME@http://host:8000/v1``.
        api: ``chat``, or ``completion`` for base models, which are asked in the instruction format of Alpaca.
        key_env: The environment variable that holds the key. A server of one's own may need none.
        timeout_s: How long one try may take, in seconds.
        deadline_s: How long a request may take with all its tries, from when it is first sent, in seconds.
        retries: Tries after the first, at most.
        max_in_flight: Requests under way at once, at most.
        price_prompt: US dollars for a million tokens read; with it, runs count what they cost, and can be capped.
        price_completion: The same for tokens written.

    Attributes:
        uri: ``openai:NAME@URL``; without the URL where it is OpenAI's own.
        fingerprint: The name, and a hash of the server's host and port. What weights it serves it does not say.
        default_rater: ``lm``.
        prices: US dollars for a million tokens read, and written; None where none is set.

    Raises:
        ModelNotFound: ``rest`` names no model or no address.
        SettingsError: the key is not set, or a setting has no sense.
    """

    # All who ask for the same model share its limit.
    shareable = True
    default_rater = "lm"

    def __init__(
        self,
        rest: str,
        *,
        api: Api = "chat",
        key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 120.0,
        deadline_s: float = 600.0,
        retries: int = 8,
        max_in_flight: int = 256,
        price_prompt: float | None = None,
        price_completion: float | None = None,
    ) -> None:
        self.name, url = split_rest(rest)
        _check(api=api, timeout_s=timeout_s, deadline_s=deadline_s, retries=retries, max_in_flight=max_in_flight)
        self.prices = _prices(price_prompt, price_completion)
        key = read_key(key_env)
        if not key and url == HOSTED:
            raise SettingsError(
                f"openai:{self.name} needs a key, and the environment variable {key_env} is not set. Set it, or name "
                f"a server of your own: openai:{self.name}@http://localhost:8000/v1"
            )
        self.uri = f"openai:{self.name}" + ("" if url == HOSTED else f"@{url}")
        host = hashlib.blake2b(urlsplit(url).netloc.lower().encode(), digest_size=4).hexdigest()
        self.fingerprint = f"{self.name}-{host}"
        self._url = url
        self._timeout_s, self._deadline_s, self._retries = timeout_s, deadline_s, retries
        self._dialect = Dialect(api)
        # Some servers want the header to be there, whatever it says.
        self._lanes = Lanes(url, {"authorization": f"Bearer {key or 'none'}"}, max_in_flight)
        self._calls = AsyncCalls()
        self._one_batch = threading.Lock()
        finalize(self, _close, self._lanes, self._calls)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.uri.removeprefix('openai:')!r})"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order, as many at once as the server takes."""
        with self._one_batch:
            asked = [_Asked(self, request) for request in requests]
            replies: dict[_Asked, Reply] = {}
            waiting = set(asked)
            self._calls.submit(asked)
            while waiting:
                finished = self._calls.finished()  # of a batch before that was interrupted, too
                replies |= finished
                waiting.difference_update(one for one, _ in finished)
            return [replies[one] for one in asked]

    async def agenerate(self, request: Request) -> Reply:
        """Answer one request on the running event loop."""
        lane = self._lanes.lane()
        async with lane.limit:
            return await self._answered(lane, request)

    def close(self) -> None:
        """Close all connections. They are opened again when they are needed."""
        _close(self._lanes, self._calls)

    async def _answered(self, lane: Lane, request: Request) -> Reply:
        clock = lane.limit.clock
        began = clock()
        end = began + self._deadline_s
        tries = 0
        while True:
            sent, dialect = clock(), self._dialect
            try:
                reply = await self._try(lane, dialect, request, min(self._timeout_s, end - sent))
            except Failed as failed:
                if failed.overloaded:
                    lane.limit.overloaded(sent)
                if failed.said and self._adapts(dialect, failed.said):
                    continue
                tries += 1
                wait_s = failed.wait_s + backoff_s(request, tries)
                if not failed.transient or tries > self._retries or clock() + wait_s >= end:
                    words = f"{self.uri}: {failed}{spent(failed, tries, clock() - began)}"
                    return Reply("", finish_reason="error", error=scrubbed(words))
                await asyncio.sleep(wait_s)
            else:
                lane.limit.succeeded()
                return reply

    async def _try(self, lane: Lane, dialect: Dialect, request: Request, timeout_s: float) -> Reply:
        body = dialect.body(self.name, request)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await lane.post(self._url + dialect.path, body, longest=dialect.longest(request))
        except TimeoutError:
            raise Failed(f"no answer within {timeout_s:.3g} s", transient=True, overloaded=True) from None
        except NoAnswer as error:
            raise Failed(str(error), transient=True) from None
        except TooLong as error:
            raise Failed(f"{error}, for {request.max_tokens} tokens", transient=False) from None
        if answer.status != 200:
            raise failure(answer)
        try:
            reply, known = dialect.read(answer.body, request)
        except BadReply as error:
            raise Failed(str(error), transient=error.transient) from None
        if known is not dialect and self._dialect is dialect:
            self._dialect = known
            lacks = "probabilities of tokens" if known.tops != dialect.tops else "JSON under a schema"
            _LOG.warning("%s gives no %s; %s", self.uri, lacks, known.instead())
        return reply

    def _adapts(self, used: Dialect, said: str) -> bool:
        """Leave out what the server refused; False where that is nothing that can be left out."""
        if self._dialect is not used:  # another request was quicker to learn
            return True
        found = used.without(said)
        if found is None:
            return False
        refused, self._dialect = found
        _LOG.warning("%s refuses %s; going on without", self.uri, refused)
        return True


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What :class:`~sandbox.models.remote.async_calls.AsyncCalls` takes."""

    model: OpenAIModel
    request: Request


def split_rest(rest: str) -> tuple[str, str]:
    """The model's name and the server's base URL, without a slash at its end."""
    # The last "@http" is the seam: a name may hold an @, and an address that holds one is refused below.
    found = re.fullmatch(r"(.*?)(?:@(https?://.*))?", rest, re.DOTALL)
    name, url = (found.group(1), found.group(2)) if found else (rest, None)
    if url is None:
        url = os.environ.get("OPENAI_BASE_URL", "").strip() or HOSTED
    form = "write openai:NAME or openai:NAME@http://host:8000/v1"
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets or of a port
        is_address = False
    # What may hold a secret is not repeated.
    if not name.strip() or "://" in name:
        raise ModelNotFound(f"the URI of an openai model names no model before its address; {form}")
    if not is_address:
        raise ModelNotFound(f"the address of model {name!r} is no http URL; {form}")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(
            f"the address of model {name!r} holds a user, a password or a query, which every record would repeat; "
            f"put the key into the environment variable OPENAI_API_KEY and {form}"
        )
    return name, url.rstrip("/")


def _prices(prompt: float | None, completion: float | None) -> tuple[float, float] | None:
    given = (prompt or 0.0, completion or 0.0)
    if not all(0 <= price < math.inf for price in given):
        raise SettingsError(f"model 'openai': prices are 0 or more US dollars a million tokens; found {given}")
    return None if prompt is None and completion is None else given


def _check(**settings: Any) -> None:
    faults = []
    if settings["api"] not in ("chat", "completion"):
        faults.append(f"api={settings['api']!r} is not chat or completion")
    faults += [f"{n}={settings[n]} must be more than 0" for n in ("timeout_s", "deadline_s") if not settings[n] > 0]
    faults += [
        f"{n}={settings[n]} must be {least} or more"
        for n, least in (("retries", 0), ("max_in_flight", 1))
        if settings[n] < least
    ]
    if faults:
        raise SettingsError(f"model 'openai': {'; '.join(faults)}")


def _close(lanes: Lanes, calls: AsyncCalls) -> None:
    lanes.close()
    calls.close()
