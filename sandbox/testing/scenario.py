"""What a scenario and a protocol promise, put to the test in tiny societies."""

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
    """Check that a scenario does what scenarios promise.

    * It can be made with its settings; settings it does not have are refused.
    * Made twice it is the same: a run that is resumed meets the same questions.
    * Its protocol is installed, and its population's labels are those that it brings up.
    * Labelled examples, where a dimension has some, are of both kinds.
    * A tiny society lives one round of it without a failure, and its own measures give numbers and say what they are.

    Args:
        scenario: Its name, ``module:object``, ``./file.py``, a scenario, or a function that returns one.
        **settings: Of the scenario.

    Raises:
        BrokenPromise: says which promise, what was found, and how to mend it.
    """
    promises = called("scenario", scenario.name if isinstance(scenario, Scenario) else scenario)
    make = _maker(promises, scenario)
    with promises.work("it can be made", "mend what the message says; data belongs beside the module, in package-data"):
        made, again = make(settings), make(settings)
    if not isinstance(scenario, Scenario):
        with promises.refuse(SettingsError, "an unknown setting is refused", "name settings, without **kwargs"):
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
            "made twice it is the same, so that a run can be resumed",
            f"{name} differ",
            "draw nothing at random and iterate over no set; sort what comes from one",
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
            "labelled examples are good and bad, so that values can be learnt from them",
            f"all {len(dimension.examples)} examples of {dimension.name!r} are {'good' if True in kinds else 'bad'}",
            "add some of the other kind, or give none",
        )
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        record = _live(promises, "a society of four lives one round of it", Path(folder) / "run", made, size=2)
        kept = open_run(Path(folder) / "run")
        unknown_measures = [name for name, words in kept.own_measures.items() if not words]
        promises.hold(
            not unknown_measures,
            "its own measures say what they are",
            f"{', '.join(unknown_measures)} without a docstring",
            "give each function a docstring, whose first line names its range: pictures are titled by it",
        )
        labels = set(kept.agents()["label"])
        unknown = sorted(labels - set(made.upbringing)) if made.upbringing else []
        promises.hold(
            not unknown,
            "agents' labels are those that it brings up",
            f"{', '.join(unknown)} in the population; brought up are {', '.join(made.upbringing)}",
            "use the same labels in population and upbringing",
        )
    _check_whole(promises, record)


def _maker(promises: Promises, scenario: Any) -> Callable[[dict[str, Any]], Scenario]:
    """Makes the scenario with settings, from the beginning each time."""
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
    """Check that a protocol does what protocols promise.

    * It is a generator of (agent, question, world) that returns an ``Interaction`` about them.
    * What it returns can be kept as JSON and read back.
    * The record does not depend on how many conversations are held at once, and is the same again with the same seed.
    * A run that was stopped and resumed has the same record as one that was not.
    * A call that fails costs its own interaction at most, and its error is never taken for an answer.

    Args:
        protocol: Its name, ``module:object``, ``./file.py``, or the function.

    Raises:
        BrokenPromise: says which promise, what was found, and how to mend it.
    """
    promises = called("protocol", protocol)
    with promises.work("it can be imported", "import it in Python and mend what is raised there"):
        talk = registry.load("protocols", protocol) if isinstance(protocol, str) else protocol
    promises.hold(
        inspect.isgeneratorfunction(talk),
        "it is a generator function of (agent, question, world)",
        f"{talk!r}",
        "yield what you wait for: draft = yield agent.answer(question)",
    )
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        place = Path(folder)
        live = "a society of nine lives two rounds of it"
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
                "it returns an Interaction about the agent and question it was given",
                f"{done}",
                "return Interaction(round=world.round, agent=agent.index, label=agent.label, question=question, ...)",
            )
            found = kept[done.round, done.agent]
            promises.hold(
                found == replace(done, protocol=found.protocol),  # the world names a protocol that does not
                "an interaction can be kept as JSON and read back",
                f"extra {done.extra!r} became {found.extra!r}",
                "keep only texts, numbers, lists and dictionaries with text keys in extra, and tuples nowhere in it",
            )
        _check_repeats(promises, talk, record, place)
        _check_failures(promises, talk, place)


def _check_repeats(promises: Promises, talk: Any, record: list[Interaction], place: Path) -> None:
    live = "a society of nine lives two rounds of it"
    one_by_one = _live(promises, live, place / "one", protocol=talk, rounds=2, in_flight=1)
    promises.hold(
        one_by_one == record,
        "the record depends on the seed alone, not on how many conversations are held at once",
        _first_difference(record, one_by_one),
        "draw from sandbox.seeding.keyed_rng(world.seed, world.round, agent.index, purpose); keep nothing outside the "
        "generator; give agent.answer(question, turn=1) for a second answer in a round",
    )
    calls = open_run(place / "one").manifest["tokens"]["calls"]
    _live(promises, live, place / "stopped", protocol=talk, rounds=2, max_calls=max(1, calls - 1))
    resumed = _live(promises, live, place / "stopped", protocol=talk, rounds=2, resume=True)
    promises.hold(
        resumed == record,
        "a run that was stopped and resumed has the same record",
        _first_difference(record, resumed),
        "let nothing but agent, question and world decide what is asked",
    )


def _check_failures(promises: Promises, talk: Any, place: Path) -> None:
    def shaky(request: Request) -> Reply:
        if int(request.key(), 16) % 4 == 0:
            return Reply("", finish_reason="error", error=_DOWN)
        return ScriptedModel().generate([request])[0]

    live = "a society goes on when calls to its language model fail"
    record = _live(promises, live, place / "shaky", protocol=talk, rounds=2, model=ScriptedModel(replies=shaky))
    promises.hold(len(record) == 18, live, f"{len(record)} of 18 interactions were kept", "do not end the world")
    for done in record:
        said = [done.draft, done.revision, *(f.rating.reason for f in done.feedback)]
        promises.hold(
            not any(text and _DOWN in text for text in said),
            "an error is never taken for an answer",
            f"{done}",
            "let CallFailed pass through, or catch it and go on without that answer",
        )


def _live(
    promises: Promises, promise: str, out: Path, scenario: str | Scenario = "value_alignment", *,
    protocol: Any = None, rounds: int = 1, size: int = 3, model: Any = None, **settings: Any,
) -> list[Interaction]:  # fmt: skip
    """The record of a tiny society."""
    with promises.work(promise, "run it with sandbox run --model scripted: and mend what is raised there"):
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
            "return Interaction(..., draft=draft.text, ...); yield only what agents and observers return",
        )


def _first_difference(first: list[Interaction], second: list[Interaction]) -> str:
    if len(first) != len(second):
        return f"{len(first)} interactions, then {len(second)}"
    return next((f"{a} became {b}" for a, b in zip(first, second, strict=True) if a != b), "no difference")
