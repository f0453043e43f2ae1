"""What the tables of ``run.sqlite`` and their columns mean, in words; their types are in the tables themselves.

For the page of file formats. A table or column without words fails a test.
"""

from __future__ import annotations

import sqlite3

from sandbox.store.memories import MEMORIES
from sandbox.store.network import NETWORK
from sandbox.store.population import POPULATION
from sandbox.store.rewards import REWARDS
from sandbox.store.schema import STATES, TABLES

TABLE_WORDS: dict[str, str] = {
    "interactions": "What each agent did in each round.",
    "feedback": "Reviews of drafts, in the order they were given, and what was said without a rating.",
    "calls": "Every finished model call, by the hash of its content; a call is not made again.",
    "memories": "The last answer of each agent to each question.",
    "agents": "All agents that ever lived, each as it began.",
    "moves": "New positions of agents that moved after a round.",
    "embeddings": "Embeddings of questions.",
    "rounds": "Complete rounds.",
    "states": "States of agents after a round; of the world as agent -1. Round -1 holds those that the run began with.",
    "events": "The scenario's events that took place before a round.",
    "barriers": "What a round that is not complete has passed; stage 0 is its start. Empty between rounds.",
    "branch_calls": "In a branch, the calls of the rounds that it ran itself.",
    "heard": "What was said to agents.",
    "notes": "What the memory of an agent wrote after a round, or why it could not.",
    "rewards": "The scenario's rewards of complete rounds.",
    "utterances": "In scenarios with rewards, what an agent said in its own conversation.",
    "nodes": "Nodes of the network of the society. Empty on grids.",
    "links": "Links of that network.",
    "population": "Agents that were added or removed after the run began, in order.",
}

# By column, or by table and column where a column means something else there.
COLUMN_WORDS: dict[str, str] = {
    "round": "Number of the round, from 0.",
    "agent": "Number of the agent, from 0.",
    "stage": "Number of stages of the round that had ended; 0 is before the round.",
    "position": "Order within the round and agent, from 0.",
    "label": "Label of the agent.",
    "protocol": "Name of the protocol; of several stages, joined by +.",
    "question": "The question.",
    "draft": "First answer; null if there is none.",
    "revision": "Second answer; null if there is none.",
    "recalled": "JSON: what the agent was reminded of; null for nothing.",
    "before": "JSON: the observer's ratings of the draft, by dimension: value, distribution, reason, raw.",
    "after": "JSON: those of the revision.",
    "extra": "JSON: what the protocol recorded besides.",
    "error": "Why it failed; null if it did not.",
    "reviewer": "Number of the agent that reviews.",
    "rating": "Rating, from 1 to the rubric's scale; null if it could not be read, or none was given.",
    "distribution": "JSON: probability of each rating; null if unknown.",
    "reason": "Why, in the reviewer's words.",
    "raw": "Reply from which the rating was read.",
    "kind": "rating or said (feedback); generate, or inherited for a call that a branch copied (calls).",
    "key": "Hash of the call's content.",
    "model": "URI of the model.",
    "request": "JSON: messages, settings and seed.",
    "reply": "JSON: text, tokens, error and the rest of the reply.",
    "answer": "The answer.",
    "name": "Name.",
    "x": "Row of its place.",
    "y": "Column of its place.",
    "persona": "JSON: the agent's row of the personas.",
    "vector": "Numbers of 32 bits, one after the other.",
    "metrics": "JSON: metrics and own measures of the round.",
    "state": "JSON: the state.",
    "event": "Name of the event.",
    "description": "First line of its docstring.",
    "said": "JSON: the interaction in the stage that ended there.",
    "reused": "1 if the reply was in the record already, 0 if it was made.",
    "step": "When in its round: 0 before the first stage, 1 in it, 2 behind it, 3 in the second stage, and so on.",
    "hearer": "Number of the agent that heard it.",
    "speaker": "Number of the agent that said it; null for one that is no agent.",
    "text": "What was said or written; of an utterance the option or number that was chosen, null for the text of the reply.",
    "importance": "Importance for the memory, 0 to 1; null if not given.",
    "memory": "Name of the memory.",
    "value": "The reward.",
    "purpose": "What the call was for, for example draft.",
    "node": "Number of the node, from 0.",
    "attributes": "JSON: what the file of the network says of the node.",
    "source": "Node at which the link begins.",
    "target": "Node at which it ends.",
    "weight": "Weight of the link; null if there is none.",
    "change": "added or removed.",
    "from_round": "First round in which an agent that was added lives, or without the one that was removed.",
    "links": "JSON: nodes that the new node of an agent is linked to; null where it was put on a place that there was.",
    "heard.agent": "Agent of the interaction in which it was said; -1 for functions of the scenario.",
    "states.agent": "Number of the agent; -1 for the world.",
    "utterances.stage": "Name of the stage.",
    "utterances.key": "Hash of the call.",
}


def tables() -> dict[str, dict[str, str]]:
    """Tables of ``run.sqlite`` as the program makes them: name -> column -> type of SQLite."""
    db = sqlite3.connect(":memory:")
    db.executescript(TABLES + STATES + MEMORIES + REWARDS + NETWORK + POPULATION)
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    found = {name: {row[1]: row[2] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}
    db.close()
    return found


def column_words(table: str, column: str) -> str:
    """What a column means.

    Raises:
        KeyError: it has no words.
    """
    return COLUMN_WORDS.get(f"{table}.{column}") or COLUMN_WORDS[column]
