"""Conversations for models without a system role, written over and sent to servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openai_requests import ask
from stub_server import REPLY, Answer, Asked, StubServer, error

from sandbox.models.base import Message
from sandbox.models.plain_roles import plain_roles, refuses_roles
from sandbox.models.remote.openai import OpenAIModel


def talk(*turns: str) -> list[Message]:
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [Message(roles[turn[0]], turn[2:]) for turn in turns]


def said(messages: list[dict[str, str]]) -> list[str]:
    return [f"{turn['role'][0]} {turn['content']}" for turn in messages]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("s Be kind.", "u Hi"), ["u Be kind.\n\nHi"]),
        (("s Be kind.", "u Hi", "a Yes?", "u Bye"), ["u Be kind.\n\nHi", "a Yes?", "u Bye"]),
        (("u Hi", "u Bye"), ["u Hi\n\nBye"]),
        (("u Hi", "a Yes?", "a Well?", "u Bye"), ["u Hi", "a Yes?\n\nWell?", "u Bye"]),
        (("u Hi", "a Yes?", "s Be kind.", "u Bye"), ["u Be kind.\n\nHi", "a Yes?", "u Bye"]),
        (("s Be kind.", "a Yes?", "u Bye"), ["u Be kind.", "a Yes?", "u Bye"]),
        (("a Yes?", "u Bye"), ["u ", "a Yes?", "u Bye"]),
        (("u Hi", "a Yes?", "u Bye"), ["u Hi", "a Yes?", "u Bye"]),
    ],
)
def test_no_words_are_lost_and_turns_alternate(given: tuple[str, ...], expected: list[str]) -> None:
    assert said(plain_roles(talk(*given))) == expected


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Value is not callable: null at row 1: System role not supported",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported!",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "A conversation must start with a user prompt.",
        "Unexpected role: system",
    ],
)
def test_what_templates_and_servers_say_of_roles(words: str) -> None:
    assert refuses_roles(words)


@pytest.mark.parametrize(
    "words",
    [
        "maximum context length is 128 tokens; shorten the system prompt",
        "top_p is not supported",
        "The system is overloaded",
        "Invalid user name",
    ],
)
def test_what_is_about_something_else(words: str) -> None:
    assert not refuses_roles(words)


@pytest.mark.parametrize("status", [400, 500])
def test_a_server_without_a_system_role_gets_its_words_before_the_first_turn(
    at: Callable[..., OpenAIModel], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """The first request is sent twice, the second once; the model says so once."""

    def plan(asked: Asked, _: int) -> Answer | None:
        refused = any(m["role"] == "system" for m in asked.body["messages"])
        return error(status, "System role not supported") if refused else None

    with StubServer(plan) as server:
        model = at(server, retries=0)
        assert [model.generate([ask()])[0].text for _ in range(2)] == [REPLY, REPLY]
        sent = [said(asked.body["messages"]) for asked in server.asked]
    assert sent == [["s You are kind.", "u hello"], *[["u You are kind.\n\nhello"]] * 2]
    assert caplog.messages == model.notes == [
        f"openai:m@{server.url} rejects system messages or the order of turns; system messages are put before the first "
        "user turn, and turns of one speaker in a row are joined"
    ]  # fmt: skip


def test_a_system_message_is_never_sent_where_the_user_says_so(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        at(server, leave_out=("system",)).generate([ask()])
        sent: list[Any] = server.asked[0].body["messages"]
    assert sent == [{"role": "user", "content": "You are kind.\n\nhello"}]
