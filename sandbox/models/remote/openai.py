"""Models of OpenAI-compatible servers: OpenAI, vLLM, llama.cpp, Ollama, TGI, gateways.

Replies are not cached here, but stored in the run folder.
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
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from weakref import finalize

from sandbox.errors import ModelNotFound, SettingsError, nearest
from sandbox.models.base import Reply, Request
from sandbox.models.plain_roles import PLAIN_ROLES
from sandbox.models.remote.api_keys import check_key_variable, read_key, scrubbed, scrubbed_keys
from sandbox.models.remote.async_calls import AsyncCalls
from sandbox.models.remote.http_client import Lane, Lanes, NoAnswer, TooLong
from sandbox.models.remote.openai_schema import OMISSIBLE, Api, BadReply, Dialect
from sandbox.models.remote.prices import list_prices, price_list
from sandbox.models.remote.retries import Failed, attempts_text, backoff_s, failure
from sandbox.process_settings import fewer_collections

_LOG = logging.getLogger(__name__)
HOSTED = "https://api.openai.com/v1"


class OpenAIModel:
    """A language model on an OpenAI-compatible HTTP server.

    A request is retried until it is answered, rejected, or out of tries or time; it then gives ``Reply.error``. The number of
    concurrent requests adapts to the server.

    ``Request.choices`` are scored by the top log-probabilities (see
    :func:`sandbox.models.remote.top_logprobs.choice_probs`). If the server gives none, a choice is requested as JSON with a
    schema (structured output), and if it does not support that either, as text; ``choice_probs`` is then None.
    ``Request.prefix`` is requested in words with the chat API, and removed from the reply if the model repeats it; with the
    completion API it is part of the prompt. Fields that a server rejects (for example ``seed`` or ``logprobs``) are left out
    from then on, with a warning; so are system messages, whose words are then put before the first user turn. Whether the
    same seed gives the same reply depends on the server.

    Args:
        rest: The part of the URI after ``openai:``: ``NAME`` (at OpenAI, or at ``OPENAI_BASE_URL`` if set), or
            ``NAME@http://host:8000/v1``.
        api: ``chat``, or ``completion`` for base models, which are prompted in the instruction format of Alpaca.
        key_env: Environment variable that holds the key. A local server may need none.
        timeout_s: Maximum duration of one try, in seconds.
        deadline_s: Maximum duration of a request with all its tries, in seconds.
        retries: Maximum number of tries after the first.
        max_in_flight: Maximum number of concurrent requests.
        leave_out: What is never sent: ``temperature``, ``top_p``, ``seed``, ``stop``, ``logprobs``, ``response_format``,
            ``max_tokens`` (``max_completion_tokens`` is sent in its place), or ``system`` (system messages are put before
            the first user turn).
        price_prompt: US dollars per million prompt tokens; with prices, runs count their cost, and can be capped. If no
            price is given, that of the vendor's list is used where it is known
            (:func:`~sandbox.models.remote.prices.list_prices`).
        price_completion: US dollars per million completion tokens.
        price_cached: US dollars per million prompt tokens that the server read from its prefix cache; by default as
            ``price_prompt``.

    Attributes:
        uri: ``openai:NAME@URL``; without the URL for OpenAI itself.
        fingerprint: The name, and a hash of the host and port of the server, whose weights are unknown.
        default_rater: ``lm``.
        prices: US dollars per million prompt, completion and cached prompt tokens; None if neither set nor listed.
        notes: What the server rejected and is left out, and from where prices come, one line each.
        url: Base URL of the server.
        dialect: How requests are written for the server, as far as is known from its replies.

    Raises:
        ModelNotFound: ``rest`` has no model name or an invalid address.
        SettingsError: the key is not set, or a setting is invalid.
    """

    # All users of the model share its limit.
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
        leave_out: tuple[str, ...] = (),
        price_prompt: float | None = None,
        price_completion: float | None = None,
        price_cached: float | None = None,
    ) -> None:
        self.name, url = split_rest(rest)
        _check(api=api, timeout_s=timeout_s, deadline_s=deadline_s, retries=retries, max_in_flight=max_in_flight)
        _check_left_out(leave_out)
        self.prices = _prices(price_prompt, price_completion, price_cached) or list_prices(self.name, url)
        check_key_variable(key_env, "OPENAI_API_KEY")
        key = read_key(key_env)
        if not key and url == HOSTED:
            raise SettingsError(
                f"openai:{self.name} needs a key, and the environment variable {key_env} is not set. Set it, or name "
                f"a server of your own: openai:{self.name}@http://localhost:8000/v1"
            )
        self.uri = f"openai:{self.name}" + ("" if url == HOSTED else f"@{url}")
        host = hashlib.blake2b(urlsplit(url).netloc.lower().encode(), digest_size=4).hexdigest()
        self.fingerprint = f"{self.name}-{host}"
        self.url = url
        self._timeout_s, self._deadline_s, self._retries = timeout_s, deadline_s, retries
        self.dialect = Dialect(api).leaving_out(leave_out)
        given = price_prompt, price_completion, price_cached
        self.notes: list[str] = [] if self.prices is None or any(p is not None for p in given) else [self._list_note()]
        # Some servers require the header, whatever its value.
        self._lanes = Lanes(url, {"authorization": f"Bearer {key or 'none'}"}, max_in_flight)
        self._calls = AsyncCalls()
        self._one_batch = threading.Lock()
        finalize(self, _close, self._lanes, self._calls)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.uri.removeprefix('openai:')!r})"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order, with adaptive concurrency."""
        with self._one_batch, fewer_collections():
            asked = [_Asked(self, request) for request in requests]
            replies: dict[_Asked, Reply] = {}
            waiting = set(asked)
            self._calls.submit(asked)
            while waiting:
                finished = self._calls.finished()  # may include replies of an earlier, interrupted batch
                replies |= finished
                waiting.difference_update(one for one, _ in finished)
            return [replies[one] for one in asked]

    async def agenerate(self, request: Request) -> Reply:
        """Answer one request on the running event loop."""
        lane = self._lanes.lane()
        async with lane.limit:
            return await self._answered(lane, request)

    def close(self) -> None:
        """Close all connections. They are reopened on demand."""
        _close(self._lanes, self._calls)

    async def _answered(self, lane: Lane, request: Request) -> Reply:
        clock = lane.limit.clock
        began = clock()
        end = began + self._deadline_s
        tries = 0
        while True:
            sent, dialect = clock(), self.dialect
            try:
                reply = await self._try(lane, dialect, request, min(self._timeout_s, end - sent))
            except Failed as failed:
                if failed.overloaded:
                    lane.limit.overloaded(sent)
                if failed.said and self.adapts(dialect, failed.said):
                    continue
                tries += 1
                wait_s = failed.wait_s + backoff_s(request, tries)
                if not failed.transient or tries > self._retries or clock() + wait_s >= end:
                    words = f"{self.uri}: {failed}{attempts_text(failed, tries, clock() - began)}"
                    return Reply("", finish_reason="error", error=scrubbed(words))
                await asyncio.sleep(wait_s)
            else:
                lane.limit.succeeded()
                return reply

    async def _try(self, lane: Lane, dialect: Dialect, request: Request, timeout_s: float) -> Reply:
        body = dialect.body(self.name, request)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await lane.post(self.url + dialect.path, body, longest=dialect.longest(request))
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
        reply = replace(reply, text=scrubbed_keys(reply.text))
        if known is not dialect and self.dialect is dialect:
            self.dialect = known
            lacks = "probabilities of tokens" if known.tops != dialect.tops else "JSON with a schema"
            self._note(f"{self.uri} gives no {lacks}; {known.instead()}")
        return reply

    def adapts(self, used: Dialect, said: str) -> bool:
        """Leave out the field that the server rejected; False if there is none that can be left out."""
        if self.dialect is not used:  # another request has already changed it
            return True
        found = used.without(said)
        if found is None:
            return False
        refused, self.dialect = found
        instead = "continuing without it" if used.system == self.dialect.system else PLAIN_ROLES
        self._note(f"{self.uri} rejects {refused}; {instead}")
        return True

    def _list_note(self) -> str:
        """What says from where the prices come."""
        read, written, cached = self.prices or (0.0, 0.0, 0.0)
        return (
            f"{self.uri}: cost at the prices of {price_list()}, in US dollars per million tokens: {read:g} read, "
            f"{cached:g} from the cache, {written:g} written. Others: --set model.price_prompt=... "
        ).rstrip()

    def _note(self, words: str) -> None:
        """Say once what is done otherwise than asked."""
        self.notes.append(words)
        _LOG.warning("%s", words)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A call for :class:`~sandbox.models.remote.async_calls.AsyncCalls`."""

    model: OpenAIModel
    request: Request


def split_rest(rest: str) -> tuple[str, str]:
    """The name of the model and the base URL of the server, without a final slash."""
    # Split at the last "@http": a name may contain an @, and an address that contains one is refused below.
    found = re.fullmatch(r"(.*?)(?:@(https?://.*))?", rest, re.DOTALL)
    name, url = (found.group(1), found.group(2)) if found else (rest, None)
    if url is None:
        url = os.environ.get("OPENAI_BASE_URL", "").strip() or HOSTED
    form = "write openai:NAME or openai:NAME@http://host:8000/v1"
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # invalid brackets or port
        is_address = False
    # The message does not repeat text that may contain a secret.
    if not name.strip() or "://" in name:
        raise ModelNotFound(f"the URI of an openai model has no model name before its address; {form}")
    if not is_address:
        raise ModelNotFound(f"the address of model {name!r} is not an http URL; {form}")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(
            f"the address of model {name!r} contains a user, a password or a query, which every record would repeat; "
            f"put the key into the environment variable OPENAI_API_KEY and {form}"
        )
    return name, url.rstrip("/")


def _prices(prompt: float | None, completion: float | None, cached: float | None) -> tuple[float, float, float] | None:
    given = (prompt or 0.0, completion or 0.0, (prompt or 0.0) if cached is None else cached)
    if not all(0 <= price < math.inf for price in given):
        raise SettingsError(
            f"model 'openai': prices must be 0 or more, in US dollars per million tokens; found {given}"
        )
    return None if prompt is completion is cached is None else given


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


def _check_left_out(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in OMISSIBLE]
    if unknown:
        raise SettingsError(
            f"model 'openai': leave_out={unknown[0]!r} is nothing that can be left out.{nearest(unknown[0], OMISSIBLE)} "
            f"Known: {', '.join(OMISSIBLE)}"
        )


def _close(lanes: Lanes, calls: AsyncCalls) -> None:
    lanes.close()
    calls.close()
