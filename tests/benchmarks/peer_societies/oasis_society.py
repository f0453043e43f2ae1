"""The conversation by agents of OASIS: each turn is an interview (``ActionType.INTERVIEW``), the action that gives free text.

A round is three steps of its environment, each of which holds all its interviews at once: drafts, reviews, revisions. Prompts
and answers are kept in its database, from which they are read; a simulation cannot be resumed from it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from typing import Any

from conversation import API_KEY, MODEL, REVIEW, REVISE, Said, Settings, agent_name, feedback_lines, measure


class OasisSociety:
    """Agents of the platform ``reddit``, whose recommendations need no model."""

    def __init__(self, settings: Settings) -> None:
        settings.out.mkdir(parents=True, exist_ok=True)
        os.chdir(settings.out)  # its logs are written into ./log
        os.makedirs("log", exist_ok=True)
        import oasis
        from camel.models import ModelFactory
        from camel.types import ModelPlatformType
        from camel.utils import BaseTokenCounter

        class WordCounter(BaseTokenCounter):
            """Counts words: the tokenizer that is there by default is fetched over the network."""

            def count_tokens_from_messages(self, messages: list[Any]) -> int:
                return sum(len(str(message.get("content", "")).split()) for message in messages)

            def encode(self, text: str) -> list[int]:
                return [0] * len(text.split())

            def decode(self, token_ids: list[int]) -> str:
                return ""

        self._settings, self._oasis = settings, oasis
        model = ModelFactory.create(
            model_platform=ModelPlatformType.OPENAI_COMPATIBLE_MODEL, model_type=MODEL, url=settings.url, api_key=API_KEY,
            token_counter=WordCounter(),
        )  # fmt: skip
        self._runner = asyncio.Runner()
        self._runner.run(self._begin(model))
        self._said: list[Said] = []
        self._done = self._read = 0

    async def _begin(self, model: Any) -> None:
        from oasis.social_agent.agent import SocialAgent
        from oasis.social_agent.agent_graph import AgentGraph
        from oasis.social_platform.config import UserInfo

        graph = AgentGraph()
        self._agents = []
        for index in range(self._settings.agents):
            user = UserInfo(
                user_name=f"agent_{index}", name=agent_name(index), description="a member", recsys_type="reddit"
            )
            agent = SocialAgent(
                agent_id=index, user_info=user, agent_graph=graph, model=model,
                available_actions=[self._oasis.ActionType.DO_NOTHING],
            )  # fmt: skip
            graph.add_agent(agent)
            self._agents.append(agent)
        self._database = self._settings.out / f"simulation-{os.getpid()}.db"
        self._env = self._oasis.make(
            agent_graph=graph,
            platform=self._oasis.DefaultPlatformType.REDDIT,
            database_path=str(self._database),
            semaphore=4 * self._settings.agents,
        )
        await self._env.reset()

    def run(self, rounds: int) -> None:
        while self._done < rounds:
            self._runner.run(self._round(self._done))
            self._done += 1

    def said(self) -> list[Said]:
        return self._said

    def close(self) -> None:
        self._runner.run(self._env.close())

    async def _round(self, number: int) -> None:
        settings, everyone = self._settings, range(self._settings.agents)
        questions = [settings.question(index, number) for index in everyone]
        drafts = {
            author: said for (author, _), said in (await self._ask({(i, i): questions[i] for i in everyone})).items()
        }
        asked = {
            (peer, author): REVIEW.format(author=agent_name(author), question=questions[author], draft=drafts[author])
            for author in everyone
            for peer in settings.reviewers_of(author)
        }
        reviews = await self._ask(asked)
        again, feedback = {}, {}
        for author in everyone:
            peers = settings.reviewers_of(author)
            feedback[author] = [reviews[peer, author] for peer in peers]
            heard = feedback_lines([agent_name(peer) for peer in peers], feedback[author])
            again[author, author] = REVISE.format(question=questions[author], draft=drafts[author], feedback=heard)
        revisions = await self._ask(again)
        self._said += [Said(drafts[index], feedback[index], revisions[index, index]) for index in everyone]

    async def _ask(self, prompts: dict[tuple[int, int], str]) -> dict[tuple[int, int], str]:
        """Interview agents, all at once; the answers by (agent that is asked, author)."""
        interview = self._oasis.ActionType.INTERVIEW
        actions: dict[Any, list[Any]] = {}
        for (agent, _), prompt in prompts.items():
            action = self._oasis.ManualAction(action_type=interview, action_args={"prompt": prompt})
            actions.setdefault(self._agents[agent], []).append(action)
        await self._env.step(actions)
        with closing(sqlite3.connect(self._database)) as database:
            sql = "SELECT rowid, user_id, info FROM trace WHERE action = ? AND rowid > ? ORDER BY rowid"
            rows = database.execute(sql, (interview.value, self._read)).fetchall()
        self._read = rows[-1][0] if rows else self._read
        answers = {(user, kept["prompt"]): kept["response"] for _, user, info in rows for kept in [json.loads(info)]}
        return {key: answers[key[0], prompt] for key, prompt in prompts.items()}


if __name__ == "__main__":
    measure("camel-oasis", OasisSociety)
