"""Checks the contracts of scenarios and protocols in tiny societies."""

from __future__ import annotations

import functools
import inspect
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.errors import SettingsError
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.records import Interaction
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.scenario import Scenario
from sandbox.store.run import open_run
from sandbox.testing.contract import Promises, called
from sandbox.typed_settings import check_settings, parameters
from sandbox.world import World

_DOWN = "the line is down"


def check_scenario(scenario: str | Scenario | Callable[..., Scenario], **settings: Any) -> None:
    """Check the contract of a scenario.

    * It can be created with its settings; unknown settings are refused.
    * Creating it twice gives equal scenarios, so that a resumed run has the same questions.
    * Its protocol is installed, and every label of its population has an upbringing, if any label has one.
    * The labelled examples of a dimension, if any, include good and bad answers.
    * A tiny society runs one round of it without a failure; its own measures return numbers and have docstrings.

    Args:
        scenario: Its name, ``module:object``, ``./file.py``, a scenario, or a function that returns one.
        **settings: Settings of the scenario.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("scenario", scenario.name if isinstance(scenario, Scenario) else scenario)
    make = _maker(promises, scenario)
    with promises.work(
        "it can be created", "fix the error in the message; put data files beside the module, in package-data"
    ):
        made, again = make(settings), make(settings)
    if not isinstance(scenario, Scenario):
        with promises.refuse(
            SettingsError, "an unknown setting is refused", "declare settings by name, without **kwargs"
        ):
            make({**settings, "no_such_setting": "1"})
    for name in (
        "questions",
        "heldout",
        "upbringing",
        "rubric",
        "population",
        "protocol_name",
        "roles",
        "options",
        "personas",
    ):
        promises.hold(
            _plain(getattr(made, name)) == _plain(getattr(again, name)),
            "creating it twice gives equal scenarios, so that a run can be resumed",
            f"{name} differ",
            "do not draw at random or iterate over sets; sort them",
        )
    installed = [p.name for p in registry.plugins("protocols")]
    promises.hold(
        not isinstance(made.protocol, str)
        or made.protocol in installed
        or ":" in made.protocol
        or made.protocol.endswith(".py"),
        "its protocol is installed",
        f"protocol {made.protocol!r}",
        f"use one of {', '.join(installed)}, or module:object",
    )
    for dimension in made.rubric.dimensions:
        kinds = {e.good for e in dimension.examples}
        promises.hold(
            len(kinds) != 1,
            "labelled examples include good and bad answers, so that values can be learned from them",
            f"all {len(dimension.examples)} examples of {dimension.name!r} are {'good' if True in kinds else 'bad'}",
            "add some of the other kind, or remove all",
        )
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        record = _live(promises, "a society of four runs one round of it", Path(folder) / "run", made, size=2)
        kept = open_run(Path(folder) / "run")
        unknown_measures = [name for name, words in kept.own_measures.items() if not words]
        promises.hold(
            not unknown_measures,
            "its own measures have docstrings",
            f"{', '.join(unknown_measures)} without a docstring",
            "give each function a docstring whose first line states its range: plots use it as title",
        )
        labels = set(kept.agents()["label"])
        unknown = sorted(labels - set(made.upbringing)) if made.upbringing else []
        promises.hold(
            not unknown,
            "every label has an upbringing",
            f"{', '.join(unknown)} in the population; upbringings are given for {', '.join(made.upbringing)}",
            "use the same labels in population and upbringing",
        )
    _check_whole(promises, record)


def _maker(promises: Promises, scenario: Any) -> Callable[[dict[str, Any]], Scenario]:
    """Return a function that creates the scenario anew with settings."""
    if isinstance(scenario, str | Scenario):
        return lambda settings: load_scenario(scenario, settings)

    def make(settings: dict[str, Any]) -> Scenario:
        check_settings(promises.who, settings, parameters(scenario))
        made: Scenario = scenario(**settings)
        promises.hold(
            isinstance(made, Scenario),
            "it is a Scenario, or a function that returns one",
            f"a {type(made).__name__}",
            "return sandbox.Scenario(...)",
        )
        return made

    return make


def _plain(value: Any) -> str:
    return repr(list(value.items()) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else value)


def check_protocol(protocol: str | Callable[..., Any]) -> None:
    """Check the contract of a protocol.

    * It is a generator function of (agent, question, world) that returns an ``Interaction`` of that agent and question.
    * The interaction can be stored as JSON and read back.
    * The record depends on the seed only, not on the number of concurrent conversations.
    * A run that was stopped and resumed has the same record as an uninterrupted one.
    * A failed call affects at most its own interaction, and its error is never recorded as an answer.

    Args:
        protocol: Its name, ``module:object``, ``./file.py``, or the function.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("protocol", protocol)
    with promises.work("it can be imported", "import it in Python and fix the error raised there"):
        talk = registry.load("protocols", protocol) if isinstance(protocol, str) else protocol
    promises.hold(
        inspect.isgeneratorfunction(talk),
        "it is a generator function of (agent, question, world)",
        f"{talk!r}",
        "yield each step: draft = yield agent.answer(question)",
    )
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        place = Path(folder)
        live = "a society of nine runs two rounds of it"
        returned: list[tuple[tuple[Any, ...], Any]] = []

        @functools.wraps(talk)
        def watched(agent: Any, question: str, world: World) -> Any:
            done = yield from talk(agent, question, world)
            returned.append(((world.round, agent.index, agent.label, question), done))
            return done

        record = _live(promises, live, place / "all", protocol=watched, rounds=2)
        _check_whole(promises, record)
        kept = {(it.round, it.agent): it for it in record}
        for about, done in returned:
            promises.hold(
                isinstance(done, Interaction) and (done.round, done.agent, done.label, done.question) == about,
                "it returns an Interaction of the agent and question it was given",
                f"{done}",
                "return world.interaction(agent, question, ...)",
            )
            found = kept[done.round, done.agent]
            promises.hold(
                found == replace(done, protocol=found.protocol),  # the world names a protocol that does not
                "an interaction can be stored as JSON and read back",
                f"extra {done.extra!r} became {found.extra!r}",
                "use only strings, numbers, lists and dictionaries with string keys in extra, and no tuples",
            )
        _check_repeats(promises, talk, record, place)
        _check_failures(promises, talk, place)


