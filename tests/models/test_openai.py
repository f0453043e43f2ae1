"""The remote model, against a real HTTP server on the loopback interface with every fault a server has."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from stub_server import RATING_PROBS, REPLY, Answer, Asked, StubServer, error

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models import load_model, retries
from sandbox.models.base import Message, Reply, Request
from sandbox.models.openai import OpenAIModel
from sandbox.raters import LMRater
from sandbox.remote import RemoteCalls
from sandbox.wavefront import Call, drive

DIGITS = tuple("1234567")
RATE = Request((Message("user", "Rate it."),), prefix="Rating:", choices=DIGITS)
TOO_MANY = error(429, "Rate limit reached")


def ask(text: str = "hello", **fields: Any) -> Request:
    return Request((Message("system", "You are kind."), Message("user", text)), **fields)


def say(text: str, **choice: Any) -> Answer:
    """A completion that says ``text``."""
    said = {"choices": [{"message": {"content": text}, "finish_reason": "stop", **choice}]}
    return Answer(body=json.dumps(said).encode())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries that wait for 10 ms and not for half a second; no key and no server from the environment."""
    monkeypatch.setattr(retries, "_SHORTEST_WAIT_S", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def at() -> Iterator[Callable[..., OpenAIModel]]:
    """Makes models at a server, and closes them."""
    made = []

    def make(server: StubServer, **settings: Any) -> OpenAIModel:
        made.append(OpenAIModel(f"m@{server.url}", **settings))
        return made[-1]

    yield make
    for model in made:
        model.close()


# -- names, addresses and keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "name", "uri"),
    [
        ("gpt-4o-mini", "gpt-4o-mini", "openai:gpt-4o-mini"),
        ("ft:gpt-4o:org::id", "ft:gpt-4o:org::id", "openai:ft:gpt-4o:org::id"),
        ("m@http://host:8000/v1", "m", "openai:m@http://host:8000/v1"),
        ("m@http://host:8000/v1/", "m", "openai:m@http://host:8000/v1"),
        ("org/m@2024@https://host/v1", "org/m@2024", "openai:org/m@2024@https://host/v1"),
        ("m@http://[::1]:8000/v1", "m", "openai:m@http://[::1]:8000/v1"),
        ("m@https://api.openai.com/v1", "m", "openai:m"),
    ],
)
def test_a_uri_names_a_model_and_a_server(monkeypatch: pytest.MonkeyPatch, rest: str, name: str, uri: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something")
    model = OpenAIModel(rest)
    assert (model.name, model.uri, model.default_rater) == (name, uri, "lm")


def test_the_server_of_the_environment_is_named_in_the_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record must say who spoke, wherever the address came from."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway:9/v1/")
    assert OpenAIModel("m").uri == "openai:m@http://gateway:9/v1"


@pytest.mark.parametrize(
    "rest",
    [
        "m@http://user:hunter2@host/v1",
        "m@http://hunter2@host/v1",
        "m@https://host/v1?key=hunter2",
        "m@http://h#hunter2",
    ],
)
def test_an_address_that_may_hold_a_secret_is_refused_and_not_repeated(rest: str) -> None:
    with pytest.raises(SettingsError, match="put the key into the environment variable OPENAI_API_KEY") as caught:
        OpenAIModel(rest)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "rest", ["@http://host/v1", " ", "http://user:hunter2@host/v1", "m@http://", "m@http://host:port/v1", "m@http://[x"]
)
def test_what_names_no_model_or_no_server_is_refused(monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something")
    with pytest.raises(ModelNotFound, match="write openai:NAME or openai:NAME@http://host:8000/v1") as caught:
        OpenAIModel(rest)
    assert "hunter2" not in str(caught.value)


def test_the_hosted_api_needs_a_key() -> None:
    with pytest.raises(SettingsError) as caught:
        OpenAIModel("gpt-4o-mini")
    assert str(caught.value) == (
        "openai:gpt-4o-mini needs a key, and the environment variable OPENAI_API_KEY is not set. Set it, or name a "
        "server of your own: openai:gpt-4o-mini@http://localhost:8000/v1"
    )


def test_settings_without_sense_are_refused_all_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        OpenAIModel("m@http://h/v1", api="talk", timeout_s=0, retries=-1, max_in_flight=0)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "model 'openai': api='talk' is not chat or completion; timeout_s=0 must be more than 0; "
        "retries=-1 must be 0 or more; max_in_flight=0 must be 1 or more"
    )


