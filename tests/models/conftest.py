"""What tests of language models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stub_server import StubServer

from sandbox.models.remote import retries
from sandbox.models.remote.openai import OpenAIModel


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
