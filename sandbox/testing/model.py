"""Checks the contract of language models with a few requests."""

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
_ORDER = "return replies in the order of the requests; let each reply depend only on its own request"


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
    """Check the contract of a language model.

    * It has a ``uri``, a ``fingerprint`` of its weights or content, and a ``default_rater`` that is installed.
    * ``generate`` returns one reply per request, in order, and an empty list for no requests.
    * Replies have at most ``max_tokens`` tokens and contain neither ``prefix`` nor ``stop``; with ``choices`` the text is
      one of them, and probabilities, if given, sum to 1.
    * A request that cannot be answered gives ``Reply.error``; the others in the same call are answered.
    * The same request gives the same reply: repeated, alone, and in any order.

    Args:
        model: A URI, for example ``my_model:rest``, or a language model.
        requests: Requests to send; default: some of each kind. Needed for models that answer only known requests.
        same: Whether the same request gives the same reply; False for servers that do not guarantee it.
        stops: Whether replies end at ``Request.stop``.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("language model", model)
    with promises.work(
        "it is created from the text after its name",
        "let __init__ take that text as its first argument, which may be ''",
    ):
        model = load_model(model)
    _check_names(promises, model)
    asked = list(requests) if requests is not None else _asked()
    with promises.work("generate answers a list of requests", "do not raise for a request: return Reply(error=...)"):
        nothing, replies = model.generate([]), model.generate(asked)
    promises.hold(
        list(nothing) == [] and len(replies) == len(asked),
        "it returns one reply per request",
        f"{len(nothing)} replies to no request, {len(replies)} to {len(asked)}",
        "return as many replies as there are requests",
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
            f"it has a {name}, which manifests record",
            f"{name} is {value!r}",
            f"set self.{name} to a text in __init__",
        )
    raters = [p.name for p in registry.plugins("raters")]
    promises.hold(
        model.default_rater.partition(":")[0] in raters,
        "its default_rater is installed",
        f"default_rater is {model.default_rater!r}",
        f"use one of {', '.join(raters)}: lm if it judges well, else values",
    )
    remote = getattr(model, "agenerate", None)
    promises.hold(
        remote is None or inspect.iscoroutinefunction(remote),
        "agenerate, if defined, is a coroutine function",
        f"agenerate is {remote!r}",
        "write it as async def agenerate(self, request), or omit it: local models are called in batches",
    )


def _check_reply(promises: Promises, request: Request, reply: Reply) -> None:
    def hold(kept: object, promise: str, fix: str) -> None:
        promises.hold(kept, promise, f"{reply} to {request}", fix)

    hold(isinstance(reply, Reply), "it returns replies", "return sandbox.models.base.Reply objects")
    hold(reply.error is None, "it answers a plain request", "fix the cause of the error")
    hold(
        reply.finish_reason in _REASONS,
        f"finish_reason is one of {', '.join(_REASONS)}",
        "use 'length' if max_tokens ended the reply, so that it is recognised as truncated",
    )
    hold(reply.text == reply.text.strip(), "text has no surrounding white space", "strip it")
    hold(
        0 <= reply.completion_tokens <= request.max_tokens and reply.prompt_tokens >= 0,
        "it counts tokens and writes at most max_tokens",
        "pass max_tokens on, and count prompt and completion tokens",
    )
    hold(
        not request.prefix or not reply.text.startswith(request.prefix),
        "the text does not contain prefix",
        "remove the prefix from the reply",
    )
    if not request.choices:
        return
    hold(reply.text in request.choices, "the reply is one of the choices", "return one of them, or Reply.error")
    if reply.choice_probs is not None:
        hold(
            set(reply.choice_probs) == set(request.choices)
            and all(p >= 0 for p in reply.choice_probs.values())
            and math.isclose(sum(reply.choice_probs.values()), 1, abs_tol=1e-3),
            "choice_probs has every choice and sums to 1",
            "normalise over the choices; use None if there are none",
        )


def _check_same(promises: Promises, model: Any, asked: list[Request], replies: list[Reply]) -> None:
    turned = model.generate(asked[::-1])[::-1]
    alone = [model.generate([request])[0] for request in asked]
    for how, other in (("in another order", turned), ("alone", alone)):
        differ = [(r, a, b) for r, a, b in zip(asked, replies, other, strict=True) if a.text != b.text]
        if differ:
            request, first, second = differ[0]
            raise promises.broken(
                "the same request gives the same reply in any batch",
                f"{first.text!r}, then {second.text!r} when sent {how}, to {request}",
                f"{_ORDER}; sample from Request.seed only. For a server that does not guarantee this: same=False",
            )


def _check_bad_request(promises: Promises, model: Any, good: Request) -> None:
    endless = replace(good, messages=(Message("user", "word " * 20_000),))
    with promises.work("it never raises for a single request", "catch errors of a request: Reply(error=...)"):
        *_, bad, fine = model.generate([endless, good])
    promises.hold(
        fine.error is None,
        "a request that cannot be answered does not affect the others",
        f"error {fine.error!r} for a plain request beside one of 20,000 words",
        "return Reply.error for that request only",
    )
    promises.hold(
        bad.error is None or not bad.text,
        "a reply with an error has no text",
        f"{bad}",
        "leave text empty if there is an error",
    )


def _check_stop(promises: Promises, model: Any) -> None:
    # Greedy decoding repeats the reply up to the stop string, which is taken from it.
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
        "cut the reply at the first stop string; for a model that cannot, use stops=False",
    )