def test_settings_are_read_from_text(at: Callable[..., OpenAIModel]) -> None:
    """``load_model`` gives them as they come from a command line."""
    with StubServer() as server:
        model = load_model(f"openai:m@{server.url}", api="completion", max_in_flight="3", timeout_s="1.5")
        assert model.generate([ask()])[0].text == REPLY
        assert server.asked[0].path == "/v1/completions"


def test_the_same_model_is_loaded_once() -> None:
    """So all who speak through it share one limit."""
    uri = "openai:m@http://127.0.0.1:9/v1"
    assert load_model(uri) is load_model(uri)
    assert load_model(uri) is not load_model("openai:n@http://127.0.0.1:9/v1")


def test_a_fingerprint_tells_models_and_servers_apart() -> None:
    rests = ("m@http://a:1/v1", "n@http://a:1/v1", "m@http://a:2/v1", "m@http://b:1/v1")
    prints = [OpenAIModel(rest).fingerprint for rest in rests]
    assert len(set(prints)) == 4
    assert OpenAIModel("m@http://A:1/v2").fingerprint == prints[0]
    assert prints[0].startswith("m-")


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, at: Callable[..., OpenAIModel]
) -> None:
    """The server gets it; the model's repr, URI and errors do not, though the server repeats it."""
    monkeypatch.setenv("MY_KEY", "s3cret-of-mine")
    refused = error(401, "Incorrect API key provided: s3cret-of-mine, or sk-live-abc***xyz (Bearer s3cret-of-mine")
    with StubServer([refused]) as server:
        model = at(server, key_env="MY_KEY")
        reply = model.generate([ask()])[0]
        assert server.asked[0].headers["authorization"] == "Bearer s3cret-of-mine"
        assert reply.error == (f"openai:m@{server.url}: HTTP 401: Incorrect API key provided: [key], or [key] ([key]")
        assert "s3cret" not in repr(model) + model.uri + model.fingerprint
        assert repr(model) == f"OpenAIModel('m@{server.url}')"