def _check_repeats(promises: Promises, talk: Any, record: list[Interaction], place: Path) -> None:
    live = "a society of nine runs two rounds of it"
    one_by_one = _live(promises, live, place / "one", protocol=talk, rounds=2, in_flight=1)
    promises.hold(
        one_by_one == record,
        "the record depends on the seed only, not on the number of concurrent conversations",
        _first_difference(record, one_by_one),
        "draw from sandbox.keyed_rng(world.seed, world.round, agent.index, purpose); keep no state outside the "
        "generator; use agent.answer(question, turn=1) for a second answer in a round",
    )
    calls = open_run(place / "one").manifest["tokens"]["calls"]
    _live(promises, live, place / "stopped", protocol=talk, rounds=2, max_calls=max(1, calls - 1))
    resumed = _live(promises, live, place / "stopped", protocol=talk, rounds=2, resume=True)
    promises.hold(
        resumed == record,
        "a run that was stopped and resumed has the same record",
        _first_difference(record, resumed),
        "let requests depend only on agent, question and world",
    )


def _check_failures(promises: Promises, talk: Any, place: Path) -> None:
    def shaky(request: Request) -> Reply:
        if int(request.key(), 16) % 4 == 0:
            return Reply("", finish_reason="error", error=_DOWN)
        return ScriptedModel().generate([request])[0]

    live = "a society continues when calls to its language model fail"
    record = _live(promises, live, place / "shaky", protocol=talk, rounds=2, model=ScriptedModel(replies=shaky))
    promises.hold(len(record) == 18, live, f"{len(record)} of 18 interactions were recorded", "do not end the world")
    for done in record:
        said = [done.draft, done.revision, *(f.rating.reason for f in done.feedback)]
        promises.hold(
            not any(text and _DOWN in text for text in said),
            "an error is never recorded as an answer",
            f"{done}",
            "let CallFailed pass through, or catch it and continue without that answer",
        )


def _live(
    promises: Promises, promise: str, out: Path, scenario: str | Scenario = "value_alignment", *,
    protocol: Any = None, rounds: int = 1, size: int = 3, model: Any = None, **settings: Any,
) -> list[Interaction]:  # fmt: skip
    """Run a tiny society and return its record."""
    with promises.work(promise, "run it with sandbox run --model scripted: and fix the error raised there"):
        talker = ScriptedModel() if model is None else model
        given = {"model": talker, "rater": "lm", "embedder": "hashing", "size": size, "out": out, **settings}
        world = World(scenario, protocol=protocol, **given)
        try:
            world.run(rounds=rounds)
        finally:
            world.close()
        return open_run(out).interactions()


def _check_whole(promises: Promises, record: list[Interaction]) -> None:
    for done in record:
        promises.hold(
            done.error is None and done.final is not None and done.final.strip(),
            "every conversation ends with an answer",
            f"{done.error or done}",
            "return world.interaction(agent, question, draft=draft.text, ...); yield only steps of agents and observers",
        )


def _first_difference(first: list[Interaction], second: list[Interaction]) -> str:
    if len(first) != len(second):
        return f"{len(first)} interactions, then {len(second)}"
    return next((f"{a} became {b}" for a, b in zip(first, second, strict=True) if a != b), "no difference")
