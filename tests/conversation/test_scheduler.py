"""The scheduler: one batch for all that wait, and results that depend on nothing but the conversations."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from echo import Echo, Lengths, Log, RemoteEcho, ask, run, say
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.conversation.scheduler import Scheduler, run_conversations
from sandbox.conversation.steps import CallFailed, Embed, Rate
from sandbox.errors import ProtocolError, ReplayMiss
from sandbox.models.base import Reply, Request
from sandbox.raters.lm import LMRater
from sandbox.records import Rating
from sandbox.scenario.rubric import Dimension
from sandbox.society.observer import DimensionScorer


def test_all_that_wait_are_asked_in_one_batch() -> None:
    """Five kinds of waiting: a call, two in a list, one in a nested generator, one behind a rating: 5 calls, 1 batch.

    The rating is asked of the same model through the built-in rater, so it waits in the same queue.
    """
    model = Echo()
    judge = DimensionScorer(Dimension("alignment", "how kind it is"), 7, model, "rate {question} {answer}")

    def pair() -> Generator[Any, Any, list[str]]:
        replies = yield [ask(model, "b"), ask(model, "c")]
        return [r.text for r in replies]

    def nested() -> Generator[Any, Any, list[str]]:
        return (yield say(model, "d"))

    def rated() -> Generator[Any, Any, Rating]:
        return (yield Rate(LMRater(), judge, "q", "e"))

    results = run([say(model, "a"), pair(), nested(), rated()])
    assert [r[1] for r in results[:3]] == [["<a>"], ["<b>", "<c>"], ["<d>"]]
    assert results[3][1].value == 4.0
    assert [sorted(batch) for batch in model.batches] == [["a", "b", "c", "d", "rate q e"]]


def test_what_is_cheap_is_done_first_so_that_batches_grow() -> None:
    """One conversation embeds before it asks, one asks at once: the embedding comes first, then one batch of both."""
    model, embedder = Echo(), Lengths()

    def embeds() -> Generator[Any, Any, str]:
        vector = yield Embed(embedder, "four")
        return (yield ask(model, f"{vector[0]:.0f}")).text

    results = run([embeds(), say(model, "now")])
    assert [r[1] for r in results] == ["<4>", ["<now>"]]
    assert embedder.batches == [["four"]]
    assert model.batches == [["now", "4"]]


def test_conversations_of_unequal_length_share_every_wave() -> None:
    """Lengths 1, 2, 3 make waves of 3, 2 and 1 calls: as many batches as the longest has turns."""
    model = Echo()
    results = run([say(model, "a"), say(model, "b", "c"), say(model, "d", "e", "f")])
    assert [r[1] for r in results] == [["<a>"], ["<b>", "<c>"], ["<d>", "<e>", "<f>"]]
    assert [len(b) for b in model.batches] == [3, 2, 1]


def test_a_rater_without_steps_gets_all_its_answers_at_once() -> None:
    class Stars:
        name = "stars"
        batches: list[list[tuple[str, str]]] = []  # noqa: RUF012

        def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
            self.batches.append(list(items))
            return [Rating(float(len(answer))) for _, answer in items]

    stars, somebody = Stars(), object()

    def rated(answer: str) -> Generator[Any, Any, float | None]:
        return (yield Rate(stars, somebody, "q", answer)).value

    assert [r[1] for r in run([rated("a"), rated("bb"), rated("ccc")])] == [1.0, 2.0, 3.0]
    assert stars.batches == [[("q", "a"), ("q", "bb"), ("q", "ccc")]]


# A conversation as data: a text is a call (which fails if it begins with "fail"), None is nothing, an int an
# embedding; ("all", ...) is a list and ("then", ...) a generator of its parts in turn.
LEAVES = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["a", "bb", "fail 1", "fail 2"]))
TREES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda p: ("all", p)), st.lists(parts, max_size=3).map(lambda p: ("then", p))
    ),
    max_leaves=8,
)


def talk(tree: Any, models: Sequence[Any], embedder: Any) -> Generator[Any, Any, Any]:
    """The conversation that a tree describes."""
    kind, parts = tree
    if kind == "all":
        return (yield [waiting(part, models, embedder) for part in parts])
    results = []
    for part in parts:
        results.append((yield waiting(part, models, embedder)))
    return results


def waiting(tree: Any, models: Sequence[Any], embedder: Any) -> Any:
    if isinstance(tree, tuple):
        return talk(tree, models, embedder)
    if isinstance(tree, str):
        return ask(models[len(tree) % len(models)], tree)
    return tree if tree is None else Embed(embedder, "x" * tree)


def plain(value: Any) -> Any:
    """A result in plain types."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, Reply):
        return value.text
    return float(value[0]) if isinstance(value, np.ndarray) else value


