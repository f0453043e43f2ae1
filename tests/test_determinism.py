"""The same bytes, whatever is in flight, batched or one by one, in one process or several."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.seeding import keyed_rng, keyed_seed
from sandbox.store.run import open_run
from sandbox.world import World

MakeWorld = Callable[..., World]


class AsyncScripted(ScriptedModel):
    """The scripted model as a remote one: every call by itself, answered in an order that its seed shuffles."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._draw = keyed_rng(seed)
        self.batches = 0

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        raise AssertionError("a model that can be called one by one must be")

    async def agenerate(self, request: Request) -> Reply:
        self.batches += 1
        await asyncio.sleep(self._draw.random() * 0.002)
        return self._reply(request)


def as_bytes(path: Path) -> bytes:
    """The whole record: conversations, feedback, calls, memories, measures, places."""
    run = open_run(path)
    told = [i.as_dict() for i in run.interactions()]
    calls = sorted(run._db.execute("SELECT key, request, reply FROM calls"))
    minds = [run.memories(agent) for agent in run.agents()["agent"]]
    places = [run.positions(r).to_dict("list") for r in range(run.rounds + 1)]
    return json.dumps([told, calls, minds, places, run.metrics()], ensure_ascii=False, sort_keys=True).encode()


SETTINGS: list[dict[str, Any]] = [
    {"rater": "lm"},
    {"rater": "values", "prior_memories": 4, "size": 2, "reviewers": 2},
    {"audience": "local_global", "reviewers": 3, "score_only": True},
    {"neighborhood": "small_world", "population": "mixed_half_half", "reviewers": 2},
    {"agents": 7, "movement": 0.5, "active": 0.5, "audience": "global", "reviewers": 2},
]


@pytest.mark.parametrize("given_", SETTINGS)
def test_every_way_of_running_gives_the_same_bytes(
    tiny_world: MakeWorld, tmp_path: Path, given_: dict[str, Any]
) -> None:
    """1, 7 and 1000 in flight; in batches and one by one; in one go and resumed after every round."""
    tiny_world(out=tmp_path / "first", in_flight=1, **given_).run(3)
    expected = as_bytes(tmp_path / "first")
    for n in (7, 1000):
        tiny_world(out=tmp_path / f"{n}", in_flight=n, **given_).run(3)
        assert as_bytes(tmp_path / f"{n}") == expected
    for n in (1, 7, 1000):
        model = AsyncScripted(n)
        tiny_world(model=model, out=tmp_path / f"async {n}", in_flight=n, **given_).run(3)
        assert model.batches > 0
        assert as_bytes(tmp_path / f"async {n}") == expected
    for rounds, model in ((1, ScriptedModel()), (2, AsyncScripted(9)), (3, ScriptedModel())):
        world = tiny_world(model=model, out=tmp_path / "parts", in_flight=rounds, resume=True, **given_)
        world.run(rounds)
        world.close()
    assert as_bytes(tmp_path / "parts") == expected


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from(SETTINGS), st.booleans())
def test_any_number_in_flight_and_any_order_of_replies(
    tiny_world: MakeWorld,
    tmp_path_factory: pytest.TempPathFactory,
    n: int,
    seed: int,
    given_: dict[str, Any],
    late: bool,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    tiny_world(out=folder / "a", in_flight=1, seed=seed, **given_).run(1)
    model = AsyncScripted(seed) if late else ScriptedModel()
    tiny_world(model=model, out=folder / "b", in_flight=n, seed=seed, **given_).run(1)
    assert as_bytes(folder / "a") == as_bytes(folder / "b")


def test_a_stream_belongs_to_its_key_alone() -> None:
    """The numbers of the streams are part of every record: a change of the hash would change all runs.

    blake2b of "0\\x1f0\\x1f0\\x1fanswer 0" with 8 bytes, read big-endian, halved.
    """
    assert keyed_rng(0, 1, 2, "answer").random() == keyed_rng(0, 1, 2, "answer").random()
    keys = [(s, r, a, p) for s in range(3) for r in range(3) for a in range(3) for p in ("answer", "audience")]
    assert len({keyed_seed(*key) for key in keys}) == len(keys)
    assert keyed_seed(1, 11, "a") != keyed_seed(11, 1, "a")
    assert all(0 <= keyed_seed(*key) < 2**63 for key in keys)
    import hashlib

    digest = hashlib.blake2b(b"0\x1f0\x1f0\x1fanswer 0", digest_size=8).digest()
    assert keyed_seed(0, 0, 0, "answer 0") == int.from_bytes(digest, "big") // 2
