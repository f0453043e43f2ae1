"""Embeddings over HTTP, from a stub with OpenAI's schema: its vectors say how often a text has the letters a to h."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stub_server import Answer, StubServer, error

from sandbox.embedders.base import load_embedder
from sandbox.embedders.openai import OpenAIEmbedder
from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.remote import retries
from sandbox.testing import check_embedder


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_SHORTEST_WAIT_S", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_it_is_an_embedder() -> None:
    with StubServer() as server:
        check_embedder(OpenAIEmbedder(f"m@{server.url}"))


def test_vectors_come_in_the_order_of_texts_and_have_length_one() -> None:
    """ "aab" is (2, 1) over a root of 5; a text without any of the letters still has a direction."""
    with StubServer() as server:
        embedder = OpenAIEmbedder(f"m@{server.url}", batch_size=2)
        found = embedder.embed(["aab", "xyz", "", "hh", "b"])
        sizes = [len(asked.body["input"]) for asked in server.asked]
    assert (embedder.name, embedder.dim) == (f"openai:m@{server.url}", 8)
    expected = np.zeros((5, 8), np.float32)
    expected[0, :2] = np.array([2, 1]) / 5**0.5
    expected[1, 0] = expected[2, 0] = expected[3, 7] = expected[4, 1] = 1
    assert np.allclose(found, expected)
    assert found.dtype == np.float32
    assert sorted(sizes) == [1, 1, 2, 2]  # the first asks how long the vectors are


def test_it_is_found_by_name_and_its_settings_are_read_from_text() -> None:
    with StubServer() as server:
        embedder = load_embedder(f"openai:m@{server.url}", dimensions="3", timeout_s="5")
        assert embedder.dim == 3
        assert server.asked[0].body["dimensions"] == 3
        assert server.asked[0].path == "/v1/embeddings"


@pytest.mark.parametrize(
    "fault", [error(429, "slow down"), error(500, "oh no"), Answer(cut=True), Answer(body=b'{"data": [{"embed')]
)
def test_a_fault_that_passes_costs_a_try(fault: Answer) -> None:
    with StubServer([fault, None, fault]) as server:
        assert OpenAIEmbedder(f"m@{server.url}").embed(["a"]).shape == (1, 8)
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error(401, "Incorrect API key provided: s3cret-of-mine"), "HTTP 401: Incorrect API key provided: [key]"),
        (error(404, "no such model"), "HTTP 404: no such model"),
        (Answer(body=json.dumps({"data": []}).encode()), "the response contains 0 of 1 embeddings"),
    ],
)
def test_a_fault_that_stays_says_so_and_keeps_the_key(
    monkeypatch: pytest.MonkeyPatch, fault: Answer, words: str
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret-of-mine")
    with StubServer(lambda asked, n: fault) as server, pytest.raises(ModelNotFound) as caught:
        OpenAIEmbedder(f"m@{server.url}", key_env="MY_KEY", retries=1)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_has_no_sense_is_refused() -> None:
    with pytest.raises(SettingsError, match="needs a key, and the environment variable OPENAI_API_KEY is not set"):
        OpenAIEmbedder("text-embedding-3-small")
    with pytest.raises(SettingsError, match="batch_size, max_in_flight and dimensions must be at least 1"):
        OpenAIEmbedder("m@http://127.0.0.1:1/v1", batch_size=0)
    with pytest.raises(ModelNotFound, match="has no model name"):
        OpenAIEmbedder("")


def test_a_society_remembers_through_it(tiny_world: Callable[..., Any], tmp_path: Path) -> None:
    with StubServer() as server:
        world = tiny_world(embedder=f"openai:m@{server.url}", **{"embedder.batch_size": "4"})
        run = world.run(1)
        assert run.manifest["embedder"] == f"openai:m@{server.url}"
        assert run.manifest["embedding_dim"] == 8
        assert run.metrics()[0]["failed"] == 0
        assert max(len(asked.body["input"]) for asked in server.asked) == 4
