"""The tables of rewards and of what agents said for them; credits, which follow from rewards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.errors import SettingsError, nearest
from sandbox.records import Interaction, Utterance

# Runs of schema 2 that were recorded before there were rewards lack these.
REWARDS = """
CREATE TABLE IF NOT EXISTS rewards (round INTEGER, agent INTEGER, name TEXT, value REAL, PRIMARY KEY (round, agent, name))
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS utterances (round INTEGER, agent INTEGER, position INTEGER, purpose TEXT, question TEXT, key TEXT,
  text TEXT, stage TEXT, PRIMARY KEY (round, agent, position)) WITHOUT ROWID;
"""

_Keyed = dict[tuple[int, int], Any]


def insert_utterances(db: sqlite3.Connection, done: Iterable[Interaction]) -> None:
    """Store what agents said in interactions."""
    db.executemany(
        "INSERT INTO utterances VALUES (?,?,?,?,?,?,?,?)",
        (
            (it.round, it.agent, position, one.purpose, one.question, one.key, one.text, one.stage)
            for it in done
            for position, one in enumerate(it.utterances)
        ),
    )


def replace_rewards(db: sqlite3.Connection, round_: int, rewards: Mapping[int, Mapping[str, float]]) -> None:
    """Store the rewards of a round, by agent and name, in place of earlier ones."""
    db.execute("DELETE FROM rewards WHERE round=?", (round_,))
    db.executemany(
        "INSERT INTO rewards VALUES (?,?,?,?)",
        ((round_, agent, name, value) for agent, own in rewards.items() for name, value in own.items()),
    )


def read_rewarded(db: sqlite3.Connection, where: str = "", values: Sequence[int] = ()) -> tuple[_Keyed, _Keyed]:
    """Rewards (by name) and utterances, both by round and agent.

    Args:
        db: The database.
        where: Condition on round and agent, in SQL, with ``WHERE``.
        values: Its values.
    """
    rewards: _Keyed = {}
    utterances: _Keyed = {}
    if db.execute("SELECT 1 FROM sqlite_master WHERE name='rewards'").fetchone() is None:
        return rewards, utterances
    for round_, agent, name, value in db.execute(
        f"SELECT round, agent, name, value FROM rewards {where} ORDER BY round, agent, name", values
    ):
        rewards.setdefault((round_, agent), {})[name] = float(value)
    for round_, agent, *fields in db.execute(
        f"SELECT round, agent, purpose, question, key, text, stage FROM utterances {where} ORDER BY round, agent, position",
        values,
    ):
        utterances.setdefault((round_, agent), []).append(Utterance(*fields))
    return rewards, utterances


def copy_rewards(db: sqlite3.Connection, rounds: int) -> None:
    """Copy rewards and utterances of the first rounds from the attached database ``source``."""
    for name in ("rewards", "utterances"):
        if db.execute(f"SELECT 1 FROM source.sqlite_master WHERE name='{name}'").fetchone() is not None:
            db.execute(f"INSERT INTO {name} SELECT * FROM source.{name} WHERE round < ?", (rounds,))


def credits_of(interactions: Iterable[Interaction], name: str, discount: float) -> dict[tuple[int, int], float]:
    """Credits of interactions for a reward, by round and agent.

    The credit in round t is the sum over the agent's rewards of rounds s >= t of ``discount ** (s - t)`` times the reward.

    Args:
        interactions: All of a run, in the order of rounds.
        name: Name of the reward.
        discount: In [0, 1].

    Returns:
        Credits; none where the agent has no reward in this round and, with a discount above 0, in no later one.
    """
    found: dict[tuple[int, int], float] = {}
    later: dict[int, tuple[int, float]] = {}  # of each agent: its next round with a credit, and the credit
    for it in reversed(list(interactions)):
        parts = [it.rewards[name]] if name in it.rewards else []
        if discount and it.agent in later:
            round_, credit = later[it.agent]
            parts.append(discount ** (round_ - it.round) * credit)
        if parts and it.error is None:
            found[it.round, it.agent] = sum(parts)
            later[it.agent] = (it.round, sum(parts))
    return dict(sorted(found.items()))


def check_reward(rewards: Mapping[str, Mapping[str, Any]], name: str, run: str) -> Mapping[str, Any]:
    """What a manifest says of a reward.

    Raises:
        SettingsError: it has no such reward.
    """
    if name in rewards:
        return rewards[name]
    known = (
        f"Rewards: {', '.join(rewards)}"
        if rewards
        else "It has none; give some with Scenario(reward=...), and run it again"
    )
    raise SettingsError(f"{run} has no reward {name!r}.{nearest(name, rewards)} {known}")


def reward_columns(
    interactions: Sequence[Interaction], rewards: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[float | None]]:
    """Columns of a table of interactions: ``reward.NAME``, and ``credit.NAME`` of rewards with a discount."""
    found: dict[str, list[float | None]] = {}
    for name, about in rewards.items():
        found[f"reward.{name}"] = [it.rewards.get(name) for it in interactions]
        if about["discount"]:
            credited = credits_of(interactions, name, about["discount"])
            found[f"credit.{name}"] = [credited.get((it.round, it.agent)) for it in interactions]
    return found