def by_hand(tree: Any) -> Any:
    """What a tree's conversation returns, worked out without a scheduler; the first failing part's error is raised."""
    if isinstance(tree, tuple):
        return [by_hand(part) for part in tree[1]]
    if isinstance(tree, str):
        if tree.startswith("fail"):
            raise CallFailed(f"no {tree}")
        return f"<{tree}>"
    return tree if tree is None else float(tree)


def outcomes(results: Sequence[tuple[Any, Any, Any]]) -> list[Any]:
    return [(key, plain(value) if failure is None else repr(failure)) for key, value, failure in results]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(TREES, max_size=3).map(lambda p: ("then", p)), max_size=9))
def test_results_do_not_depend_on_how_many_are_in_flight(trees: list[Any]) -> None:
    """Any conversations, over two models: 1, 7 or 1000 at once give what working each out by itself gives, in order.

    ``by_hand`` walks a tree from left to right, so of several failures in a list the first in order is raised,
    whichever was known first.
    """
    expected = []
    for key, tree in enumerate(trees):
        try:
            expected.append((key, by_hand(tree)))
        except CallFailed as failure:
            expected.append((key, repr(failure)))
    for in_flight in (1, 7, 1000):
        models, embedder = (Echo(), Echo()), Lengths()
        found = run([talk(tree, models, embedder) for tree in trees], in_flight)
        assert outcomes(found) == expected


def test_replies_that_arrive_in_another_order_change_nothing() -> None:
    """Remote replies come in reverse; of two failures in one list the first in the list is raised all the same."""
    model = RemoteEcho()

    def both_fail() -> Generator[Any, Any, Any]:
        return (yield [ask(model, "fail early"), ask(model, "fail late")])

    scheduler = Scheduler(in_flight=1000)
    given_ = [(0, say(model, "a", "b")), (1, both_fail()), (2, say(model, "c"))]
    assert outcomes(list(scheduler.run(given_))) == [
        (0, ["<a>", "<b>"]),
        (1, "CallFailed('no fail early')"),
        (2, ["<c>"]),
    ]
    scheduler.close()


def test_empty_lists_and_nothing_come_back_at_once() -> None:
    def talk_() -> Generator[Any, Any, Any]:
        nothing = yield None
        empty = yield []
        mixed = yield [None, say(Echo())]
        return nothing, empty, mixed

    assert run([talk_()]) == [(0, (None, [], [None, []]), None)]


def test_ten_thousand_turns_and_a_thousand_nested_generators_need_no_deep_stack() -> None:
    def patient() -> Generator[Any, Any, int]:
        for _ in range(10_000):
            yield None
        return 1

    def russian(depth: int) -> Generator[Any, Any, int]:
        if not depth:
            return 0
        return 1 + (yield russian(depth - 1))

    assert [r[1] for r in run([patient(), russian(1000)])] == [1, 1000]


def test_a_failed_call_is_raised_only_in_the_conversation_that_made_it() -> None:
    """Of three conversations in one batch the middle call fails; only who made it hears of it."""
    model = Echo()

    def careful() -> Generator[Any, Any, str]:
        try:
            yield ask(model, "fail softly")
        except CallFailed as failure:
            return f"caught: {failure}"
        return "not raised"

    results = run([say(model, "a"), say(model, "fail hard", "never said"), careful()])
    assert results[0] == (0, ["<a>"], None)
    assert results[1][1] is None
    assert isinstance(results[1][2], CallFailed)
    assert str(results[1][2]) == "no fail hard"
    assert results[2] == (2, "caught: no fail softly", None)
    assert model.batches == [["a", "fail hard", "fail softly"]]


def test_the_siblings_of_a_failed_call_are_worked_off_before_it_is_raised() -> None:
    """Their replies are paid for and must reach the log: two waves are made, then the failure is raised."""
    model, log = Echo(), Log()

    def talk_() -> Generator[Any, Any, Any]:
        return (yield [ask(model, "fail"), say(model, "b", "c")])

    [(_, value, failure)] = run([talk_()], log=log)
    assert value is None
    assert isinstance(failure, CallFailed)
    assert model.batches == [["fail", "b"], ["c"]]
    assert log.recorded == ["fail", "b", "c"]


