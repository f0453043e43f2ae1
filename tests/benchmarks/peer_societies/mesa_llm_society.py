"""The conversation by agents of mesa-llm, which step in parallel (asyncio); messages go into their memories.

By default each turn is one call to the agent's own language model (``agent.llm.agenerate``). With the environment variable
``PEER_PLANS=1`` each turn is a plan of the agent's reasoning (``CoTReasoning.aplan``, as in mesa-llm's examples), which makes
two calls: one to think, one to act. mesa-llm keeps no run on disk from which it could go on.
"""

from __future__ import annotations

import asyncio
import os

from conversation import API_KEY, MODEL, REVIEW, REVISE, SYSTEM, Said, Settings, agent_name, feedback_lines, measure

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else litellm fetches a table of prices over the network
os.environ.setdefault("OPENAI_API_KEY", API_KEY)


class MesaSociety:
    """A Mesa model whose agents step in parallel."""

    def __init__(self, settings: Settings) -> None:
        from mesa import Model
        from mesa_llm import step_agents_parallel_sync
        from mesa_llm.llm_agent import LLMAgent
        from mesa_llm.reasoning.cot import CoTReasoning

        plans = os.environ.get("PEER_PLANS") == "1"
        self._said: list[Said] = []
        said = self._said

        class Member(LLMAgent):
            """One member of the society."""

            def __init__(self, model: Model, index: int) -> None:
                super().__init__(
                    model, CoTReasoning, llm_model=f"openai/{MODEL}", system_prompt=SYSTEM.format(name=agent_name(index)),
                    api_base=settings.url,
                )  # fmt: skip
                self.index = index
                self.memory.display = False  # else each step prints the memory of every agent

            async def speak(self, prompt: str) -> str:
                if plans:
                    plan = await self.reasoning.aplan(prompt, selected_tools=[])
                    return str(plan.llm_plan.content)
                reply = await self.llm.agenerate(prompt)
                return str(reply.choices[0].message.content)

            async def astep(self) -> None:
                question = settings.question(self.index, self.model.steps - 1)
                audience = [self.model.members[i] for i in settings.reviewers_of(self.index)]
                draft = await self.speak(question)
                await self.asend_message(draft, audience)
                name = agent_name(self.index)
                asked = REVIEW.format(author=name, question=question, draft=draft)
                reviews = await asyncio.gather(*(peer.speak(asked) for peer in audience))
                for peer, review in zip(audience, reviews, strict=True):
                    await peer.asend_message(review, [self])
                heard = feedback_lines([agent_name(peer.index) for peer in audience], reviews)
                revision = await self.speak(REVISE.format(question=question, draft=draft, feedback=heard))
                said.append(Said(draft, reviews, revision))

        class Community(Model):
            """All members."""

            def __init__(self) -> None:
                super().__init__()
                self.members = [Member(self, index) for index in range(settings.agents)]

            def step(self) -> None:
                # What ``parallel_stepping = True`` does, which no longer has an effect on ``model.agents`` of Mesa 3.5.
                step_agents_parallel_sync(list(self.agents))

        self._model = Community()

    def run(self, rounds: int) -> None:
        while self._model.steps < rounds:
            self._model.step()

    def said(self) -> list[Said]:
        return self._said

    def close(self) -> None:
        pass


if __name__ == "__main__":
    measure("mesa-llm", MesaSociety)
