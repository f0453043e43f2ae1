"""The remote model against a real HTTP server with every fault a server has."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from openai_requests import RATE, TOO_MANY, ask, say
from stub_server import RATING_PROBS, REPLY, Answer, Asked, StubServer, error

from sandbox.models.remote import retries
from sandbox.models.remote.openai import OpenAIModel

# -- faults that pass ---------------------------------------------------------------------------------------------

PASSING = {
    "too many requests": TOO_MANY,
    "too many requests, wait": error(429, "Rate limit reached", retry_after="0.05"),
    "server error": error(500, "oops"),
    "bad gateway, in HTML": Answer(502, b"<html>bad gateway</html>", {"content-type": "text/html"}),
    "overloaded": error(503, "overloaded"),
    "a long error": Answer(500, b"x" * 10_000_000),
    "reset in the middle": Answer(cut=True),
    "never answers": Answer(silent=True),
    "malformed JSON": Answer(body=b'{"choices": [{"mess'),
    "nested beyond reason": Answer(body=b"[" * 100_000),
    "not UTF-8": Answer(body=b'{"choices": "\xff"}'),
    "not an object": Answer(body=b"[1]"),
    "no choice": Answer(body=b'{"choices": []}'),
    "empty choice": Answer(body=b'{"choices": [{"message": {"content": null}}]}'),
    "an error that calls itself a success": Answer(body=b'{"error": {"message": "upstream"}}'),
    "wrong content type": Answer(body=b"<html>log in first</html>", headers={"content-type": "text/html"}),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_that_passes_costs_a_try(at: Callable[..., OpenAIModel], fault: Answer) -> None:
    with StubServer([fault]) as server:
        reply = at(server, timeout_s=0.3).generate([ask()])[0]
        assert (reply.text, reply.error, len(server.asked)) == (REPLY, None, 2)


def test_json_counts_whatever_type_it_says_it_has(at: Callable[..., OpenAIModel]) -> None:
    with StubServer([Answer(body=say("fine").body, headers={"content-type": "text/plain"})]) as server:
        assert at(server).generate([ask()])[0].text == "fine"
        assert len(server.asked) == 1


def test_an_answer_in_chunks_is_read_whole(at: Callable[..., OpenAIModel]) -> None:
    """Without a length; the chunk is the body, its size in hexadecimal before it."""
    body = say("in chunks").body or b""
    chunked = Answer(body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), headers={"transfer-encoding": "chunked"})
    with StubServer([chunked]) as server:
        assert at(server).generate([ask()])[0].text == "in chunks"


@pytest.mark.parametrize("header", ["retry-after-ms", "retry-after"])
def test_the_server_says_how_long_to_wait(at: Callable[..., OpenAIModel], header: str) -> None:
    wait = {"retry-after-ms": "300", "retry-after": "0.3"}[header]
    with StubServer([error(429, "slow down", **{header: wait})]) as server:
        assert at(server).generate([ask()])[0].error is None
        first, second = (asked.at for asked in server.asked)
    assert 0.3 <= second - first < 0.6


def test_a_date_to_wait_for_is_understood() -> None:
    at_ten = {"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)}
    assert 8 < retries.asked_wait_s(at_ten) <= 10
    assert retries.asked_wait_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retries.asked_wait_s({"retry-after": "soon"}) == 0
    assert retries.asked_wait_s({"retry-after": "-5"}) == 0


def test_waits_double_and_no_two_requests_wait_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """From half of the wait to the whole, by the request's content: the same in every run."""
    monkeypatch.setattr(retries, "_SHORTEST_WAIT_S", 1.0)
    waits = [retries.backoff_s(ask(), tries) for tries in (1, 2, 3, 4, 9)]
    for wait, longest in zip(waits, (1, 2, 4, 8, 30), strict=True):
        assert longest / 2 <= wait <= longest
    assert waits[0] == retries.backoff_s(ask(), 1)
    assert len({retries.backoff_s(ask(seed=seed), 1) for seed in range(20)}) == 20


