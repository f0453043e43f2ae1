"""What a language model promises, put to the test with a few requests."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sandbox import registry
from sandbox.models.base import Message, Reply, Request
from sandbox.models.catalog import load_model
from sandbox.testing.contract import Promises, called

_REASONS = ("stop", "length", "error")
_ORDER = "collect replies by the place of their request; let nothing but the request decide the reply"


def _asked() -> list[Request]:
    user = (Message("user", "How do I get on with my neighbour?"),)
    system = (Message("system", "You are Agent 3."), Message("user", "May I read a letter that is not mine?"))
    talk = (*user, Message("assistant", "Talk to them."), Message("user", "我应该说实话吗？ ¿Y si no?"))
    choices = tuple(str(n) for n in range(1, 8))
    return [
        Request(user, max_tokens=8, seed=1),
        Request(system, max_tokens=5, seed=2, temperature=0.0),
        Request(talk, max_tokens=8, seed=3, top_p=0.9),
        Request(user, max_tokens=8, seed=4, prefix="I find"),
        Request(user, max_tokens=8, temperature=0.0, prefix="Rating:", choices=choices),
        Request(system, max_tokens=8, choices=("yes", "no")),
    ]


def check_model(
    model: Any, *, requests: Sequence[Request] | None = None, same: bool = True, stops: bool = True
) -> None:
    """Check that a language model does what language models promise.

    * It has a ``uri``, a ``fingerprint`` of what speaks, and a ``default_rater`` that is installed.
    * ``generate`` gives one reply for each request, in order, and none for none.
    * ``max_tokens`` is kept, ``prefix`` and ``stop`` are no part of the text, and one of the ``choices`` is given, with
      probabilities that sum to 1 where there are any.
    * A request that cannot be answered gives ``Reply.error``; the others in the same call are answered.
    * The same request gives the same reply: again, alone, and in another order.

    Args:
        model: A URI, as ``my_model:rest``, or a language model.
        requests: What to ask; by default a few of every sort. Give some where a model knows only its own.
        same: Whether the same request gives the same reply; False for a server that cannot promise it.
        stops: Whether it ends replies at ``Request.stop``.

    Raises:
        BrokenPromise: says which promise, what was found, and how to mend it.
    """
    promises = called("language model", model)
    with promises.work("it is made from the text behind its name", "let its __init__ take that text first, and '' too"):
        model = load_model(model)
    _check_names(promises, model)
    asked = list(requests) if requests is not None else _asked()
    with promises.work("generate answers a list of requests", "never raise for a request: give Reply(error=...)"):
        nothing, replies = model.generate([]), model.generate(asked)
    promises.hold(
        list(nothing) == [] and len(replies) == len(asked),
        "it gives one reply for each request",
        f"{len(nothing)} replies to no request, {len(replies)} to {len(asked)}",
        "give as many replies as there are requests",
    )
    for request, reply in zip(asked, replies, strict=True):
        _check_reply(promises, request, reply)
    if same:
        _check_same(promises, model, asked, replies)
    if requests is None:
        _check_bad_request(promises, model, asked[0])
        if stops:
            _check_stop(promises, model)


def _check_names(promises: Promises, model: Any) -> None:
    for name in ("uri", "fingerprint", "default_rater"):
        value = getattr(model, name, None)
        promises.hold(
            isinstance(value, str) and value,
            f"it has a {name}, which manifests keep",
            f"{name} is {value!r}",
            f"set self.{name} to a text in __init__",
        )
    raters = [p.name for p in registry.plugins("raters")]
    promises.hold(
        model.default_rater.partition(":")[0] in raters,
        "its default_rater is installed",
        f"default_rater is {model.default_rater!r}",
        f"use one of {', '.join(raters)}: lm where it can judge, else values",
    )
    remote = getattr(model, "agenerate", None)
    promises.hold(
        remote is None or inspect.iscoroutinefunction(remote),
        "agenerate, where it has one, is a coroutine function",
        f"agenerate is {remote!r}",
        "write it as async def agenerate(self, request), or leave it out: local models are asked in batches",
    )


def _check_reply(promises: Promises, request: Request, reply: Reply) -> None:
    def hold(kept: object, promise: str, mend: str) -> None:
        promises.hold(kept, promise, f"{reply} to {request}", mend)

    hold(isinstance(reply, Reply), "it gives replies", "return sandbox.models.base.Reply objects")
    hold(reply.error is None, "it answers a plain request", "mend what the error says")
    hold(
        reply.finish_reason in _REASONS,
        f"finish_reason is one of {', '.join(_REASONS)}",
        "give 'length' where max_tokens ended the reply, so that half a sentence is not taken for a whole one",
    )
    hold(reply.text == reply.text.strip(), "text has no white space around it", "strip it")
    hold(
        0 <= reply.completion_tokens <= request.max_tokens and reply.prompt_tokens >= 0,
        "it counts tokens and writes no more than max_tokens",
        "pass max_tokens on, and count what was read and written",
    )
    hold(
        not request.prefix or not reply.text.startswith(request.prefix),
        "prefix is no part of the text",
        "cut the prefix off the reply",
    )
    if not request.choices:
        return
    hold(reply.text in request.choices, "the reply is one of the choices", "give one of them, or Reply.error")
    if reply.choice_probs is not None:
        hold(
            set(reply.choice_probs) == set(request.choices)
            and all(p >= 0 for p in reply.choice_probs.values())
            and math.isclose(sum(reply.choice_probs.values()), 1, abs_tol=1e-3),
            "choice_probs hold every choice, and sum to 1",
            "divide by the sum over the choices; give None where there are none",
        )


def _check_same(promises: Promises, model: Any, asked: list[Request], replies: list[Reply]) -> None:
    turned = model.generate(asked[::-1])[::-1]
    alone = [model.generate([request])[0] for request in asked]
    for how, other in (("in another order", turned), ("alone", alone)):
        differ = [(r, a, b) for r, a, b in zip(asked, replies, other, strict=True) if a.text != b.text]
        if differ:
            request, first, second = differ[0]
            raise promises.broken(
                "the same request gives the same reply, whatever is asked with it",
                f"{first.text!r}, then {second.text!r} when asked {how}, to {request}",
                f"{_ORDER}; draw from Request.seed alone. With a server that cannot promise it: same=False",
            )


def _check_bad_request(promises: Promises, model: Any, good: Request) -> None:
    endless = replace(good, messages=(Message("user", "word " * 20_000),))
    with promises.work("it never raises for one request", "catch what goes wrong with a request: Reply(error=...)"):
        *_, bad, fine = model.generate([endless, good])
    promises.hold(
        fine.error is None,
        "a request that cannot be answered leaves the others alone",
        f"error {fine.error!r} for a plain request beside one of 20,000 words",
        "give Reply.error to that request alone",
    )
    promises.hold(
        bad.error is None or not bad.text,
        "a reply with an error has no text that could be taken for an answer",
        f"{bad}",
        "leave text empty where there is an error",
    )


def _check_stop(promises: Promises, model: Any) -> None:
    # The likeliest reply is the same until it stops, so what it must stop at is known.
    plain = Request((Message("user", "How do I get on with my neighbour?"),), max_tokens=16, temperature=0.0)
    (reply,) = model.generate([plain])
    if len(reply.text) < 3:
        return
    stop = reply.text[len(reply.text) // 2]
    (stopped,) = model.generate([replace(plain, stop=(stop,))])
    promises.hold(
        stop not in stopped.text and stopped.error is None,
        "a reply ends before a stop string",
        f"{stopped} to a request with stop {stop!r}",
        "cut the reply at the first stop string; for a model that cannot, check with stops=False",
    )
