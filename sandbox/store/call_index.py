"""The requests and replies behind what an interaction records: each answer, rating and reason, with the call that gave it.

The table of calls does not say for whom a call was made. The seed of a request does: it is the hash of the run's seed, the
round, the agent and the purpose. Observers ask without a seed, and purposes of a scenario's own are not foreseen here; such
calls are found by their texts. Knows no models and no pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson

from sandbox.models.base import Reply, Request
from sandbox.records import Interaction, Score
from sandbox.scenario.prompts import whole_sentences
from sandbox.seeding import keyed_seed
from sandbox.storage_errors import read_as_written
from sandbox.store.run import Run
from sandbox.store.schema import connect_to_read, has_table
from sandbox.text_cleaning import without_surrogates

# In larger societies those who took part without a recorded review are not looked for.
_EVERYONE = 200
# Turns are numbered from 0; this many numbers without a call end the search.
_GAP = 2
_OWN = ("answer", "choose", "number", "structured", "revise")
_Row = tuple[int, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call to a language model, as a run recorded it.

    Attributes:
        part: What it gave: ``draft``, ``revision``, ``review N`` (the N-th of the feedback, from 0), ``heard N``, ``before`` or
            ``after`` (the observer's scores), or ``other``.
        agent: Index of the agent that was asked; None for an observer, below 0 for a speaker that is no agent.
        purpose: Purpose of the call, for example ``answer 0`` or ``rate of 3``; with ``found_by="text"`` what was searched for.
        key: Hash of the request.
        model: URI of the model.
        request: The request.
        reply: The reply.
        origin: ``asked`` by this run; or ``recalled``: from the record of the run that it branches from, or that it replays.
        found_by: ``seed``, which is exact, or ``text``: the request contains the question, and the reply the words.
    """

    part: str
    agent: int | None
    purpose: str
    key: str
    model: str
    request: Request
    reply: Reply
    origin: Literal["asked", "recalled"]
    found_by: Literal["seed", "text"] = "seed"

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return asdict(self)


