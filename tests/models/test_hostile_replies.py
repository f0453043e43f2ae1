"""Replies that a server should not send: bombs, halves of characters, and the key itself."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from openai_requests import ask, say
from stub_server import Answer, StubServer, error

from sandbox.models.remote.openai import OpenAIModel

KEY = "zq7SECRETkey0192abcXYZ"


def _body(text: str) -> bytes:
    body = say(text).body
    assert body is not None
    return body


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "raw deflate"])
def test_a_compressed_reply_is_read(at: Callable[..., OpenAIModel], encoding: str) -> None:
    body = _body("fine")
    raw = zlib.compressobj(wbits=-15)
    packed = {"deflate": zlib.compress(body), "raw deflate": raw.compress(body) + raw.flush()}.get(
        encoding, gzip.compress(body)
    )
    with StubServer([Answer(body=packed, headers={"content-encoding": encoding.split()[-1]})]) as server:
        assert at(server, retries=0).generate([ask()])[0].text == "fine"


def test_a_reply_that_inflates_beyond_its_bound_is_dropped(at: Callable[..., OpenAIModel]) -> None:
    bomb = gzip.compress(b" " * (100 << 20))
    with StubServer([Answer(body=bomb, headers={"content-encoding": "gzip"})]) as server:
        reply = at(server, retries=0).generate([ask()])[0]
    assert reply.error is not None
    assert "the response is longer than" in reply.error


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (b"x", "br", "compressed by 'br'"),
        (b"plain", "gzip", "is not gzip"),
        (gzip.compress(b"x" * 1000)[:-12], "gzip", "ends too early"),
    ],
    ids=["unknown", "not compressed", "cut"],
)
def test_what_cannot_be_inflated_is_said(
    at: Callable[..., OpenAIModel], body: bytes, encoding: str, words: str
) -> None:
    with StubServer([Answer(body=body, headers={"content-encoding": encoding})]) as server:
        reply = at(server, retries=0).generate([ask()])[0]
    assert words in str(reply.error)


def test_half_of_a_character_is_replaced(at: Callable[..., OpenAIModel]) -> None:
    # json.dumps writes the surrogate as an escape, as servers do.
    said = say("half \ud83d of a pair")
    with StubServer([said, error(400, "half \ud83d here")]) as server:
        reply, failed = (at(server, retries=0).generate([ask()])[0] for _ in range(2))
    assert reply.text == "half \ufffd of a pair"
    assert "half \ufffd here" in str(failed.error)


def test_a_key_that_a_server_repeats_is_removed(
    at: Callable[..., OpenAIModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    page = Answer(502, b"<html>" + b"x" * 180 + b" " + KEY.encode() + b"</html>")
    cut = Answer(500, json.dumps({"error": {"message": f"no access for {KEY[:-4]}"}}).encode())
    plan = [say(f"You sent Bearer {KEY}"), error(500, f"request_id_{KEY}_failed"), page, cut]
    with StubServer(plan) as server:
        replies = [at(server, retries=0).generate([ask()])[0] for _ in plan]
    assert replies[0].text == "You sent Bearer [key]"
    assert "request_id_[key]_failed" in str(replies[1].error)
    assert not any(KEY[:8] in f"{reply.text}{reply.error}" for reply in replies)


def test_a_text_that_only_looks_like_a_key_is_kept(at: Callable[..., OpenAIModel]) -> None:
    with StubServer([say("Use sk-learn, the Bearer of good news")]) as server:
        assert at(server, retries=0).generate([ask()])[0].text == "Use sk-learn, the Bearer of good news"
