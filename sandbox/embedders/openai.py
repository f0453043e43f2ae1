"""Sentence embeddings from an OpenAI-compatible server (``/v1/embeddings``)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.base import Message, Reply, Request
from sandbox.models.remote.api_keys import check_key_variable, read_key, scrubbed
from sandbox.models.remote.async_calls import AsyncCalls
from sandbox.models.remote.http_client import Lanes, NoAnswer, TooLong
from sandbox.models.remote.openai import HOSTED, split_rest
from sandbox.models.remote.openai_schema import excerpt
from sandbox.models.remote.retries import Failed, backoff_s, failure

_BYTES_A_NUMBER = 32
_BYTES_AROUND = 65_536
_LARGEST = 16_384  # numbers of a vector


class OpenAIEmbedder:
    """Embeddings of a server: OpenAI's own, vLLM, llama.cpp, Ollama, text-embeddings-inference, a gateway.

    Args:
        rest: ``NAME`` (at OpenAI, or at ``OPENAI_BASE_URL`` where that is set), or ``NAME@http://host:8000/v1``.
        key_env: Environment variable that holds the key. A local server may need none.
        batch_size: Texts per request.
        dimensions: Length of the vectors, for models that can shorten them.
        timeout_s: Maximum duration of one try, in seconds.
        deadline_s: Maximum duration of a request with all its tries, in seconds.
        retries: Maximum number of tries after the first.
        max_in_flight: Maximum number of concurrent requests.

    Raises:
        ModelNotFound: the server is unreachable or gives no embeddings.
        SettingsError: the key is not set, or a setting is invalid.
    """

    def __init__(
        self,
        rest: str = "",
        *,
        key_env: str = "OPENAI_API_KEY",
        batch_size: int = 128,
        dimensions: int | None = None,
        timeout_s: float = 60.0,
        deadline_s: float = 600.0,
        retries: int = 8,
        max_in_flight: int = 8,
    ) -> None:
        model, url = split_rest(rest)
        if min(batch_size, max_in_flight, dimensions or 1) < 1 or min(timeout_s, deadline_s) <= 0 or retries < 0:
            raise SettingsError(
                "embedder 'openai': batch_size, max_in_flight and dimensions must be at least 1, timeout_s and deadline_s "
                "more than 0, retries 0 or more"
            )
        check_key_variable(key_env, "OPENAI_API_KEY")
        key = read_key(key_env)
        if not key and url == HOSTED:
            raise SettingsError(
                f"embedder openai:{model} needs a key, and the environment variable {key_env} is not set. Set it, or "
                f"name a server of your own: openai:{model}@http://localhost:8000/v1"
            )
        self.name = f"openai:{model}" + ("" if url == HOSTED else f"@{url}") + (f":{dimensions}" if dimensions else "")
        self._url = f"{url}/embeddings"
        self._fields: dict[str, Any] = {"model": model, "encoding_format": "float"}
        if dimensions:
            self._fields["dimensions"] = dimensions
        self._batch_size, self._retries = batch_size, retries
        self._timeout_s, self._deadline_s = timeout_s, deadline_s
        self._lanes = Lanes(url, {"authorization": f"Bearer {key or 'none'}"}, max_in_flight)
        self._calls = AsyncCalls()
        finalize(self, _close, self._lanes, self._calls)
        # Only the server knows the length of its vectors.
        self.dim = len(self._answers([["How long are the vectors?"]])[0][0])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order; see :meth:`sandbox.embedders.base.Embedder.embed`.

        Raises:
            ModelNotFound: a request failed after all retries. The run folder is intact and can be resumed.
        """
        batches = [list(texts[i : i + self._batch_size]) for i in range(0, len(texts), self._batch_size)]
        if not batches:
            return np.empty((0, self.dim), np.float32)
        vectors = np.array([v for answer in self._answers(batches) for v in answer], np.float64)
        if vectors.shape != (len(texts), self.dim):
            raise ModelNotFound(
                f"embedder {self.name} gave vectors of shape {vectors.shape}, not {(len(texts), self.dim)}"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[lengths[:, 0] == 0, 0] = 1.0
        return (vectors / np.where(lengths == 0, 1.0, lengths)).astype(np.float32)

    def _answers(self, batches: Sequence[list[str]]) -> list[list[list[float]]]:
        asked = [_Asked(self, batch) for batch in batches]
        answers: dict[_Asked, Any] = {}
        self._calls.submit(asked)
        while not all(one in answers for one in asked):
            answers |= self._calls.finished()
        for one in asked:
            if isinstance(answers[one], Reply):  # the event loop turned an exception into a reply
                raise ModelNotFound(f"embedder {self.name}: {scrubbed(str(answers[one].error))}")
        return [answers[one] for one in asked]

    async def agenerate(self, texts: list[str]) -> list[list[float]]:
        """Request the embeddings of one batch, with retries."""
        lane = self._lanes.lane()
        # Most servers reject an empty text.
        body = json.dumps({**self._fields, "input": [text if text.strip() else " " for text in texts]}).encode()
        key = Request((Message("user", "\n".join(texts)),))
        async with lane.limit:
            end, tries = lane.limit.clock() + self._deadline_s, 0
            while True:
                sent = lane.limit.clock()
                try:
                    found = await self._try(lane, body, len(texts), min(self._timeout_s, end - sent))
                except Failed as failed:
                    if failed.overloaded:
                        lane.limit.overloaded(sent)
                    tries += 1
                    wait_s = failed.wait_s + backoff_s(key, tries)
                    if not failed.transient or tries > self._retries or lane.limit.clock() + wait_s >= end:
                        raise
                    await asyncio.sleep(wait_s)
                else:
                    lane.limit.succeeded()
                    return found

    async def _try(self, lane: Any, body: bytes, n: int, timeout_s: float) -> list[list[float]]:
        try:
            async with asyncio.timeout(timeout_s):
                answer = await lane.post(self._url, body, longest=_BYTES_AROUND + n * _LARGEST * _BYTES_A_NUMBER)
        except TimeoutError:
            raise Failed(f"no answer within {timeout_s:.3g} s", transient=True, overloaded=True) from None
        except NoAnswer as error:
            raise Failed(str(error), transient=True) from None
        except TooLong as error:
            raise Failed(str(error), transient=False) from None
        if answer.status != 200:
            raise failure(answer)
        try:
            data = json.loads(answer.body)["data"]
            found = [list(map(float, one["embedding"])) for one in sorted(data, key=lambda one: one.get("index", 0))]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Failed(f"the response contains no embeddings: {excerpt(answer.body)}", transient=True) from None
        if len(found) != n or not all(found):
            raise Failed(f"the response contains {len(found)} of {n} embeddings", transient=True)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A call for :class:`~sandbox.models.remote.async_calls.AsyncCalls`."""

    model: OpenAIEmbedder
    request: list[str]


def _close(lanes: Lanes, calls: AsyncCalls) -> None:
    lanes.close()
    calls.close()
