"""Surveys of recorded runs: the agents of a run as they were after any number of rounds answer questions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.conversation.call_file import CallFile
from sandbox.conversation.steps import CallLog
from sandbox.errors import RunExists, SettingsError
from sandbox.folders import locked
from sandbox.scenario.loading import find_scenario_of_run
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import recorded_size
from sandbox.storage_errors import read_as_written
from sandbox.store.manifest import scenario_identity
from sandbox.store.run import Run
from sandbox.survey.answers import SurveyAnswer, ask_survey
from sandbox.survey.questions import Questions, SurveyQuestion, read_survey
from sandbox.survey.table import check_format, survey_table, write_table
from sandbox.world import Model, World

if TYPE_CHECKING:
    import pandas as pd

Rounds: TypeAlias = "int | str | Sequence[int | str]"
_ASKED_WITH, _NOT_ASKED = ("prompts", "roles", "personas"), ("n", "source")


def survey_run(
    run: Run,
    questions: Questions,
    *,
    at: Rounds = "last",
    model: Model | Mapping[str, Any] | None = None,
    scenario: str | Scenario | None = None,
    out: str | Path | None = None,
    in_flight: int = 1024,
    on_begin: Callable[[int, Sequence[str]], Any] | None = None,
    on_ended: Callable[[int], Any] | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Let every agent of a run answer a survey. The run, and its agents' memories, stay as they are.

    Args:
        run: The run.
        questions: A table or a list; see :func:`sandbox.survey.questions.read_survey`.
        at: Numbers of complete rounds after which the agents are asked: 0 for before the first round, ``last``, or several,
            also as text such as ``0,last``.
        model: Language model of the agents, as for :class:`~sandbox.world.World`; by default that of the run.
        scenario: Scenario of the run; by default where the run found it, with the settings of then.
        out: A .csv, .parquet or .jsonl file for the answers. An interrupted survey keeps its finished calls in a hidden file
            beside it, and continues with the same arguments.
        in_flight: Maximum number of concurrent conversations.
        on_begin: Callback, receives the number of answers, and notes, before any question is asked.
        on_ended: Callback, receives the number of answers that have just ended.
        **settings: Settings of the society, the scenario and the models that differ from those of the run.

    Returns:
        The answers; see :func:`sandbox.survey.table.survey_table`.

    Raises:
        SettingsError: the run has no such round, or its model cannot be loaded as it was.
        DataFileError: the questions are invalid.
        RunExists: ``out`` exists.
    """
    asked = read_survey(questions)
    rounds = read_rounds(run, at)
    if out is None:
        found = _ask(run, asked, rounds, model, scenario, settings, None, in_flight, on_begin, on_ended)
        return survey_table(run, found)
    path = Path(out)
    check_format(path)
    if path.exists():
        raise RunExists(f"{path} already exists; choose another --out, or remove it")
    with locked(path.with_name(f".{path.name}.lock"), keep=False):
        log = CallFile(path.with_name(f".{path.name}.calls.jsonl"))
        found = _ask(run, asked, rounds, model, scenario, settings, log, in_flight, on_begin, on_ended)
        frame = survey_table(run, found)
        write_table(frame, path)
        log.remove()
    return frame


def _ask(
    run: Run,
    questions: Sequence[SurveyQuestion],
    rounds: Sequence[int],
    model: Model | Mapping[str, Any] | None,
    scenario: str | Scenario | None,
    settings: Mapping[str, Any],
    log: CallLog | None,
    in_flight: int,
    on_begin: Callable[[int, Sequence[str]], Any] | None,
    on_ended: Callable[[int], Any] | None,
) -> list[tuple[int, SurveyAnswer]]:
    answers: list[tuple[int, SurveyAnswer]] = []
    for number, at in enumerate(rounds):
        world = restore_world(run, at, model=model, scenario=scenario, **settings)
        try:
            if number == 0 and on_begin is not None:
                on_begin(len(rounds) * len(questions) * len(world.members), scenario_notes(run, world.scenario))
            said = ask_survey(world, questions, in_flight=in_flight, log=log, on_ended=on_ended)
        finally:
            world.close()
        answers += [(at, one) for one in said]
    return answers