class CallIndex:
    """Finds the calls of interactions of a run. The first search reads the seeds of all calls.

    Args:
        run: The run; it may be growing.
    """

    def __init__(self, run: Run) -> None:
        self._db = connect_to_read(run.path / "run.sqlite")
        self._path, self._manifest = run.path, run.manifest
        self._seed = run.manifest.get("seed")
        self._by_seed: dict[int, list[int]] = {}
        self._newest = 0
        self._agents = [int(row[0]) for row in self._db.execute("SELECT agent FROM agents ORDER BY agent")]

    def calls_of(self, it: Interaction) -> list[RecordedCall]:
        """The calls of an interaction, in the order in which they were recorded.

        Raises:
            DamagedFile: a request or a reply is not as the program writes it.
        """
        with read_as_written(f"the calls of {self._path}"):
            self._read_seeds()
            found = {row[0]: (row, agent, purpose) for row, agent, purpose in self._seeded(it)}
            calls = [
                self._call(row, agent, purpose, _part(it, agent, purpose, row))
                for _, (row, agent, purpose) in sorted(found.items())
            ]
            calls = _with_choice(it, calls)
            known = {call.part for call in calls}
            calls += [call for call in self._searched(it, known) if call.key not in {one.key for one in calls}]
            calls += self._of_others(it, known)
        return calls

    def _read_seeds(self) -> None:
        query = "SELECT rowid, json_extract(request, '$[5]') FROM calls WHERE rowid > ? ORDER BY rowid"
        for row, seed in self._db.execute(query, (self._newest,)):
            if seed:
                self._by_seed.setdefault(seed, []).append(row)
            self._newest = row

    def _seeded(self, it: Interaction) -> Iterator[tuple[_Row, int, str]]:
        """The calls whose seed is that of a purpose in this interaction, with the agent and the purpose."""
        if not isinstance(self._seed, int) or not self._by_seed:
            return
        asked = [
            _quoted(it.question),
            *(_quoted(str(of.get("question"))) for of in it.extra.get("stages", {}).values()),
        ]
        took_part = {f.reviewer for f in it.feedback} | {h.speaker for h in it.heard if h.speaker is not None}
        others = {*(self._agents if len(self._agents) <= _EVERYONE else ()), *took_part} - {it.agent}
        # What others answered to the same question as their own belongs to their own interactions.
        query = "SELECT agent FROM interactions WHERE round=? AND question=?"
        guests = others - {int(row[0]) for row in self._db.execute(query, (it.round, it.question))}
        speakers = [-2 - place for place in range(len(self._manifest.get("speakers", ())))]
        for stage in self._stages():
            for purpose in self._own(it, it.agent, stage):
                rows = self._rows(it, it.agent, stage + purpose)
                # An agent may also answer the questions of others, with the same purpose.
                named = [row for row in rows if any(text in row[4] for text in asked)] if len(rows) > 1 else []
                yield from ((row, it.agent, stage + purpose) for row in named or rows)
            for agent in sorted(others):
                about = [f"{kind} {it.agent}" for kind in ("rate of", "reason of", "argue 0 with")]
                yield from ((row, agent, stage + one) for one in about for row in self._rows(it, agent, stage + one))
            for agent in (*sorted(others), *speakers):
                may_answer = agent in guests or agent < 0
                for purpose in (f"choose {it.agent + 1}", *(self._own(it, agent, stage) if may_answer else ())):
                    rows = self._rows(it, agent, stage + purpose)
                    yield from ((row, agent, stage + purpose) for row in rows if asked[0] in row[4])

    def _key(self, round_: int, agent: int, purpose: str) -> int:
        return keyed_seed(int(self._seed), round_, agent, purpose)  # type: ignore[arg-type]

    def _is_known(self, round_: int, agent: int, purpose: str) -> bool:
        return self._key(round_, agent, purpose) in self._by_seed

    def _own(self, it: Interaction, agent: int, stage: str) -> Iterator[str]:
        """Purposes with which an agent may have been asked for something of its own."""
        for kind in _OWN:
            turn = missing = 0
            while missing < _GAP:
                begun = f"{kind} {turn}"
                found = [begun] if self._is_known(it.round, agent, stage + begun) else []
                for word, first in ((" candidate ", 1), (" try ", 2)):
                    number = first
                    while self._is_known(it.round, agent, f"{stage}{begun}{word}{number}"):
                        found.append(f"{begun}{word}{number}")
                        number += 1
                yield from found
                turn, missing = turn + 1, 0 if found else missing + 1
        yield from (f"{kind} of {agent}" for kind in ("rate", "reason"))

    def _rows(self, it: Interaction, agent: int, purpose: str) -> list[_Row]:
        """Calls of an agent; of those that a branch copied and those that it made, the ones that it used in the round."""
        query = "SELECT rowid, key, model, kind, request, reply FROM calls WHERE rowid=?"
        rowids = self._by_seed.get(self._key(it.round, agent, purpose), ())
        rows: list[_Row] = [self._db.execute(query, (one,)).fetchone() for one in rowids]
        if len(rows) < 2 or not has_table(self._db, "branch_calls"):
            return rows
        used = "SELECT 1 FROM branch_calls WHERE round=? AND key=? AND model=?"
        own = [row for row in rows if self._db.execute(used, (it.round, row[1], row[2])).fetchone()]
        return own or [row for row in rows if row[3] == "inherited"] or rows

    def _call(
        self, row: _Row, agent: int | None, purpose: str, part: str, found_by: Literal["seed", "text"] = "seed"
    ) -> RecordedCall:
        _, key, model, kind, request, reply = row
        is_known = kind == "inherited" or model.startswith("replay:")
        return RecordedCall(
            part, agent, purpose, key, model, Request.from_content(request), Reply(**json.loads(reply)),
            "recalled" if is_known else "asked", found_by,
        )  # fmt: skip

    def _searched(self, it: Interaction, known: Iterable[str]) -> Iterator[RecordedCall]:
        """Calls found by their texts: those of observers, and those of the answers that no seed led to."""
        for part, text, score in (("before", it.draft, it.before), ("after", it.revision, it.after)):
            if text is not None and score.ratings and self._asks(score):
                yield from (
                    self._call(row, None, "score", part, "text") for row in self._without_seed(it.question, text)
                )
        for part, text in (("draft", it.draft), ("revision", it.revision)):
            if text and part not in known:
                rows = self._saying(it.question, text)
                if len(rows) == 1:  # of equal replies nobody knows which was whose
                    yield self._call(rows[0], it.agent, "answer", part, "text")

    def _of_others(self, it: Interaction, known: Iterable[str]) -> Iterator[RecordedCall]:
        """Calls of agents that were asked in interactions of their own for what they said in this one."""
        said = [(f"review {n}", f.reviewer, f.rating.reason) for n, f in enumerate(it.feedback) if f.kind == "said"]
        said += [(f"heard {n}", h.speaker, h.text) for n, h in enumerate(it.heard) if h.speaker is not None]
        for part, agent, text in said:
            for purpose in () if part in known else self._purposes(it, agent):
                for row in self._rows(it, agent, purpose):
                    reply = str(json.loads(row[5])["text"])
                    if text and text in (reply, whole_sentences(reply)):
                        yield self._call(row, agent, purpose, part)

    def _purposes(self, it: Interaction, agent: int) -> Iterator[str]:
        """Purposes with which an agent may have been asked for something of its own, with their stages."""
        if isinstance(self._seed, int):
            for stage in self._stages():
                yield from (stage + purpose for purpose in self._own(it, agent, stage))

    def _stages(self) -> list[str]:
        """What purposes begin with in each stage."""
        return ["", *(f"{name}: " for name in self._manifest.get("stages", ())[1:])]

    def _asks(self, score: Score) -> bool:
        """Whether an observer may have asked a language model."""
        return str(self._manifest.get("raters", {}).get("observer", "lm")) not in ("values", "probe")

    def _without_seed(self, question: str, answer: str) -> list[_Row]:
        query = (
            "SELECT rowid, key, model, kind, request, reply FROM calls WHERE instr(request, ?) AND instr(request, ?) AND "
            "json_extract(request, '$[5]')=0 ORDER BY rowid"
        )
        return self._db.execute(query, (_quoted(question), _quoted(answer))).fetchall()

    def _saying(self, question: str, text: str) -> list[_Row]:
        """Calls that contain the question, and whose reply begins with a text."""
        begins = f'{{"text":"{_quoted(text)}'
        query = (
            "SELECT rowid, key, model, kind, request, reply FROM calls WHERE substr(reply, 1, ?)=? AND instr(request, ?) "
            "ORDER BY rowid"
        )
        return self._db.execute(query, (len(begins), begins, _quoted(question))).fetchall()