# -- faults that stay ---------------------------------------------------------------------------------------------


def test_out_of_tries(at: Callable[..., OpenAIModel]) -> None:
    """Three retries are four tries."""
    with StubServer([TOO_MANY] * 9) as server:
        reply = at(server, retries=3).generate([ask()])[0]
        assert len(server.asked) == 4
    assert (reply.text, reply.finish_reason) == ("", "error")
    assert (reply.error or "").startswith(f"openai:m@{server.url}: HTTP 429: Rate limit reached (4 tries in ")


STAYING = {
    "bad request": (error(400, "messages: too long"), "HTTP 400: messages: too long"),
    "wrong key": (error(401, "who are you?"), "HTTP 401: who are you?"),
    "no such model": (error(404, "no such thing", param="model"), "HTTP 404: no such thing (model)"),
    "no such page": (Answer(404, b"<h1>Not found</h1>"), "HTTP 404: '<h1>Not found</h1>'"),
    "quota used up": (error(429, "You are out of money", code="insufficient_quota"), "HTTP 429: You are out of money"),
    "sent elsewhere": (
        Answer(307, b"", {"location": "http://127.0.0.1:9/v1"}),
        "HTTP 307: the server redirects to another address; use that",
    ),
    "withheld": (
        say("", finish_reason="content_filter"),
        "the server's content filter withheld the reply",
    ),
    "10 MB": (
        Answer(body=b'{"choices": [{"message": {"content": "' + b"x" * 10_000_000 + b'"}}]}'),
        "the response is longer than 163840 bytes, for 6 tokens",
    ),
    "10 MB in chunks": (
        Answer(body=b"989680\r\n" + b"x" * 10_000_000, headers={"transfer-encoding": "chunked"}),
        "the response is longer than 163840 bytes, for 6 tokens",
    ),
}


@pytest.mark.parametrize(("fault", "words"), STAYING.values(), ids=STAYING.keys())
def test_a_fault_that_stays_costs_one_try(at: Callable[..., OpenAIModel], fault: Answer, words: str) -> None:
    """An answer of 6 tokens may take 65,536 + 6 * 16,384 = 163,840 bytes."""
    with StubServer([fault]) as server:
        reply = at(server).generate([ask(max_tokens=6)])[0]
        assert (reply.text, reply.error, len(server.asked)) == ("", f"openai:m@{server.url}: {words}", 1)


def test_a_wait_beyond_the_deadline_is_not_waited(at: Callable[..., OpenAIModel]) -> None:
    with StubServer([error(429, "come back tomorrow", retry_after="86400")]) as server:
        began = time.monotonic()
        reply = at(server).generate([ask()])[0]
        assert time.monotonic() - began < 30
    assert "HTTP 429: come back tomorrow (1 try in " in (reply.error or "")
    assert (reply.error or "").endswith(" s, and the server asks to wait 86400 s)")


def test_the_deadline_ends_all_tries(at: Callable[..., OpenAIModel]) -> None:
    """Tries of 0.2 s each against a server that never answers: three fit into 0.5 s, the last cut short."""
    with StubServer([Answer(silent=True)] * 99) as server:
        began = time.monotonic()
        reply = at(server, timeout_s=0.2, deadline_s=0.5).generate([ask()])[0]
        assert 0.3 < time.monotonic() - began < 10
        assert 2 <= len(server.asked) <= 3
    assert "no answer within" in (reply.error or "")


def test_a_drip_of_bytes_does_not_hold_the_deadline_off(at: Callable[..., OpenAIModel]) -> None:
    """The timeout is for the whole answer, not for each piece of it: here the second half never comes."""
    half = Answer(body=b'{"choices"', headers={"content-length": "500"})
    with StubServer([half] * 9) as server:
        reply = at(server, timeout_s=0.1, retries=0).generate([ask()])[0]
    assert "no answer within 0.1 s (1 try in " in (reply.error or "")