def restore_world(
    run: Run,
    at: int,
    *,
    model: Model | Mapping[str, Any] | None = None,
    scenario: str | Scenario | None = None,
    **settings: Any,
) -> World:
    """Restore the society of a run as it was after some of its rounds, in a temporary folder.

    Its agents have the personas, labels, memories, states and positions that the record gives; its rater is ``lm``.

    Args:
        run: The run.
        at: Number of complete rounds.
        model: Language model of the agents; by default that of the run.
        scenario: Scenario of the run; by default where the run found it, with the settings of then.
        **settings: Settings that differ from those of the run.

    Raises:
        SettingsError: the model of the run is no longer what it was, or was an object of Python, which has no URI; or the run
            was imported.
        UnknownPlugin: the scenario is not where the run found it.
    """
    about = run.manifest
    if "embedder" not in about:
        raise SettingsError(
            f"{run.path} was not simulated here but imported, and does not say how its agents are asked; survey a run of "
            "sandbox run"
        )
    with read_as_written(f"the manifest of {run.path}"):
        own = {**about["settings"], "embedder": str(about["embedder"]), "observer_rater": None, "recall_share": None}
        groups = ("embedder.",) if model is not None else ("embedder.", "model.")
        own |= {k: v for k, v in about.get("model_settings", {}).items() if k.startswith(groups)}
        own |= {"size": recorded_size(about), "seed": operator.index(about["seed"])}
        was = str(about["models"]["agents"]["fingerprint"])
        asked = _model_of(run) if model is None else model
    played, of_scenario = find_scenario_of_run(about, scenario)
    world = World(played, model=asked, rater="lm", branch=f"{run.path}@{at}", **{**own, **of_scenario, **settings})
    if model is None and was != (now := _fingerprint(world)):
        world.close()
        raise SettingsError(
            f"the model of {run.path}, {about['models']['agents']['uri']}, is not what it was: its fingerprint was {was}, "
            f"now {now}. Give the model to ask with --model"
        )
    return world


def _model_of(run: Run) -> Any:
    """The language models of a run, as :class:`~sandbox.world.World` takes them."""
    agents = run.manifest["models"]["agents"]
    model: Any = agents.get("dealt", agents["uri"])
    named = list(model.values()) if isinstance(model, dict) else [model]
    if objects := [one for one in named if str(one).startswith("object:")]:
        raise SettingsError(
            f"{run.path} was made with a model object, {objects[0]}, which no URI names; give the model with --model"
        )
    return model


def _fingerprint(world: World) -> str:
    speaking = {id(lm): lm for lm in world.setup.speakers}.values()
    return ",".join(lm.fingerprint for lm in speaking)


def scenario_notes(run: Run, scenario: Scenario) -> list[str]:
    """A note if the scenario has other prompts, roles or personas than when the run was made."""
    was, now = run.manifest, scenario_identity(scenario)
    with read_as_written(f"the manifest of {run.path}"):
        changed = [
            f"{part}.{name}"
            for part in _ASKED_WITH
            for name, hashed in now.get(part, {}).items()
            if name not in _NOT_ASKED and hashed != was.get(part, {}).get(name, hashed)
        ]
    if not changed:
        return []
    return [
        f"the scenario {scenario.name!r} is not what it was when {run.path} was made: {', '.join(changed)}; agents are asked "
        "with it as it is now"
    ]


def read_rounds(run: Run, at: Rounds) -> list[int]:
    """Read the numbers of rounds of a run, such as ``0,last``, in the order given.

    Raises:
        SettingsError: one is not a number or ``last``, or the run has fewer complete rounds.
    """
    given = at.split(",") if isinstance(at, str) else [at] if isinstance(at, int) else list(at)
    found = []
    for one in given:
        word = str(one).strip()
        if word != "last" and not (word.isascii() and word.isdigit()):
            raise SettingsError(f"--at takes numbers of rounds and last, for example 0,2,last; found {word!r}")
        number = run.rounds if word == "last" else int(word)
        if number > run.rounds:
            raise SettingsError(f"{run.path} has {run.rounds} complete rounds; --at {word} is beyond them")
        found.append(number)
    return list(dict.fromkeys(found))
