"""What would have happened: runs two futures of a run from one branch, without and with an event, and compares them.

Both draw the same random numbers. A request that was made before, in the run or in the other future, is not made again: its
reply is taken from the record. So two futures that an event does not reach are the same, word for word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.counterfactual.arguments import world_arguments
from sandbox.counterfactual.divergence import Divergence, find_divergences
from sandbox.errors import RunExists, SandboxError, SettingsError
from sandbox.folders import check_same_identity, removed_if_refused, write_json
from sandbox.metrics.paired_differences import (
    agent_differences,
    measure_differences,
    metric_differences,
    numbers_of_agents,
)
from sandbox.scenario.scenario import Scenario
from sandbox.society.event import Recipients, late_events
from sandbox.society.kept import REPEAT
from sandbox.society.prior_run import read_branch
from sandbox.store.manifest import command_line
from sandbox.store.run import Run, is_run, open_run, write_measures
from sandbox.world import World

SCHEMA = 1
FUTURES = ("without", "with")

Watch = Callable[[str, World, int], AbstractContextManager[Any]]


@dataclass(frozen=True)
class WhatIf:
    """Two futures of a run, and how they differ; "first" is the one without the event, "second" the one with it.

    Attributes:
        out: Folder of the futures: the runs ``without`` and ``with``, and ``what_if.json``.
        branch: ``RUN@ROUNDS``.
        event: The event, as in the manifest.
        rounds: The rounds that are compared: the first, and the one after the last.
        futures: For each future (``without`` and ``with``), ``interactions`` of these rounds, and those that ``failed``.
        calls: For each future: ``calls`` that it needed, and those ``reused`` from the record; ``by_round`` likewise.
        saved: Calls of both futures whose replies were taken from the record, of ``needed``.
        needed: Calls of both futures.
        metrics: Differences of the metrics of all interactions of these rounds; see
            :func:`~sandbox.metrics.paired_differences.metric_differences`. These, and the three that follow, say in ``when``
            which rounds their numbers describe: ``rounds 3 to 4``, ``mean of rounds 3 to 4`` or ``after round 4``.
        measures: Differences of the scenario's own measures, as means over these rounds.
        extra: Differences of the numbers in ``extra`` of interactions, as means over these rounds.
        states: Differences of the numbers in agents' states, after the last round.
        divergences: The first part of each interaction that differs, in order; what caused a difference comes first.
        reach: For each round: ``round``, ``agents`` that were asked, and those of them whose interaction ``differs``.
        stopped: Whether a cap stopped a future.
        notes: Warnings.
    """

    out: Path
    branch: str
    event: Mapping[str, Any]
    rounds: tuple[int, int]
    futures: Mapping[str, Mapping[str, int]]
    calls: Mapping[str, Mapping[str, Any]]
    saved: int
    needed: int
    metrics: Mapping[str, Mapping[str, Any]]
    measures: Mapping[str, Mapping[str, Any]]
    extra: Mapping[str, Mapping[str, Any]]
    states: Mapping[str, Mapping[str, Any]]
    divergences: Sequence[Divergence]
    reach: Sequence[Mapping[str, int]]
    stopped: bool
    notes: Sequence[str]

    @property
    def runs(self) -> tuple[Run, Run]:
        """The futures without and with the event, opened for reading."""
        return open_run(self.out / FUTURES[0]), open_run(self.out / FUTURES[1])

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON types; the content of ``what_if.json``."""
        return {"schema": SCHEMA, **asdict(self), "out": str(self.out), "rounds": list(self.rounds)}


