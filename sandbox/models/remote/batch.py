"""Models behind a batch API in OpenAI's format: every wave of requests is one file, answered within a day at half the price.

The identifier of a batch is kept in the cache folder until its replies have been read. A process that was killed while it
waited finds the batch by the content of its requests and waits for it again; nothing is submitted or paid for twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import orjson

from sandbox.errors import SettingsError
from sandbox.folders import write_json
from sandbox.models.base import Reply, Request
from sandbox.models.local.fingerprint import cache_dir
from sandbox.models.remote.api_keys import read_key, scrubbed, scrubbed_keys
from sandbox.models.remote.http_client import Lane, Lanes, NoAnswer, TooLong
from sandbox.models.remote.openai import OpenAIModel
from sandbox.models.remote.openai_schema import BadReply, excerpt, refusal
from sandbox.models.remote.prices import uri_prices
from sandbox.models.remote.retries import Failed, failure

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_LINES = 50_000  # requests of one file
_BYTES = 90_000_000  # of one file
_ROUNDS = 8  # a request whose fields are refused is submitted again without them
_TRIES = 6  # of one exchange with the server
_OVER = ("completed", "failed", "expired", "cancelled")
_TIMEOUT_S = 300.0  # of one exchange
_STATE = 2**20  # bytes of a response about a file or a batch
_ANSWER = 2**17  # bytes of the answer to one request, on average


class OpenAIBatchModel:
    """A language model behind the batch API of an OpenAI-compatible server.

    It answers all waiting requests of a society together, which takes minutes to a day, and costs half the list price. Up
    to ``in_flight`` conversations wait at once, so a large ``in_flight`` makes few batches. What was asked and answered is
    recorded as with ``openai:``.

    Args:
        rest: The part of the URI after ``openai-batch:``, as for :class:`~sandbox.models.remote.openai.OpenAIModel`.
        poll_s: Seconds between two questions for the state of a batch.
        wait_s: Maximum wait for one batch, in seconds; after it, its requests fail, and a resumed run waits again.
        key_env: Environment variable that holds the key.
        leave_out: Fields that are never sent, as for ``openai:``.
        price_prompt: US dollars per million prompt tokens in a batch; if no price is given, half the list price.
        price_completion: US dollars per million completion tokens in a batch.
        price_cached: US dollars per million prompt tokens from the server's prefix cache.

    Attributes:
        uri: ``openai-batch:NAME@URL``; without the URL for OpenAI itself.
        fingerprint: As for ``openai:``.
        default_rater: ``lm``.
        prices: US dollars per million prompt, completion and cached prompt tokens; None if neither set nor listed.
        notes: What the server rejected and is left out, one line each.
        asked_last: The scheduler asks it when no other model has anything to do.

    Raises:
        ModelNotFound: ``rest`` has no model name or an invalid address.
        SettingsError: the key is not set, or a setting is invalid.
    """

    shareable = True
    default_rater = "lm"
    asked_last = True

    def __init__(
        self,
        rest: str,
        *,
        poll_s: float = 30.0,
        wait_s: float = 90_000.0,
        key_env: str = "OPENAI_API_KEY",
        leave_out: tuple[str, ...] = (),
        price_prompt: float | None = None,
        price_completion: float | None = None,
        price_cached: float | None = None,
    ) -> None:
        for name, value in (("poll_s", poll_s), ("wait_s", wait_s)):
            if not value > 0:
                raise SettingsError(f"model 'openai-batch': {name}={value} must be more than 0, in seconds")
        self._single = OpenAIModel(
            rest, key_env=key_env, leave_out=leave_out,
            price_prompt=price_prompt, price_completion=price_completion, price_cached=price_cached,
        )  # fmt: skip
        self.uri = "openai-batch:" + self._single.uri.removeprefix("openai:")
        self.fingerprint = self._single.fingerprint
        listed = price_prompt is price_completion is price_cached is None
        self.prices = uri_prices(self.uri) if listed else self._single.prices
        self.notes = self._single.notes
        self.notes[:] = [f"{note} (half of them in a batch)" for note in self.notes]
        self._poll_s, self._wait_s = poll_s, wait_s
        self._lanes = Lanes(self._single.url, {"authorization": f"Bearer {read_key(key_env) or 'none'}"}, 1)

    def __repr__(self) -> str:
        return f"OpenAIBatchModel({self.uri.removeprefix('openai-batch:')!r})"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order, by as many batches as their number and size take."""
        known: dict[str, Reply] = {}
        for _ in range(_ROUNDS):
            wanted = {request.key(): request for request in requests if request.key() not in known}
            if not wanted:
                break
            for chunk in self._chunks(wanted):
                self._answer(chunk, wanted, known)
        failed = Reply("", finish_reason="error", error=f"{self.uri}: refused {_ROUNDS} times")
        return [known.get(request.key(), failed) for request in requests]

    def _chunks(self, wanted: Mapping[str, Request]) -> list[dict[str, bytes]]:
        """Lines of batch files by key, none larger than servers accept."""
        dialect = self._single.dialect
        path = urlsplit(self._single.url).path + dialect.path
        chunks: list[dict[str, bytes]] = []
        size = _BYTES
        for key, request in wanted.items():
            body = orjson.loads(dialect.body(self._single.name, request))
            line = orjson.dumps({"custom_id": key, "method": "POST", "url": path, "body": body}) + b"\n"
            if size + len(line) > _BYTES or len(chunks[-1]) >= _LINES:
                chunks.append({})
                size = 0
            chunks[-1][key] = line
            size += len(line)
        return chunks

    def _answer(self, lines: Mapping[str, bytes], wanted: Mapping[str, Request], known: dict[str, Reply]) -> None:
        """Put replies of a batch, and what failed, into ``known``; requests that are to be sent otherwise stay out."""
        content = b"".join(lines.values())
        digest = hashlib.blake2b(self._single.url.encode() + content, digest_size=16).hexdigest()
        note = cache_dir() / "batches" / f"{digest}.json"
        try:
            found = _run(self._exchange(content, note))
        except Failed as failed:
            error = scrubbed(f"{self.uri}: {failed}")
            known |= {key: Reply("", finish_reason="error", error=error) for key in lines}
            return
        used = self._single.dialect
        for key in lines:
            status, body = found.get(key, (0, b""))
            if status == 200:
                known[key] = self._read(body, wanted[key])
            elif status in (400, 422) and self._single.adapts(used, refusal(body)[0]):
                continue
            else:
                said = f"HTTP {status}: {refusal(body)[0]}" if status else "the batch ended without an answer"
                known[key] = Reply("", finish_reason="error", error=scrubbed(f"{self.uri}: {said}"))
        note.unlink(missing_ok=True)

    def _read(self, body: bytes, request: Request) -> Reply:
        try:
            reply, _ = self._single.dialect.read(body, request)
        except BadReply as error:
            return Reply("", finish_reason="error", error=scrubbed(f"{self.uri}: {error}"))
        fields = {**reply.as_dict(), "text": scrubbed_keys(reply.text)}
        return Reply(**fields)

    async def _exchange(self, content: bytes, note: Path) -> dict[str, tuple[int, bytes]]:
        """Submit a batch unless it is at work already, wait for it, and read status and body of each answer by key.

        Its note is removed when it is over, or when the server does not know it; so a batch that could not be asked after,
        or that takes too long, is found again.

        Raises:
            Failed: the server refused it or cannot be reached, or it takes too long.
        """
        lane = self._lanes.lane()
        try:
            batch = _noted(note)
            if batch is None:
                batch = await self._submit(lane, content)
                write_json(note, {"id": batch, "model": self.uri, "submitted": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
                _LOG.info("%s: batch %s of %d requests", self.uri, batch, content.count(b"\n"))
            try:
                state = await self._wait(lane, batch)
            except Failed as failed:
                if str(failed).startswith("GET batches: HTTP 404"):
                    note.unlink(missing_ok=True)
                raise
            if state["status"] != "completed" and not state.get("output_file_id"):
                note.unlink(missing_ok=True)
                faults = (state.get("errors") or {}).get("data") or [{}]
                words = f"batch {batch} {state['status']}: {faults[0].get('message', 'no reason given')}"
                raise Failed(words, transient=False)
            longest = _STATE + content.count(b"\n") * _ANSWER
            found: dict[str, tuple[int, bytes]] = {}
            for name in ("error_file_id", "output_file_id"):
                if state.get(name):
                    path = f"/files/{quote(state[name], safe='')}/content"
                    found |= _answers(await self._ask(lane, "GET", path, longest=longest))
            return found
        finally:
            self._lanes.close()

    async def _submit(self, lane: Lane, content: bytes) -> str:
        def form() -> aiohttp.MultipartWriter:
            data = aiohttp.FormData()
            data.add_field("purpose", "batch")
            data.add_field("file", content, filename="requests.jsonl", content_type="application/jsonl")
            made = data()
            assert isinstance(made, aiohttp.MultipartWriter)
            return made

        file = _fields(await self._ask(lane, "POST", "/files", form), "id")["id"]
        endpoint = urlsplit(self._single.url).path + self._single.dialect.path
        wanted = orjson.dumps({"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"})
        return str(_fields(await self._ask(lane, "POST", "/batches", lambda: wanted), "id")["id"])

    async def _wait(self, lane: Lane, batch: str) -> dict[str, Any]:
        end = time.monotonic() + self._wait_s
        while True:
            state = _fields(await self._ask(lane, "GET", f"/batches/{quote(batch, safe='')}"), "status")
            if state["status"] in _OVER:
                return state
            if time.monotonic() > end:
                raise Failed(
                    f"batch {batch} is {state['status']} after wait_s={self._wait_s:g} seconds; it is not lost: --resume waits "
                    "for it again",
                    transient=False,
                )
            await asyncio.sleep(self._poll_s)

    async def _ask(
        self,
        lane: Lane,
        method: str,
        path: str,
        body: Callable[[], bytes | aiohttp.MultipartWriter] | None = None,
        *,
        longest: int = _STATE,
    ) -> bytes:
        """One exchange, tried again after failures that pass.

        Raises:
            Failed: the server refused it, or cannot be reached.
        """
        what = f"{method} {path.split('/')[1]}"
        failed = Failed(what, transient=True)
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(max(failed.wait_s, min(self._poll_s, 0.5 * 2**number)))
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    answer = await lane.exchange(
                        method, self._single.url + path, None if body is None else body(), longest=longest
                    )
            except TimeoutError:
                failed = Failed(f"{what}: no answer within {_TIMEOUT_S:g} s", transient=True)
            except (NoAnswer, TooLong) as error:
                failed = Failed(f"{what}: {error}", transient=isinstance(error, NoAnswer))
            else:
                if answer.status == 200:
                    return answer.body
                found = failure(answer)
                failed = Failed(f"{what}: {found}", transient=found.transient, wait_s=found.wait_s)
            if not failed.transient:
                break
        raise failed


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end, also inside a notebook, whose event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _answers(content: bytes) -> dict[str, tuple[int, bytes]]:
    """Status and body by key, from the lines of a file of answers; lines that cannot be read are left out."""
    found = {}
    for line in content.splitlines():
        try:
            said = json.loads(line)
            response = said.get("response") or {"status_code": 400, "body": {"error": said.get("error") or {}}}
            found[str(said["custom_id"])] = (int(response["status_code"]), orjson.dumps(response["body"]))
        except (ValueError, TypeError, KeyError, AttributeError, orjson.JSONEncodeError):
            _LOG.warning("a line of a batch's answers cannot be read: %s", excerpt(line))
    return found


def _fields(body: bytes, name: str) -> dict[str, Any]:
    """An object with a field that is a text.

    Raises:
        Failed: it is none.
    """
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get(name), str):
        words = f"the server has no batch API: expected an object with {name!r}, found {excerpt(body)}"
        raise Failed(words, transient=False)
    return said


def _noted(note: Path) -> str | None:
    """The identifier of a batch that is at work; None if there is none."""
    try:
        found = json.loads(note.read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
