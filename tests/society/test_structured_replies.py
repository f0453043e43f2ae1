"""Numbers and JSON from agents: what is read, what is asked again, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox import Conversation, Reply, Request, Scenario, ScriptedModel, World, load_model
from sandbox.errors import ScenarioError
from sandbox.models.base import Message
from sandbox.models.remote.openai_schema import Dialect
from sandbox.preview.dry_run import forecast
from sandbox.preview.prompt_preview import render_prompts
from sandbox.records import StructuredReply

PLAN = {
    "type": "object",
    "properties": {
        "vote": {"enum": ["yes", "no"]},
        "why": {"type": "string"},
        "coins": {"type": "integer", "minimum": 0, "maximum": 20},
        "sure": {"type": "boolean"},
    },
    "required": ["vote", "coins"],
    "additionalProperties": False,
}


def asking(how: Callable[[Any, str], Conversation]) -> Scenario:
    def protocol(agent: Any, question: str, world: World) -> Conversation:
        found: StructuredReply = yield how(agent, question)
        extra = {"value": found.value, "tries": found.tries, "raw": found.raw}
        return world.interaction(agent, question, draft=str(found.value), extra=extra)

    return Scenario(questions=["How much?"], protocol=protocol)


def result(how: Callable[[Any, str], Conversation], model: Any) -> Mapping[str, Any]:
    run = World(asking(how), model=model, embedder="hashing", size=2, in_flight=1).run(1)
    [first, *_] = run.interactions()
    assert first.error is None, first.error
    return first.extra


def written(*texts: str) -> ScriptedModel:
    """Replies by the number of earlier tries, in words alone: no probabilities of choices."""
    return ScriptedModel(replies=lambda request: Reply(texts[(len(request.messages) - 2) // 2]))


@pytest.mark.parametrize(
    ("low", "high", "texts", "value", "tries"),
    [
        (0, 20, ["I give 7 of my coins."], 7, 1),
        (0, 20, ["I give 70 coins.", "Fine: 12."], 12, 2),
        (0, 20, ["None.", "Still none.", "No."], None, 3),
        (0, 20, ["2.5 coins", "3 coins"], 3, 2),
        (0.0, 1.0, ["About 0.25 of it"], 0.25, 1),
        (-5, 5, ["-3"], -3, 1),
        (0, 1_000_000, ["1,250 of 30"], 1250, 1),
    ],
)
def test_numbers_are_read_or_asked_for_again(
    low: float, high: float, texts: list[str], value: float | None, tries: int
) -> None:
    found = result(lambda agent, question: agent.number(question, low, high), written(*texts))
    assert (found["value"], found["tries"], found["raw"]) == (value, tries, texts[tries - 1])
    assert type(found["value"]) is type(value)


def test_a_number_is_drawn_from_the_probabilities_of_few() -> None:
    model = ScriptedModel(replies=lambda request: Reply("3", {c: float(c in "37") / 2 for c in request.choices}))
    run = World(
        asking(lambda agent, question: agent.number(question, 0, 9)), model=model, embedder="hashing", size=8
    ).run(1)
    assert {it.extra["value"] for it in run.interactions()} == {3, 7}


def test_what_could_not_be_read_is_told_in_the_next_try() -> None:
    model = written("Many!", "9")
    result(lambda agent, question: agent.number(question, 0, 9), model)
    first, second = model.history[0], model.history[-1]
    assert first.messages[-1].content == "How much?\n\nAnswer with a number from 0 to 9."
    assert [m.content for m in second.messages[2:]] == [
        "Many!",
        "That cannot be read: it contains no number. Answer again, in the form that was asked for.",
    ]


@pytest.mark.parametrize(
    ("texts", "value", "tries"),
    [
        (['{"vote": "yes", "coins": 3}'], {"vote": "yes", "coins": 3}, 1),
        (['Here it is:\n```json\n{"vote": "no", "coins": 0}\n```'], {"vote": "no", "coins": 0}, 1),
        (['{"vote": "maybe", "coins": 3}', '{"vote": "no", "coins": 3}'], {"vote": "no", "coins": 3}, 2),
        (["yes", '{"vote": "yes"}', '{"vote": "yes", "coins": NaN}'], None, 3),
    ],
)
def test_json_is_checked_by_its_schema(texts: list[str], value: Any, tries: int) -> None:
    found = result(lambda agent, question: agent.structured(question, PLAN), written(*texts))
    assert (found["value"], found["tries"]) == (value, tries)


def test_the_fault_of_json_is_told() -> None:
    model = written('{"vote": "maybe", "coins": 3}', '{"vote": "no", "coins": 3}')
    result(lambda agent, question: agent.structured(question, PLAN), model)
    assert (
        "That cannot be read: ['vote']: 'maybe' is not one of ['yes', 'no']." in model.history[1].messages[-1].content
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda agent, q: agent.number(q, 5, 5), r"low is 5, which is not below high, 5"),
        (lambda agent, q: agent.number(q, "0", 5), r"low is '0'; give a finite number"),
        (
            lambda agent, q: agent.structured(q, {"type": "objekt"}),
            r"the schema\['type'\] is not a JSON Schema: 'objekt'",
        ),
        (lambda agent, q: agent.structured(q, "vote"), r"a mapping is expected, not a str"),
        (lambda agent, q: agent.number(q, 0, 5, tries=0), r"tries=0 must be at least 1"),
    ],
)
def test_wrong_forms_are_refused_with_the_authors_line(how: Any, words: str) -> None:
    with pytest.raises(ScenarioError, match=rf"test_structured_replies\.py:\d+: .*{words}"):
        World(asking(how), model=ScriptedModel(), embedder="hashing", size=2).run(1)


def test_dry_runs_and_previews_know_them() -> None:
    made = asking(lambda agent, question: agent.structured(question, PLAN))
    expected = forecast(made, rounds=1, model=ScriptedModel(), size=2)
    assert (expected.calls, expected.failed) == (4, 0.0)
    [shown] = render_prompts(made)
    assert "structured" in shown.templates
    assert json.dumps(PLAN) in shown.messages[-1][1]


@pytest.mark.needs_torch
def test_a_local_model_keeps_to_a_schema_whatever_it_is(tiny_lm_path: Path) -> None:
    model = load_model(f"hf:{tiny_lm_path}")
    found = result(lambda agent, question: agent.structured(question, PLAN), model)
    assert found["tries"] == 1
    assert set(found["value"]) == set(PLAN["properties"])  # type: ignore[arg-type]
    number = result(lambda agent, question: agent.number(question, 0, 9), model)
    assert (number["tries"], number["value"] in range(10)) == (1, True)


@pytest.mark.needs_torch
def test_mixed_requests_are_answered_in_order_and_alike_in_any_batch(tiny_lm_path: Path) -> None:
    model = load_model(f"hf:{tiny_lm_path}")
    text = (Message("user", "How much?"),)
    requests = [
        Request(text, 8, seed=1),
        Request(text, 40, seed=2, schema=json.dumps(PLAN)),
        Request(text, 8, seed=3, choices=("a", "b")),
        Request(text, 40, seed=4, schema=json.dumps({"type": "object", "properties": {"n": {"type": "number"}}})),
    ]
    together = model.generate(requests)
    assert [reply.text for reply in together] == [model.generate([one])[0].text for one in requests]
    assert json.loads(together[1].text)["coins"] in range(21)


def test_servers_are_sent_the_schema_until_one_refuses_it() -> None:
    request = Request((Message("user", "x"),), schema=json.dumps(PLAN))
    dialect = Dialect("chat")
    assert json.loads(dialect.body("m", request))["response_format"]["json_schema"]["schema"] == PLAN
    refused = dialect.without("response_format is not supported")
    assert refused is not None
    assert "response_format" not in json.loads(refused[1].body("m", request))


def test_a_request_without_a_schema_keeps_its_key() -> None:
    """Calls that are stored are looked up by it."""
    plain = Request((Message("user", "x"),), seed=3)
    assert plain.content() == '[[["user","x"]],64,1.0,1.0,[],3,"",[]]'
    assert Request((Message("user", "x"),), seed=3, schema="{}").key() != plain.key()