def what_if(
    branch: str,
    event: str | Callable[[Any], None],
    *,
    to: Recipients | None = None,
    rounds: int | None = None,
    out: str | Path = "what-if",
    scenario: str | Scenario | None = None,
    max_calls: int | None = None,
    max_tokens_total: int | None = None,
    max_cost: float | None = None,
    watch: Watch | None = None,
    **settings: Any,
) -> WhatIf:
    """Run the futures of a run without and with an event, and compare them. Finished parts in ``out`` are not repeated.

    Args:
        branch: ``RUN@ROUNDS``: the run, and after how many of its rounds the event takes place.
        event: A sentence that agents are told, a Python file with a function ``event(world)``, or such a function.
        to: Those who are told the sentence: numbers or names of agents, or labels; by default all.
        rounds: Total number of rounds of each future, with those before the event; by default those of the run, and at least
            one after the event.
        out: Folder of the futures.
        scenario: Scenario of the run, where its manifest does not say where it is.
        max_calls: Cap on the calls that both futures make together; replies from the record do not count. A future that it
            stops is compared as far as it goes, and goes on when the same is repeated with a higher cap.
        max_tokens_total: Cap on the tokens that these calls read and write, likewise.
        max_cost: Cap on their cost in US dollars, likewise; by the models' settings ``price_prompt`` and ``price_completion``.
        watch: Gives a context in which a future is run: a function of its name, its world and ``rounds``.
        **settings: Arguments of the worlds that differ from those of the run, for example ``seed``; language models, raters
            and embedders that the run was given as objects must be given again.

    Raises:
        SandboxError: the run, event or scenario cannot be used.
    """
    run, start, end, arguments = plan(branch, rounds, scenario, settings)
    out = Path(out)
    caps: dict[str, Any] = {"max_calls": max_calls, "max_tokens_total": max_tokens_total, "max_cost": max_cost}
    happening: dict[str, Any] = {"event": event, "event_to": to}
    folders = {name: out / name for name in FUTURES}
    _check_folders(out, folders.values(), branch)
    notes: list[str] = []
    described: Mapping[str, Any] = {}
    with removed_if_refused(out, lambda: any(is_run(one) and open_run(one).branch_calls() for one in folders.values())):
        # The event comes first, so that its faults are told before any call is made.
        nothing: dict[str, Any] = {}
        spent: Mapping[str, Any] | None = None
        stopped = False
        for name, other, given in (("with", "without", happening), ("without", "with", nothing)):
            world = World(
                **arguments, **given, **caps, branch=branch, out=folders[name], resume=True, command=command_line()
            )
            world.budget.share(spent)
            with closing(world), _watched(watch, name, world, end):
                _check_models(run, world, settings)
                if name == "without":
                    world.store.inherit_calls(folders[other])
                world.run(end)
                notes += [note for note in (*world.notes, *late_events(world, end)) if note not in notes]
                described = described or world.store.manifest["event"]
                spent, stopped = world.budget.counts, stopped or world.capped
                if world.capped:
                    notes.append(
                        f"the future {name} the event was stopped by a cap after {_n_rounds(world.round)}; to continue it, "
                        "repeat the same with a higher cap"
                    )
            write_measures(open_run(folders[name]))
    found = _compare(out, branch, described, start, end, notes, stopped)
    write_json(out / "what_if.json", found.as_dict())
    return found


def plan(
    branch: str, rounds: int | None, scenario: str | Scenario | None, settings: Mapping[str, Any]
) -> tuple[Run, int, int, dict[str, Any]]:
    """The run of a branch, the rounds before the event, those at the end, and the arguments of both futures' worlds.

    Raises:
        SandboxError: as :func:`what_if`.
    """
    run, start = read_branch(branch, asker="what-if")
    end = max(run.rounds, start + 1) if rounds is None else rounds
    if end <= start:
        raise SettingsError(
            f"rounds={end} leaves no round after the event: {branch} has {start} before it; give at least {start + 1}"
        )
    return run, start, end, world_arguments(run, scenario, settings)


@contextmanager
def _watched(watch: Watch | None, name: str, world: World, rounds: int) -> Iterator[None]:
    try:
        if watch is None:
            yield
        else:
            with watch(name, world, rounds):
                yield
    except SandboxError as error:
        error.args = (f"the future {name} the event: {error.args[0] if error.args else ''}",)
        error.kept = error.kept and REPEAT
        raise


