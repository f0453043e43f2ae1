"""Copies of a model in processes of their own: the same replies as of one, whatever dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import open_run
from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.models.replicas.replicas import Replicas

SCRIPT = Path(__file__).parent / "dying_replies.py"


def ask(text: str, **fields: Any) -> Request:
    return Request((Message("user", text),), **fields)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Replicas]]:
    """Makes copies, and ends them with the test."""
    monkeypatch.setenv("DYING_REPLIES", str(tmp_path))
    made = []

    def make(uri: str, n: int, **settings: Any) -> Replicas:
        made.append(Replicas(uri, n, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_copies_reply_as_one_does_in_the_order_of_requests(copies: Callable[..., Replicas]) -> None:
    requests = [ask(f"q{n}", seed=n) for n in range(100)]
    one = load_model("scripted:")
    several = copies("scripted:", 2)
    assert several.generate(requests) == one.generate(requests)
    assert several.generate([]) == []
    assert (several.uri, several.fingerprint, several.default_rater) == (one.uri, one.fingerprint, one.default_rater)


def test_all_copies_work(copies: Callable[..., Replicas], tmp_path: Path) -> None:
    """Each leaves a file named by its process."""
    several = copies(f"scripted:{SCRIPT}:slow", 2)
    while len(several._starting):  # the second joins when it is ready
        several.generate([ask("wake up")])
    for path in tmp_path.iterdir():
        path.unlink()
    several.generate([ask(f"q{n}") for n in range(16)])
    assert len(list(tmp_path.iterdir())) == 2


def test_a_copy_that_dies_is_started_anew_and_its_requests_done_again(copies: Callable[..., Replicas]) -> None:
    said = ["one", "two", "die once", "three", *(f"q{n}" for n in range(60))]
    replies = copies(f"scripted:{SCRIPT}", 2).generate([ask(text) for text in said])
    assert [r.text for r in replies] == [f"{text}!" for text in said]
    assert not any(r.error for r in replies)


def test_a_request_that_kills_every_copy_fails_alone(copies: Callable[..., Replicas]) -> None:
    said = ["one", "die", "two"]
    replies = copies(f"scripted:{SCRIPT}", 1).generate([ask(text) for text in said])
    assert [r.text for r in replies] == ["one!", "", "two!"]
    assert "copies died on this request" in str(replies[1].error)


def test_what_a_model_raises_is_an_error_of_its_requests(copies: Callable[..., Replicas]) -> None:
    several = copies(f"scripted:{SCRIPT}", 1)
    [reply] = several.generate([ask("raise")])
    assert str(reply.error).endswith("ValueError: no words for it")
    assert several.generate([ask("hello")])[0].text == "hello!"


def test_what_cannot_be_copied_is_refused_at_once() -> None:
    with pytest.raises(ModelNotFound, match="script 'nowhere.jsonl' does not exist"):
        Replicas("scripted:nowhere.jsonl", 2)
    with pytest.raises(SettingsError, match="remote, and replicas are copies of local models"):
        Replicas("openai:x@http://127.0.0.1:1/v1", 2)
    with pytest.raises(SettingsError, match="engine='rai' is not one of processes, ray. Did you mean 'ray'"):
        Replicas("scripted:", 2, engine="rai")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="replicas=0 must be at least 1"):
        Replicas("scripted:", 0)
    with pytest.raises(SettingsError, match="gpus are assigned by Ray"):
        Replicas("scripted:", 1, gpus=1)


def test_a_society_of_copies_leaves_the_record_of_one(tiny_world: Callable[..., Any], tmp_path: Path) -> None:
    tiny_world(out=tmp_path / "one").run(2)
    several = tiny_world(out=tmp_path / "two", replicas=2, engine="processes")
    assert isinstance(several.lm, Replicas)
    assert several.observer_lm is several.lm
    several.run(2)
    one, two = (open_run(tmp_path / name) for name in ("one", "two"))
    assert one.interactions() == two.interactions()
    assert one.manifest["models"] == two.manifest["models"]


def test_settings_of_models_reach_the_copies(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world(replicas=1, engine="processes", **{"model.faults": "1"})
    [reply] = world.lm.generate([ask("hello")])
    assert "a simulated fault" in str(reply.error)
    assert world.store.manifest["model_settings"] == {"model.faults": "1"}


@pytest.mark.slow
def test_copies_of_a_real_model_give_its_own_replies_though_one_is_killed(
    copies: Callable[..., Replicas], tiny_lm_path: Path
) -> None:
    requests = [ask(f"What do you think of number {n}?", seed=n, max_tokens=24) for n in range(96)]
    uri = f"hf:{tiny_lm_path}"
    expected = load_model(uri).generate(requests)
    several = copies(uri, 2, cpus=1)
    assert several.generate(requests) == expected
    [process] = next(iter(several._copies.values()))._pool._processes.values()  # type: ignore[attr-defined]
    threading.Timer(0.1, os.kill, (process.pid, signal.SIGKILL)).start()
    assert several.generate(requests) == expected


@pytest.mark.slow
def test_ray_actors_on_two_machines_one_of_which_is_killed(
    copies: Callable[..., Replicas], tiny_lm_path: Path, tmp_path: Path, tiny_world: Callable[..., Any]
) -> None:
    """A real cluster of two nodes of one core each; the second is taken away while a society speaks.

    Its actor's requests are done again by the other, and a third node gives the lost copy a new home. In float64, where
    portions of another size round to the same record.
    """
    ray = pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[ray]'")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    given = {"model": f"hf:{tiny_lm_path}", "model.dtype": "float64"}
    tiny_world(out=tmp_path / "one", **given).run(2)
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        second = cluster.add_node(**node)
        cluster.wait_for_nodes(timeout=120)
        world = tiny_world(out=tmp_path / "two", replicas=2, engine="ray", **given)
        waited = time.monotonic() + 120
        while world.lm._starting and time.monotonic() < waited:
            world.lm.generate([ask("wake up")])
        assert len(world.lm._free) == 2

        killed = []
        seen = world.lm.generate

        def generate(requests: Any) -> Any:
            if world.round == 1 and not killed:  # in the middle of the second round
                killed.append(threading.Timer(0.05, cluster.remove_node, (second,), {"allow_graceful": False}))
                killed[0].start()
            return seen(requests)

        world.lm.generate = generate
        world.run(2)
        killed[0].join()
        assert world.metrics["failed"] == 0
        cluster.add_node(**node)
        waited = time.monotonic() + 180
        while len(world.lm._free) < 2 and time.monotonic() < waited:
            seen([ask("are you there?")])
        assert len(world.lm._free) == 2
        world.close()
    finally:
        ray.shutdown()
        cluster.shutdown()
    one, two = (open_run(tmp_path / name) for name in ("one", "two"))
    assert one.interactions() == two.interactions()
