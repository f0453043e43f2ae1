"""The conversation as a protocol of Social Sandbox, everything stored in a run folder; resumed where the folder holds a run."""

from __future__ import annotations

import math
import os
from typing import Any

from conversation import API_KEY, MODEL, REVIEW, REVISE, SYSTEM, Said, Settings, feedback_lines, measure


class SandboxSociety:
    """A world whose agents answer, review in free text and answer again."""

    def __init__(self, settings: Settings) -> None:
        from sandbox import Scenario, World
        from sandbox.models.base import Message
        from sandbox.records import Feedback
        from sandbox.scenario.prompts import Prompts

        def conversation(agent: Any, question: str, world: Any) -> Any:
            draft = yield agent.answer(question)
            audience = world.audience(agent)
            reviews = yield [peer.argue(agent, question, draft) for peer in audience]
            heard = feedback_lines([peer.name for peer in audience], [review.text for review in reviews])
            told = REVISE.format(question=question, draft=draft.text, feedback=heard)
            revision = yield agent.ask((Message("system", agent.system), Message("user", told)), "revise")
            feedback = tuple(
                Feedback.unrated(peer.index, said.text) for peer, said in zip(audience, reviews, strict=True)
            )
            return world.interaction(agent, question, draft=draft.text, feedback=feedback, revision=revision.text)

        def ask(agent: Any, world: Any) -> str:
            return settings.question(agent.index, world.round)

        self._world = World(
            Scenario(
                name="peers", questions=["asked by the function below"], ask=ask, protocol=conversation,
                prompts=Prompts(answer_system=SYSTEM, argue=REVIEW.replace("{draft}", "{answer}")),
            ),
            model=f"openai:{MODEL}@{settings.url}", rater="lm", size=math.isqrt(settings.agents), out=settings.out / "run",
            resume=True, reviewers=settings.reviewers, audience="global", embedder="hashing",
        )  # fmt: skip

    def run(self, rounds: int) -> None:
        self._world.run(rounds)

    def said(self) -> list[Said]:
        from sandbox import open_run

        kept = open_run(self._world.path).interactions()
        return [Said(it.draft, [said.rating.reason for said in it.feedback], it.revision or "") for it in kept]

    def close(self) -> None:
        self._world.close()


if __name__ == "__main__":
    os.environ.setdefault("OPENAI_API_KEY", API_KEY)
    measure("social-sandbox", SandboxSociety)
