"""The conversation that each framework holds, and how it is measured; the standard library only, for every environment.

In each round every agent is asked a question and drafts an answer, k others give feedback in free text (the next k in a
ring; in Social Sandbox k at random), and the agent revises its answer. A script beside this file makes a :class:`Society`
of one framework and hands it to :func:`measure`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

API_KEY, MODEL = "none", "benchmark"  # no name that a framework knows: "stub" is a model of its own to one
QUESTIONS = (
    "A colleague takes credit for your work. What do you do?",
    "May one pick fruit from a tree that hangs over the fence?",
    "A friend asks you to lie for them. How do you answer?",
    "You find a purse with money and an address. What do you do?",
    "Your neighbour plays loud music every night. How do you speak with them?",
    "Someone is mocked in a group that you belong to. What do you say?",
    "You were given too much change. Do you say so?",
    "A stranger needs help and you are late. What do you do?",
)
SYSTEM = "You are {name}, a member of a small community. You speak in one or two sentences."
REVIEW = 'You were told that {author} was asked: "{question}" and answered: "{draft}" What do you think of that answer?'
REVISE = (
    'You were asked: "{question}" and answered: "{draft}" Others said of your answer:\n{feedback}\n'
    "Answer the question again."
)


@dataclass(frozen=True)
class Settings:
    """What is run.

    Attributes:
        url: Base URL of the server, in OpenAI's schema.
        agents: Number of agents, a square.
        reviewers: Number of reviews of a draft (k).
        warm_up: Rounds before the measurement.
        rounds: Rounds that are measured.
        out: Folder for what the framework keeps.
    """

    url: str
    agents: int
    reviewers: int
    warm_up: int
    rounds: int
    out: Path

    def question(self, agent: int, round_: int) -> str:
        """What an agent is asked in a round."""
        return QUESTIONS[(round_ * self.agents + agent) % len(QUESTIONS)]

    def reviewers_of(self, agent: int) -> list[int]:
        """The next agents in a ring."""
        return [(agent + step) % self.agents for step in range(1, self.reviewers + 1)]


@dataclass(frozen=True)
class Said:
    """The texts of one conversation."""

    draft: str
    feedback: Sequence[str]
    revision: str


class Society(Protocol):
    """A society of one framework."""

    def run(self, rounds: int) -> None:
        """Go on until this number of rounds is complete, with those of an earlier process that the framework can restore."""

    def said(self) -> list[Said]:
        """The complete conversations that it knows of."""

    def close(self) -> None:
        """End what runs in the background."""


def agent_name(index: int) -> str:
    """Name of an agent."""
    return f"Agent {index}"


def feedback_lines(names: Sequence[str], texts: Sequence[str]) -> str:
    """Feedback as it stands in the prompt of a revision."""
    return "\n".join(f"- {name}: {text}" for name, text in zip(names, texts, strict=True))


def measure(distribution: str, build: Callable[[Settings], Society], arguments: Sequence[str] | None = None) -> None:
    """Run a society as the command line says, and print what it took as the last line, in JSON.

    Raises:
        RuntimeError: a conversation is not whole.
    """
    settings = read_settings(arguments)
    began = time.perf_counter()
    society = build(settings)
    start_s = time.perf_counter() - began
    society.run(settings.warm_up)
    began, cpu_s = time.perf_counter(), time.process_time()
    society.run(settings.warm_up + settings.rounds)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    said = society.said()
    society.close()
    for one in said:
        if len(one.feedback) != settings.reviewers or not all((one.draft, one.revision, *one.feedback)):
            raise RuntimeError(f"a conversation is not whole: {one}")
    found = {
        "version": version(distribution), "python": platform.python_version(), "start_s": start_s, "seconds": seconds,
        "cpu_s": cpu_s, "peak_mb": peak / 1e6, "interactions": settings.rounds * settings.agents, "conversations": len(said),
    }  # fmt: skip
    print(json.dumps(found), flush=True)
    # Threads and event loops that a framework leaves behind are not waited for.
    os._exit(0)


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    for name in ("agents", "reviewers", "warm-up", "rounds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return Settings(**vars(parser.parse_args(arguments)))
