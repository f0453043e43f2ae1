"""The batch model, against a stand-in of OpenAI's batch API: files, batches and answers in its schema."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_server import BatchHandler, StandInBatchServer, answered

from sandbox import World
from sandbox.errors import SettingsError
from sandbox.models.base import Message, Request
from sandbox.models.remote.batch import OpenAIBatchModel


@pytest.fixture
def server() -> Iterator[StandInBatchServer]:
    with StandInBatchServer() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def model(server: StandInBatchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OpenAIBatchModel:
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "none-of-your-business")
    return OpenAIBatchModel(f"m@{server.url}", poll_s=0.01)


def requests(n: int) -> list[Request]:
    return [Request((Message("user", f"May I take it, {i}?"),), max_tokens=8) for i in range(n)]


def test_a_wave_is_one_batch_and_replies_keep_their_order(server: StandInBatchServer, model: OpenAIBatchModel) -> None:
    asked = [*requests(5), requests(1)[0]]
    replies = model.generate(asked)
    assert [reply.text[-9:] for reply in replies] == [f"ke it, {i}?"[-9:] for i in (0, 1, 2, 3, 4, 0)]
    assert (len(server.batches), server.files["file-0"].count(b"custom_id")) == (1, 5)
    assert replies[0].prompt_tokens == 10
    assert server.keys == {"Bearer none-of-your-business"}
    assert model.generate([]) == []


def test_a_killed_process_finds_its_batch(
    server: StandInBatchServer, model: OpenAIBatchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(OpenAIBatchModel, "_wait", killed)
        with pytest.raises(KeyboardInterrupt):
            model.generate(requests(3))
    again = OpenAIBatchModel(f"m@{server.url}", poll_s=0.01)
    assert [reply.error for reply in again.generate(requests(3))] == [None] * 3
    assert len(server.batches) == 1
    again.generate(requests(3))  # its replies were read: another batch
    assert len(server.batches) == 2


@pytest.mark.parametrize(("asked_after", "n_batches"), [(503, 1), (404, 2)])
def test_a_batch_that_cannot_be_asked_after_is_not_paid_for_again(
    server: StandInBatchServer, model: OpenAIBatchModel, asked_after: int, n_batches: int
) -> None:
    """Unless the server does not know it."""
    server.asked_after = asked_after
    assert model.generate(requests(1))[0].error == f"{model.uri}: GET batches: HTTP {asked_after}: not now"
    server.asked_after = 200
    assert model.generate(requests(1))[0].error is None
    assert len(server.batches) == n_batches


def test_a_batch_that_takes_too_long_is_waited_for_again(server: StandInBatchServer, model: OpenAIBatchModel) -> None:
    server.polls = 3
    hasty = OpenAIBatchModel(f"m@{server.url}", poll_s=0.01, wait_s=1e-6)
    assert "is in_progress after wait_s=1e-06 seconds; it is not lost" in str(hasty.generate(requests(1))[0].error)
    assert model.generate(requests(1))[0].error is None
    assert len(server.batches) == 1


def test_what_is_refused_is_left_out_and_what_fails_says_why(
    server: StandInBatchServer, model: OpenAIBatchModel
) -> None:
    def picky(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if "seed" in body:
            return 400, {"error": {"message": "Unsupported parameter: 'seed'", "param": "seed"}}
        if "1?" in body["messages"][-1]["content"]:
            return 500, {"error": {"message": "out of luck"}}
        return answered(body)

    server.answer = picky
    first, second = model.generate(requests(2))
    assert first.error is None
    assert second.error == f"{model.uri}: HTTP 500: out of luck"
    assert len(server.batches) == 2
    assert any("rejects seed" in note for note in model.notes)


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_batch_that_does_not_end_well_fails_its_requests(
    server: StandInBatchServer, model: OpenAIBatchModel, status: str
) -> None:
    server.status = status
    [reply] = model.generate(requests(1))
    assert reply.error == f"{model.uri}: batch batch-0 {status}: no such model"
    server.status = "completed"
    assert model.generate(requests(1))[0].error is None


def test_a_busy_server_is_asked_again_and_one_without_batches_is_named(
    server: StandInBatchServer, model: OpenAIBatchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.busy = 2
    assert model.generate(requests(1))[0].error is None
    monkeypatch.setattr(
        BatchHandler, "do_POST", lambda self: self.refuse(b'{"error": {"message": "no such path"}}', 404)
    )
    assert model.generate(requests(2))[0].error == f"{model.uri}: POST files: HTTP 404: no such path"
    monkeypatch.setattr(BatchHandler, "do_POST", lambda self: self.refuse(b"<html>", 200))
    assert "the server has no batch API: expected an object with 'id'" in str(model.generate(requests(3))[0].error)


def test_a_society_speaks_through_batches(server: StandInBatchServer, model: OpenAIBatchModel, tmp_path: Path) -> None:
    """As many batches as a conversation has steps, however many agents there are."""
    world = World("value_alignment", model=model, rater="lm", size=3, embedder="hashing", out=tmp_path / "run")
    frame = world.run(1).frame()
    world.close()
    assert frame["error"].isna().all()
    assert len(server.batches) <= 6


def test_settings_are_checked_and_list_prices_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="poll_s=0 must be more than 0"):
        OpenAIBatchModel("m@http://localhost:8000/v1", poll_s=0)
    pytest.importorskip("genai_prices")
    from sandbox.models.remote.openai import OpenAIModel

    monkeypatch.setenv("OPENAI_API_KEY", "none-of-your-business")
    full, half = OpenAIModel("gpt-4o-mini").prices, OpenAIBatchModel("gpt-4o-mini").prices
    assert full is not None
    assert half == tuple(price / 2 for price in full)
    assert OpenAIBatchModel("gpt-4o-mini", price_prompt=1.0).prices == (1.0, 0.0, 1.0)
