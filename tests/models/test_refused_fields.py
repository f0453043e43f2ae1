"""Fields that servers reject: found in their words, left out one by one, or never sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from openai_requests import RATE, ask
from stub_server import REPLY, Answer, Asked, StubServer, error

from sandbox.errors import SettingsError
from sandbox.models.catalog import load_model
from sandbox.models.remote.openai import OpenAIModel
from sandbox.models.remote.refused_fields import refused_field

BOTH = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (BOTH, "top_p"),
        ("`temperature` may only be set to 1 when thinking is enabled", "temperature"),
        ("`temperature` is deprecated for this model.", "temperature"),
        ("temperature must be 1", "temperature"),
        ("Only the default (1) value of temperature is supported", "temperature"),
        ("top_p: not allowed with this model", "top_p"),
        ("{'type': 'extra_forbidden', 'loc': ['body', 'stop'], 'msg': 'Extra inputs are not permitted'}", "stop"),
        ("stop: unexpected keyword", "stop"),
        ("seed is out of range", "seed"),
        ("Unknown fields: top_p, temperature", "top_p"),
        ("temperature must be between 0 and 1", None),
        ("temperature must be 1.0 or less", None),
        ("only values from 0 up to 2 are allowed for temperature", None),
        ("temperature: Input should be less than or equal to 1", None),
        ("the prompt is too long", None),
    ],
)
def test_the_field_is_found_in_the_words_of_the_server(said: str, field: str | None) -> None:
    assert refused_field(said, ()) == field


def test_the_next_field_is_found_when_one_is_left_out_already() -> None:
    assert refused_field("temperature and top_p are not supported", {"temperature"}) == "top_p"
    assert refused_field(BOTH, {"top_p"}) == "temperature"
    assert refused_field(BOTH, {"top_p", "temperature"}) is None


def test_of_a_pair_one_is_left_out_and_the_other_still_sent(at: Callable[..., OpenAIModel]) -> None:
    def plan(asked: Asked, _: int) -> Answer | None:
        return error(400, BOTH) if {"temperature", "top_p"} <= asked.body.keys() else None

    with StubServer(plan) as server:
        model = at(server, retries=0)
        assert [model.generate([ask(temperature=0.5)])[0].text for _ in range(2)] == [REPLY, REPLY]
        assert [asked.body.get("temperature") for asked in server.asked] == [0.5] * 3
        assert ["top_p" in asked.body for asked in server.asked] == [True, False, False]
    assert model.notes == [f"openai:m@{server.url} rejects top_p; continuing without it"]


def test_what_the_user_leaves_out_is_never_sent() -> None:
    """As from the command line, ``--set model.leave_out=temperature,seed,logprobs,max_tokens``."""
    with StubServer() as server:
        lm = load_model(f"openai:m@{server.url}", leave_out="temperature,seed,logprobs,max_tokens")
        lm.generate([ask(), RATE])
        assert len(server.asked) == 2
        for asked in server.asked:
            assert not {"temperature", "seed", "logprobs", "top_logprobs", "max_tokens"} & asked.body.keys()
            assert {"top_p", "max_completion_tokens"} <= asked.body.keys()
        assert any("response_format" in asked.body for asked in server.asked)


def test_what_cannot_be_left_out_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"leave_out='top-p' is nothing that can be left out. Did you mean 'top_p'\?"
    ):
        OpenAIModel("m@http://127.0.0.1:1/v1", leave_out=("top-p",))