def test_nobody_listens(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        model = at(server, retries=1)
    reply = model.generate([ask()])[0]
    assert "Cannot connect to host 127.0.0.1" in (reply.error or "")
    assert "(2 tries in " in (reply.error or "")


# -- fields a server does not take --------------------------------------------------------------------------------


def refuses(*fields: str, status: int = 400, words: str = "Unrecognized request argument supplied: {}") -> Any:
    """A server that refuses requests with any of the fields, as long as they are there."""

    def plan(asked: Asked, _: int) -> Answer | None:
        present = [field for field in fields if field in asked.body]
        return error(status, words.format(present[0])) if present else None

    return plan


@pytest.mark.parametrize("field", ["seed", "temperature", "top_p", "stop"])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Unrecognized request argument supplied: {}"),
        (400, "Unsupported value: '{}' does not support that with this model."),
        (422, "{}: Extra inputs are not permitted"),
    ],
)
def test_a_field_the_server_does_not_take_is_left_out_from_then_on(
    at: Callable[..., OpenAIModel], caplog: pytest.LogCaptureFixture, field: str, status: int, words: str
) -> None:
    """Tries: with the field, without, and the next request without."""
    with StubServer(refuses(field, status=status, words=words)) as server:
        model = at(server)
        assert [model.generate([ask(stop=("#",))])[0].error for _ in range(2)] == [None, None]
        assert [field in asked.body for asked in server.asked] == [True, False, False]
    assert caplog.messages == [f"openai:m@{server.url} rejects {field}; continuing without it"]


def test_several_fields_are_left_out_one_after_the_other(at: Callable[..., OpenAIModel]) -> None:
    """Even by requests that are under way together; none of them spends a retry on it."""
    with StubServer(refuses("seed", "top_p", "logprobs"), delay_s=0.02) as server:
        replies = at(server, retries=0).generate([RATE, *(ask(str(n)) for n in range(20))])
        assert [r.error for r in replies] == [None] * 21


def test_fewer_probabilities_are_asked_for_before_none(at: Callable[..., OpenAIModel]) -> None:
    def five_at_most(asked: Asked, _: int) -> Answer | None:
        return error(400, "top_logprobs must be 5 or less") if asked.body.get("top_logprobs", 0) > 5 else None

    with StubServer(five_at_most) as server:
        assert at(server).generate([RATE])[0].choice_probs == pytest.approx(RATING_PROBS)
        assert [asked.body["top_logprobs"] for asked in server.asked] == [20, 5]


@pytest.mark.parametrize("status", [400, 403])
def test_a_model_that_refuses_probabilities_answers_in_words(at: Callable[..., OpenAIModel], status: int) -> None:
    words = "You are not allowed to request {} from this model"
    with StubServer(refuses("logprobs", status=status, words=words)) as server:
        reply = at(server).generate([RATE])[0]
        assert (reply.text, reply.choice_probs, reply.error) == (REPLY, None, None)
        assert [asked.body.get("top_logprobs") for asked in server.asked] == [20, 5, None]


def test_the_newer_name_of_max_tokens(at: Callable[..., OpenAIModel]) -> None:
    words = "Unsupported parameter: '{}' is not supported with this model. Use 'max_completion_tokens' instead."
    with StubServer(refuses("max_tokens", words=words)) as server:
        model = at(server)
        assert [model.generate([ask(max_tokens=7)])[0].error for _ in range(2)] == [None, None]
        assert [asked.body.get("max_completion_tokens") for asked in server.asked] == [None, 7, 7]
        assert "max_tokens" not in server.asked[1].body


@pytest.mark.parametrize(
    "words",
    [
        "temperature must be at most 1",
        "'max_tokens' or 'max_completion_tokens' is too large: 48. This model's maximum context length is 40 tokens",
    ],
)
def test_a_value_out_of_range_is_the_callers_to_mend(at: Callable[..., OpenAIModel], words: str) -> None:
    """The field is known to the server: leaving it out would change what is asked."""
    with StubServer([error(400, words)]) as server:
        reply = at(server).generate([ask()])[0]
        assert (reply.error, len(server.asked)) == (f"openai:m@{server.url}: HTTP 400: {words}", 1)
