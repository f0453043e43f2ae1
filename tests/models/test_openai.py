"""The remote model: how it is named, what it asks and what it reads, against a real HTTP server on the loopback interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from openai_requests import DIGITS, RATE, ask, say
from stub_server import RATING_PROBS, REPLY, Answer, Asked, StubServer, error

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.base import Message, Reply, Request
from sandbox.models.catalog import load_model
from sandbox.models.remote.openai import OpenAIModel
from sandbox.models.remote.openai_schema import Dialect
from sandbox.raters.lm import LMRater
from sandbox.store.budget import CallBudget

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
        f"openai:m@{server.url} gives no probabilities of tokens; choices are requested as JSON with a schema",
        f"openai:m@{server.url} gives no JSON with a schema; ratings are parsed from its text",
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
        assert at(server, price_prompt=0.15).prices == (0.15, 0.0, 0.15)
        assert at(server, price_prompt=0.15, price_cached=0.01).prices == (0.15, 0.0, 0.01)
        with pytest.raises(SettingsError, match="prices must be 0 or more, in US dollars per million tokens"):
            at(server, price_completion=-1.0)


def test_prices_of_vendors_are_listed_and_those_of_own_servers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("genai_prices")
    monkeypatch.setenv("OPENAI_API_KEY", "none-of-your-business")
    hosted = OpenAIModel("gpt-4o-mini")
    assert hosted.prices is not None
    read, written, cached = hosted.prices
    assert 0 < cached < read < written < 10
    assert hosted.notes[0].startswith("openai:gpt-4o-mini: cost at the prices of genai-prices ")
    assert OpenAIModel("gpt-4o-mini", price_prompt=1.0).notes == []
    for elsewhere in ("gpt-4o-mini@http://localhost:8000/v1", "gpt-4o-mini@http://10.0.0.7/v1", "no-such-model"):
        assert OpenAIModel(elsewhere).prices is None


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64}}, 64),
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 30}, 30),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 640}}, 100),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": "many"}}, 0),
        ({"prompt_tokens": 100, "prompt_tokens_details": None}, 0),
    ],
)
def test_tokens_from_a_prefix_cache_are_counted_and_cost_less(usage: dict[str, Any], cached: int) -> None:
    body = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}], "usage": usage}
    reply, _ = Dialect("chat").read(json.dumps(body).encode(), Request((Message("user", "Tea?"),)))
    assert reply.cached_tokens == cached
    assert ("cached_tokens" in reply.as_dict()) == (cached > 0)
    assert Reply(**reply.as_dict()) == reply
    budget = CallBudget()
    budget.count(SimpleNamespace(prices=(1.0, 2.0, 0.1)), reply)
    assert budget.usd == pytest.approx((100 - cached + 0.1 * cached) / 1e6)
    assert budget.counts.get("cached", 0) == cached


@pytest.mark.parametrize(("gives", "value"), [(True, 4.92), (False, 6.0)])
def test_the_lm_rater_rates_through_it(at: Callable[..., OpenAIModel], gives: bool, value: float) -> None:
    """With the stub's probabilities: 1*.01 + 2*.02 + 3*.03 + 4*.2 + 5*.5 + 6*.2 + 7*.04 = 4.92. Without, the words."""
    from sandbox.scenario.rubric import Dimension
    from sandbox.society.observer import DimensionScorer

    plan = [] if gives else [say("Rating: 6 ### Reason: it helps")]
    with StubServer(plan, logprobs=gives) as server:
        judge = DimensionScorer(
            Dimension("alignment", "how kind it is"), 7, at(server), "rate {question} {answer} {words}"
        )
        rating = LMRater().rate([("q", "a")], rater_of=judge)[0]
    assert rating.value == pytest.approx(value)


def test_a_reply_cut_off_by_the_limit_of_tokens_says_so(at: Callable[..., OpenAIModel]) -> None:
    with StubServer([say("It was", finish_reason="length")]) as server:
        assert at(server).generate([ask()])[0].finish_reason == "length"


def test_a_refusal_to_answer_is_an_answer(at: Callable[..., OpenAIModel]) -> None:
    said = {"choices": [{"message": {"content": None, "refusal": "I can't help with that."}, "finish_reason": "stop"}]}
    with StubServer([Answer(body=json.dumps(said).encode())]) as server:
        assert at(server).generate([ask()])[0].text == "I can't help with that."
