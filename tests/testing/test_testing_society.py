"""The conformance kit: a scenario, a protocol or a picture that breaks a promise is told which."""

from __future__ import annotations

import random
import weakref
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from promises import broken

from sandbox import Dimension, Example, Interaction, Rubric, Scenario, Upbringing
from sandbox.testing import (
    check_plot,
    check_protocol,
    check_scenario,
)

# -- scenarios, protocols and pictures -----------------------------------------------------------------------------

ONE_KIND = Rubric((Dimension("alignment", "how good it is", (Example("Q", "A", True),)),))


def random_scenario():
    return Scenario("random", random.sample([f"Question {i}?" for i in range(9)], 4))


def takes_anything(**settings):
    return Scenario("anything", ["Q?"])


def returns_a_list():
    return ["Q?"]


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (
            random_scenario,
            "creating it twice gives equal scenarios, so that a run can be resumed\n  found: questions differ",
        ),
        (returns_a_list, "it is a Scenario, or a function that returns one\n  found: a list"),
        (Scenario("s", ["Q?"], protocol="parliament"), "its protocol is installed\n  found: protocol 'parliament'"),
        (Scenario("s", ["Q?"], rubric=ONE_KIND), "labelled examples include good and bad answers"),
        (
            Scenario("s", ["Q?"], upbringing={"kind": [Upbringing("Q", "A")]}),
            "every label has an upbringing\n  found: bad, good in the population; upbringings are given for kind",
        ),
        ("./nowhere.py", "it can be created\n  found: UnknownPlugin: scenario file 'nowhere.py' does not exist"),
    ],
)
def test_a_scenario_is_told_which_promise_it_breaks(scenario, words):
    with broken(words):
        check_scenario(scenario)


def test_a_scenario_refuses_settings_it_does_not_have(monkeypatch):
    monkeypatch.setattr("sandbox.testing.scenario.check_settings", lambda *_: None)
    with broken("an unknown setting is refused\n  found: nothing was raised"):
        check_scenario(takes_anything)


def finished(agent, question, world, draft, **fields):
    given = {"round": world.round, "agent": agent.index, "label": agent.label, "question": question, "draft": draft}
    return Interaction(**{**given, **fields})


def no_generator(agent, question, world):
    return None


def yields_text(agent, question, world):
    yield "say something"


def asks_chance(agent, question, world):
    draft = yield agent.answer(question)
    return finished(agent, question, world, f"{draft.text} {random.SystemRandom().random()}")


def keeps_numbered(agent, question, world):
    draft = yield agent.answer(question)
    return finished(agent, question, world, draft.text, extra={1: "one"})


def mistakes_itself(agent, question, world):
    draft = yield agent.answer(question)
    return finished(agent, "Q?", world, draft.text)


COUNTED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def counts_calls(agent, question, world):
    draft = yield agent.answer(question)
    COUNTED[world] = COUNTED.get(world, 0) + 1
    return finished(agent, question, world, draft.text, extra={"n": COUNTED[world]})


def keeps_an_attribute(agent, question, world):
    draft = yield agent.answer(question)
    agent.purse = 1
    return finished(agent, question, world, draft.text)


def takes_errors(agent, question, world):
    try:
        draft = yield agent.answer(question)
    except Exception as error:
        return finished(agent, question, world, str(error))
    return finished(agent, question, world, draft.text)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (no_generator, "it is a generator function"),
        (yields_text, r"every conversation ends with an answer\n  found: ProtocolError: a protocol yielded a str"),
        (asks_chance, "the record depends on the seed only"),
        (mistakes_itself, "it returns an Interaction of the agent and question it was given"),
        (keeps_numbered, "an interaction can be stored as JSON and read back"),
        (counts_calls, "a run that was stopped and resumed has the same record"),
        (takes_errors, "an error is never recorded as an answer"),
        (keeps_an_attribute, r"agent.purse = ... would be lost when the run is resumed.* agent.state\['purse'\]"),
    ],
)
def test_a_protocol_is_told_which_promise_it_breaks(protocol, words):
    with broken(words):
        check_protocol(protocol)


def needs_more(run, title):
    return Figure()


def nothing_in_it(run):
    return Figure()


def picture(run):
    figure = Figure()
    figure.add_subplot().plot(run.frame()["round"])
    return figure


def needs_interactions(run):
    run.frame()["draft"].iloc[0]
    return picture(run)


def uses_pyplot(run):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1])
    return figure


def changes_settings(run):
    mpl.rcParams["lines.linewidth"] = 7.0
    return picture(run)


def writes_into_it(run):
    (Path(run.path) / "figure.txt").write_text("x", encoding="utf-8")
    return picture(run)


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        (needs_more, "its first parameter is the source, and every other has a default"),
        (nothing_in_it, "it returns a matplotlib Figure with axes"),
        (needs_interactions, "it draws a run without a finished round\n  found: IndexError"),
        (uses_pyplot, "it does not use pyplot"),
        (
            changes_settings,
            "it does not change the user's matplotlib settings\n  found: lines.linewidth changed",
        ),
        (writes_into_it, "it does not change the run"),
    ],
)
def test_a_picture_is_told_which_promise_it_breaks(plot, words):
    import matplotlib.pyplot as plt

    with mpl.rc_context(), broken(words):
        check_plot(plot)
    plt.close("all")