def test_a_server_of_ones_own_needs_no_key(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        at(server).generate([ask()])
        assert server.asked[0].headers["authorization"] == "Bearer none"


# -- what is asked and what is read -------------------------------------------------------------------------------


def test_a_request_over_the_chat_api(at: Callable[..., OpenAIModel]) -> None:
    """The seed is cut to 31 bits: 2**40 + 7 leaves 7. The API takes four strings that stop."""
    request = ask("Hi", max_tokens=9, temperature=0.5, top_p=0.9, seed=2**40 + 7, stop=("1", "2", "3", "4", "listen"))
    with StubServer() as server:
        reply = at(server).generate([request])[0]
        assert server.asked[0].path == "/v1/chat/completions"
        assert server.asked[0].body == {
            "model": "m",
            "messages": [{"role": "system", "content": "You are kind."}, {"role": "user", "content": "Hi"}],
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "stop": ["1", "2", "3", "4"],
        }
    # What the server was not told to stop at, the reply still ends before.
    assert reply == Reply("I would talk to them first, and", None, 120, 12, "stop", None)


def test_a_prefix_is_asked_for_in_words_and_left_out_of_the_reply(at: Callable[..., OpenAIModel]) -> None:
    said = [say("I find it good because it helps."), say('"i find it GOOD because: it helps'), say("It helps.")]
    with StubServer(said) as server:
        model = at(server)
        texts = [model.generate([ask("Why?", prefix="I find it good because")])[0].text for _ in said]
        assert server.asked[0].body["messages"][-1] == {
            "role": "user",
            "content": 'Why?\n\nBegin your reply with "I find it good because".',
        }
    assert texts == ["it helps.", ": it helps", "It helps."]


@pytest.mark.parametrize("api", ["chat", "completion"])
def test_choices_are_read_from_the_likeliest_tokens(at: Callable[..., OpenAIModel], api: str) -> None:
    """The stub's probabilities of "1" to "7" sum to 1 already; the likeliest is the text."""
    with StubServer() as server:
        reply = at(server, api=api).generate([RATE])[0]
        body = server.asked[0].body
    assert reply.text == "5"
    assert reply.choice_probs == pytest.approx(RATING_PROBS)
    assert list(reply.choice_probs or ()) == list(DIGITS)
    if api == "chat":
        assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
        assert body["messages"][-1]["content"] == (
            'Rate it.\n\nBegin your reply with "Rating:" and one of 1, 2, 3, 4, 5, 6, 7.'
        )
    else:
        assert body["logprobs"] == 20
        assert body["prompt"].endswith("### Instruction:\nRate it.\n\n### Response:\nRating:")
        assert body["stop"] == ["### Instruction:"]


def test_probabilities_are_asked_for_only_where_choices_are_given(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        at(server).generate([ask()])
        assert not {"logprobs", "top_logprobs"} & server.asked[0].body.keys()


def test_a_server_without_probabilities_is_not_asked_twice(
    at: Callable[..., OpenAIModel], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor for JSON under a schema, of which this one takes no notice; each is told once.

    Its replies are text, which the rater reads.
    """
    with StubServer([say("Rating: 6")] * 3, logprobs=False) as server:
        model = at(server)
        replies = [model.generate([RATE])[0] for _ in range(3)]
        assert ["logprobs" in asked.body for asked in server.asked] == [True, False, False]
        assert ["response_format" in asked.body for asked in server.asked] == [False, True, False]
        assert [r.choice_probs for r in replies] == [None] * 3
        assert [r.text for r in replies] == ["6"] * 3
    assert caplog.messages == [
        f"openai:m@{server.url} gives no probabilities of tokens; choices are asked for as JSON under a schema",
        f"openai:m@{server.url} gives no JSON under a schema; ratings are read from its words",
    ]


def test_choices_are_asked_for_as_json_where_there_are_no_probabilities(at: Callable[..., OpenAIModel]) -> None:
    """The first reply tells that there are none; from then on the schema allows the choices and nothing else."""
    said = [say("Rating: 6"), say('{"choice": "4"}'), say('```json\n{"choice": "2"}\n```'), say('{"choice": "9"}')]
    with StubServer(said, logprobs=False) as server:
        model = at(server)
        replies = [model.generate([RATE])[0] for _ in said]
        assert [r.text for r in replies] == ["6", "4", "2", '{"choice": "9"}']
        assert [r.choice_probs for r in replies] == [None] * 4
        asked = server.asked[1].body
    schema = asked["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"choice": {"type": "string", "enum": list(RATE.choices)}}
    assert asked["messages"][-1]["content"].endswith(
        f'Reply with a JSON object whose "choice" is one of {", ".join(RATE.choices)}.'
    )


@pytest.mark.parametrize("words", ["response_format is not supported", "Unknown field: json_schema"])
def test_a_server_that_refuses_schemas_answers_in_words(at: Callable[..., OpenAIModel], words: str) -> None:
    def plan(asked: Asked, _: int) -> Answer:
        return error(400, words) if "response_format" in asked.body else say("Rating: 6")

    with StubServer(plan) as server:
        model = at(server)
        assert [(r.text, r.error) for r in model.generate([RATE]) + model.generate([RATE])] == [("6", None)] * 2
        assert ["response_format" in asked.body for asked in server.asked] == [False, True, False]


def test_prices_are_set_in_dollars_a_million_tokens(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        assert at(server).prices is None
        assert at(server, price_prompt=0.15).prices == (0.15, 0.0)
        with pytest.raises(SettingsError, match="prices are 0 or more US dollars a million tokens"):
            at(server, price_completion=-1.0)


@pytest.mark.parametrize(("gives", "value"), [(True, 4.92), (False, 6.0)])
def test_the_lm_rater_rates_through_it(at: Callable[..., OpenAIModel], gives: bool, value: float) -> None:
    """With the stub's probabilities: 1*.01 + 2*.02 + 3*.03 + 4*.2 + 5*.5 + 6*.2 + 7*.04 = 4.92. Without, the words."""
    from sandbox.observer import Judge
    from sandbox.scenario import Dimension

    plan = [] if gives else [say("Rating: 6 ### Reason: it helps")]
    with StubServer(plan, logprobs=gives) as server:
        judge = Judge(Dimension("alignment", "how kind it is"), 7, at(server), "rate {question} {answer} {words}")
        rating = LMRater().rate([("q", "a")], rater_of=judge)[0]
    assert rating.value == pytest.approx(value)


def test_a_reply_cut_off_by_the_limit_of_tokens_says_so(at: Callable[..., OpenAIModel]) -> None:
    with StubServer([say("It was", finish_reason="length")]) as server:
        assert at(server).generate([ask()])[0].finish_reason == "length"


def test_a_refusal_to_answer_is_an_answer(at: Callable[..., OpenAIModel]) -> None:
    said = {"choices": [{"message": {"content": None, "refusal": "I can't help with that."}, "finish_reason": "stop"}]}
    with StubServer([Answer(body=json.dumps(said).encode())]) as server:
        assert at(server).generate([ask()])[0].text == "I can't help with that."


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
        "HTTP 307: the server sends on to another address; use that",
    ),
    "withheld": (
        say("", finish_reason="content_filter"),
        "the server's content filter withheld the reply",
    ),
    "10 MB": (
        Answer(body=b'{"choices": [{"message": {"content": "' + b"x" * 10_000_000 + b'"}}]}'),
        "the answer is longer than 163840 bytes, for 6 tokens",
    ),
    "10 MB in chunks": (
        Answer(body=b"989680\r\n" + b"x" * 10_000_000, headers={"transfer-encoding": "chunked"}),
        "the answer is longer than 163840 bytes, for 6 tokens",
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
    assert caplog.messages == [f"openai:m@{server.url} refuses {field}; going on without"]


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


# -- many at once -------------------------------------------------------------------------------------------------


def echo(asked: Asked, number: int) -> Answer:
    """Says what it was asked, the later the sooner; fails for good on every seventh."""
    text = asked.body["messages"][-1]["content"]
    if int(text) % 7 == 3:
        return error(400, f"no {text}")
    said = {"choices": [{"message": {"content": f"<{text}>"}, "finish_reason": "stop"}]}
    return Answer(body=json.dumps(said).encode(), delay_s=0.05 / (number + 1))


def expected(number: int) -> str:
    return "" if number % 7 == 3 else f"<{number}>"


def test_replies_come_in_the_order_of_requests_and_one_failure_is_one(at: Callable[..., OpenAIModel]) -> None:
    with StubServer(echo) as server:
        replies = at(server).generate([ask(str(n)) for n in range(50)])
    assert [r.text for r in replies] == [expected(n) for n in range(50)]
    assert [r.error is None for r in replies] == [n % 7 != 3 for n in range(50)]


def test_no_requests_no_replies(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        assert at(server).generate([]) == []
        assert server.connections == 0


def test_connections_are_kept_alive_and_bounded(at: Callable[..., OpenAIModel]) -> None:
    """Two batches of 30 with four at once: never more than four requests, on four connections in all."""
    with StubServer(delay_s=0.005) as server:
        model = at(server, max_in_flight=4)
        for _ in range(2):
            model.generate([ask(str(n)) for n in range(30)])
        assert (server.peak, server.connections, len(server.asked)) == (4, 4, 60)


def test_the_wavefront_keeps_many_calls_in_the_air(at: Callable[..., OpenAIModel]) -> None:
    """40 conversations of 3 calls, 50 ms each: 0.15 s in waves, 6 s one after the other."""

    def talk(model: OpenAIModel) -> Any:
        texts = []
        for _ in range(3):
            reply = yield Call(model, ask("hello"))
            texts.append(reply.text)
        return texts

    with StubServer(delay_s=0.05) as server:
        model = at(server)
        results = drive([talk(model) for _ in range(40)])
        assert server.peak == 40
    assert results == [[REPLY] * 3] * 40


# -- event loops --------------------------------------------------------------------------------------------------


def test_every_event_loop_has_its_own_connections(at: Callable[..., OpenAIModel]) -> None:
    """Loops come and go with worlds; what one leaves behind is closed when the next asks."""
    with StubServer() as server:
        model = at(server)
        for _ in range(3):
            assert asyncio.run(model.agenerate(ask())).text == REPLY
        assert server.connections == 3
        gc.collect()
        wait_for(lambda: len(server._open) == 1)


def test_closing_closes_the_connections_of_a_loop_in_another_thread(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        model = at(server)
        calls = RemoteCalls()
        calls.submit([Call(model, ask())])
        assert calls.finished()[0][1].text == REPLY
        assert len(server._open) == 1
        model.close()
        wait_for(lambda: not server._open)
        assert model.generate([ask()])[0].text == REPLY  # it can be used again
        calls.close()


def test_a_model_let_go_of_closes_its_connections() -> None:
    with StubServer() as server:
        model = OpenAIModel(f"m@{server.url}")
        model.generate([ask()])
        assert len(server._open) == 1
        del model
        gc.collect()
        wait_for(lambda: not server._open)


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 3
    while not holds():
        assert time.monotonic() < until, "it did not come about in 3 s"
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["generate", "agenerate", "within", "given up"])
def test_nothing_is_said_when_a_program_ends(how: str) -> None:
    """Nobody closes the model; the process must end without complaints of connections left open."""
    ways = {
        "generate": "model.generate([request])",
        "agenerate": "asyncio.run(model.agenerate(request))",
        "within": "asyncio.run(within())",
        "given up": "calls = RemoteCalls(); calls.submit([Call(model, slow)]); time.sleep(0.1)",
    }
    program = f"""
import asyncio, sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stub_server import Answer, StubServer
from sandbox.models.base import Message, Request
from sandbox.models.openai import OpenAIModel
from sandbox.remote import RemoteCalls
from sandbox.wavefront import Call
request, slow = (Request((Message("user", text),)) for text in ("quick", "slow"))
async def within():
    model = OpenAIModel("m@" + server.url)
    await model.agenerate(request)
    model.close()
plan = lambda asked, n: Answer(silent=True) if "slow" in str(asked.body) else None
server = StubServer(plan).__enter__()
model = OpenAIModel("m@" + server.url)
{ways[how]}
print("done")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_http_is_not_imported_before_it_is_needed() -> None:
    program = "import sandbox, sandbox.models, sys; print([m for m in sys.modules if m.startswith('aiohttp')])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


# -- the stub itself ----------------------------------------------------------------------------------------------


def test_the_stub_and_the_requests_fit_openais_own_client() -> None:
    """What these tests rest on: OpenAI's library reads the stub's replies, and knows every field that is sent."""
    import openai
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming as Chat
    from openai.types.completion_create_params import CompletionCreateParamsNonStreaming as Completion

    with StubServer() as server, openai.OpenAI(api_key="x", base_url=server.url) as client:
        chat = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "rate"}], logprobs=True, top_logprobs=20
        )
        logprobs = chat.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        assert logprobs.content[0].top_logprobs[0].token == chat.choices[0].message.content == "5"
        said = client.completions.create(model="m", prompt="rate", logprobs=20).choices[0]
        assert said.logprobs is not None
        assert said.logprobs.top_logprobs is not None
        assert said.logprobs.top_logprobs[0]["5"] == pytest.approx(-0.693, abs=0.001)

        for api, known in (("chat", Chat), ("completion", Completion)):
            model = OpenAIModel(f"m@{server.url}", api=api)  # type: ignore[arg-type]
            model.generate([Request(RATE.messages, stop=("#",), choices=DIGITS)])
            assert server.asked[-1].body.keys() <= known.__annotations__.keys()
            model.close()


def test_the_stub_serves_alone() -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "stub_server.py"), "--delay", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            assert process.stdout is not None
            model = OpenAIModel(f"m@{process.stdout.readline().strip()}")
            assert model.generate([ask()])[0].text == REPLY
            model.close()
        finally:
            process.terminate()