def test_a_fault_in_one_conversation_leaves_the_others() -> None:
    model = Echo()

    def faulty() -> Generator[Any, Any, Any]:
        yield ask(model, "a")
        raise KeyError("mine")

    def outer() -> Generator[Any, Any, Any]:
        return (yield faulty())

    results = run([faulty(), say(model, "b", "c"), outer()])
    assert [type(r[2]) for r in results] == [KeyError, type(None), KeyError]
    assert results[1][1] == ["<b>", "<c>"]


@pytest.mark.parametrize("in_flight", [1, 3, 8])
def test_no_more_than_in_flight_generators_are_alive(in_flight: int) -> None:
    """40 conversations of three turns each; each counts itself when it begins and when it ends."""
    model = Echo()
    alive, most = 0, 0

    def counted(i: int) -> Generator[Any, Any, list[str]]:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        try:
            return (yield say(model, f"{i}.1", f"{i}.2", f"{i}.3"))
        finally:
            alive -= 1

    results = run([counted(i) for i in range(40)], in_flight)
    assert [r[0] for r in results] == list(range(40))
    assert most == in_flight
    assert max(len(b) for b in model.batches) == in_flight


def test_a_slow_conversation_does_not_let_the_finished_pile_up() -> None:
    """The first of 200 takes 100 turns, the others one: with 5 in flight at most 4 * 5 are begun before it is done."""
    model = Echo()
    begun = 0
    begun_when_first_ended = -1

    def slow() -> Generator[Any, Any, str]:
        nonlocal begun_when_first_ended
        for turn in range(100):
            yield ask(model, f"slow {turn}")
        begun_when_first_ended = begun
        return "slow"

    def source() -> Iterator[tuple[int, Any]]:
        nonlocal begun
        yield 0, slow()
        for i in range(1, 200):
            begun += 1
            yield i, say(model, f"{i}")

    results = list(Scheduler(in_flight=5).run(source()))
    assert [r[0] for r in results] == list(range(200))
    assert begun_when_first_ended == 19


@pytest.mark.parametrize(("wrong", "kind"), [("a text", "str"), (7, "int"), ({}, "dict"), (Reply("x"), "Reply")])
def test_what_a_protocol_may_not_yield_is_named_by_its_type(wrong: Any, kind: str) -> None:
    def alone() -> Generator[Any, Any, Any]:
        yield wrong

    def in_a_list() -> Generator[Any, Any, Any]:
        yield [None, wrong]

    words = (
        f"a protocol yielded a {kind}; it may yield what agents and observers return "
        "(for example agent.answer(question)), generators, lists of these, or None"
    )
    for _, _, failure in run([alone(), in_a_list()]):
        assert isinstance(failure, ProtocolError)
        assert str(failure) == words


def test_a_remote_model_that_raises_fails_that_call_alone() -> None:
    class Flaky(RemoteEcho):
        async def agenerate(self, request: Request) -> Reply:
            if request.messages[-1].content == "b":
                raise TimeoutError("no answer in 60 s")
            return self.reply(request)

    model = Flaky()
    scheduler = Scheduler(in_flight=4)
    first, second = scheduler.run([(0, say(model, "a")), (1, say(model, "b"))])
    scheduler.close()
    assert first == (0, ["<a>"], None)
    assert isinstance(second[2], CallFailed)
    assert str(second[2]) == "TimeoutError: no answer in 60 s"


def test_what_the_user_must_mend_stops_the_run() -> None:
    """A replayed record without the request is no failed call: it is raised to whoever runs the scheduler."""

    class Empty(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Reply]:
            raise ReplayMiss("nothing is kept")

    with pytest.raises(ReplayMiss, match="nothing is kept"):
        run([say(Empty(), "a")])


def test_drive_returns_results_in_order_and_raises_the_first_failure() -> None:
    model = Echo()
    assert run_conversations([say(model, "a"), say(model, "b", "c")]) == [["<a>"], ["<b>", "<c>"]]
    assert run_conversations([]) == []
    with pytest.raises(CallFailed, match="^no fail b$"):
        run_conversations([say(model, "a"), say(model, "z", "fail b"), say(model, "fail c")])


@pytest.mark.parametrize("model", [Echo(), RemoteEcho()])
def test_equal_requests_that_wait_are_made_once(model: Any) -> None:
    results = run([say(model, "same"), say(model, "other"), say(model, "same")])
    assert [r[1] for r in results] == [["<same>"], ["<other>"], ["<same>"]]
    log = Log()
    scheduler = Scheduler(in_flight=3, log=log)
    list(scheduler.run((i, say(model, text)) for i, text in enumerate(["x", "x", "y"])))
    scheduler.close()
    assert sorted(log.recorded) == ["x", "y"]