def _check_folders(out: Path, folders: Any, branch: str) -> None:
    """Refuse a folder with futures of another branch; that the event is the same is checked when its run is opened."""
    for folder in folders:
        if is_run(folder):
            check_same_identity(out, open_run(folder).manifest, {"from": branch}, what="what-if")
        elif folder.exists() and not folder.is_dir():
            raise RunExists(f"{folder} is a file; choose another --out")


def _check_models(run: Run, world: World, changed: Mapping[str, Any]) -> None:
    """Refuse language models that have the names of those of the run, but are others."""
    if "model" not in changed and "observer" not in changed:
        check_same_identity(
            run.path,
            run.manifest["models"],
            world.store.manifest["models"],
            what="language model",
            advice="Give the models as the run had them: model=..., observer=...",
        )


def _n_rounds(n: int) -> str:
    return "1 round" if n == 1 else f"{n} rounds"


def _compare(
    out: Path, branch: str, event: Mapping[str, Any], start: int, end: int, notes: Sequence[str], stopped: bool
) -> WhatIf:
    runs = first, second = open_run(out / FUTURES[0]), open_run(out / FUTURES[1])
    complete = min(first.rounds, second.rounds)
    both = range(start, max(start, min(end, complete)))
    remarks = list(notes)
    if complete < end:
        remarks.append(f"compared: {_rounds(both)}, for a future ended or was stopped after {_n_rounds(complete)}")
    divergences: list[Divergence] = []
    reach, futures = [], {name: {"interactions": 0, "failed": 0} for name in FUTURES}
    for round_ in both:
        pair = [run.interactions(round_) for run in runs]
        found = find_divergences(pair[0], pair[1])
        divergences += found
        for counts, interactions in zip(futures.values(), pair, strict=True):
            counts["interactions"] += len(interactions)
            counts["failed"] += sum(it.error is not None for it in interactions)
        reach.append({"round": round_, "agents": len({it.agent for of in pair for it in of}), "differs": len(found)})
    means = _rounds(both) if len(both) == 1 else f"mean of {_rounds(both)}"
    calls = {name: _calls(run) for name, run in zip(FUTURES, runs, strict=True)}
    return WhatIf(
        out=out,
        branch=branch,
        event=event,
        rounds=(start, both.stop),
        futures=futures,
        calls=calls,
        saved=sum(one["reused"] for one in calls.values()),
        needed=sum(one["calls"] for one in calls.values()),
        metrics=_dated(metric_differences(first, second, both) if both else {}, _rounds(both)),
        measures=_dated(measure_differences(first, second, both), means),
        extra=_dated(agent_differences(numbers_of_agents(first, both), numbers_of_agents(second, both)), means),
        states=_dated(
            agent_differences(_states(first, both.stop), _states(second, both.stop)), f"after round {both.stop}"
        ),
        divergences=divergences,
        reach=reach,
        stopped=stopped,
        notes=remarks,
    )


def _rounds(rounds: range) -> str:
    """Rounds in words, counted from 1."""
    if not rounds:
        return "no round"
    return f"round {rounds.stop}" if len(rounds) == 1 else f"rounds {rounds.start + 1} to {rounds.stop}"


def _dated(rows: Mapping[str, Mapping[str, Any]], when: str) -> dict[str, dict[str, Any]]:
    """Rows of differences, with what of the futures their numbers describe."""
    return {name: {**row, "when": when} for name, row in rows.items()}


def _calls(run: Run) -> dict[str, Any]:
    by_round = run.branch_calls()
    return {
        "calls": sum(one["calls"] for one in by_round),
        "reused": sum(one["reused"] for one in by_round),
        "by_round": by_round,
    }


def _states(run: Run, rounds: int) -> dict[int, dict[str, Any]]:
    """State of each agent after some rounds."""
    frame = run.states()
    rows = frame[frame["rounds"] == rounds].drop(columns="rounds").to_dict("records")
    return {int(row["agent"]): {str(key): value for key, value in row.items() if key != "agent"} for row in rows}