def _quoted(text: str) -> str:
    """A text as it stands between the quotes of JSON."""
    return orjson.dumps(without_surrogates(text)).decode()[1:-1]


def _with_choice(it: Interaction, calls: list[RecordedCall]) -> list[RecordedCall]:
    """The calls, where none is the draft's: the last choice, number or structured answer of the agent's own gave it."""
    if it.draft is None or any(call.part == "draft" for call in calls):
        return calls
    chosen = [place for place, call in enumerate(calls) if call.agent == it.agent and _chose(call.purpose)]
    last = chosen[-1] if chosen else None
    return [replace(call, part="draft") if place == last else call for place, call in enumerate(calls)]


def _chose(purpose: str) -> bool:
    return purpose.rpartition(": ")[2].partition(" ")[0] in ("choose", "number", "structured")


def _part(it: Interaction, agent: int, purpose: str, row: _Row) -> str:
    """What a call gave."""
    what = purpose.rpartition(": ")[2]
    kind = what.partition(" ")[0]
    if agent != it.agent:
        reviews = [n for n, f in enumerate(it.feedback) if f.reviewer == agent]
        return f"review {reviews[0]}" if reviews and kind in ("rate", "reason", "argue") else "other"
    if kind not in ("answer", "revise"):
        return "other"
    said = str(json.loads(row[5])["text"])
    for part, text in (("revision", it.revision), ("draft", it.draft)):
        if (
            text is not None
            and text in (said, whole_sentences(said))
            and (part == "draft") == what.startswith("answer 0")
        ):
            return part
    return "other"
