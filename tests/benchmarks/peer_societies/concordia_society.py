"""The conversation by entities of Concordia (the prefab ``minimal``), in threads by its own ``run_tasks``.

What others say is observed by an entity, stays in its associative memory and is part of its later prompts. After each round the
states of all entities are written to a checkpoint, as Concordia's own simulations do after each step, and another process goes
on from the last one.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from conversation import API_KEY, MODEL, REVIEW, REVISE, SYSTEM, Said, Settings, agent_name, feedback_lines, measure


class ConcordiaSociety:
    """Entities that act one after the other within a task, and side by side in many."""

    def __init__(self, settings: Settings) -> None:
        import numpy as np
        from concordia.associative_memory.basic_associative_memory import AssociativeMemoryBank
        from concordia.contrib.language_models.openai.gpt_model import GptLanguageModel
        from concordia.prefabs.entity import minimal
        from concordia.typing import entity
        from concordia.utils import concurrency

        def embed(text: str) -> np.ndarray:
            """Hashed words, as cheap as those of the other side."""
            vector = np.zeros(384, np.float32)
            for word in text.lower().split():
                vector[zlib.crc32(word.encode()) % 384] += 1
            return vector / max(float(np.linalg.norm(vector)), 1e-9)

        model = GptLanguageModel(MODEL, api_key=API_KEY, api_base=settings.url)
        self._settings, self._run_tasks, self._actions = settings, concurrency.run_tasks, entity
        self._entities = []
        for index in range(settings.agents):
            name = agent_name(index)
            prefab = minimal.Entity(params={"name": name, "custom_instructions": SYSTEM.format(name=name)})
            self._entities.append(prefab.build(model, AssociativeMemoryBank(embed)))
        self._said: list[Said] = []
        self._done = 0
        self._checkpoint = settings.out / "checkpoint.json"
        if self._checkpoint.exists():
            kept = json.loads(self._checkpoint.read_text(encoding="utf-8"))
            self._done = kept["round"]
            for one in self._entities:
                one.set_state(kept["entities"][one.name])

    def run(self, rounds: int) -> None:
        while self._done < rounds:
            self._round(self._done)
            self._done += 1
            kept = {"round": self._done, "entities": {one.name: one.get_state() for one in self._entities}}
            new = self._checkpoint.with_suffix(".new")
            new.write_text(json.dumps(kept), encoding="utf-8")
            new.replace(self._checkpoint)

    def said(self) -> list[Said]:
        return self._said

    def close(self) -> None:
        pass

    def _act(self, index: int, prompt: str, *heard: str) -> str:
        for words in heard:
            self._entities[index].observe(words)
        spec = self._actions.ActionSpec(call_to_action=prompt, output_type=self._actions.OutputType.FREE)
        return str(self._entities[index].act(spec))

    def _round(self, number: int) -> None:
        """All conversations of a round at once, each in a thread: faster than all drafts, then all reviews, and so on."""
        said = self._at_once(range(self._settings.agents), lambda index: self._converse(index, number))
        self._said += said.values()

    def _converse(self, author: int, number: int) -> Said:
        name, question = agent_name(author), self._settings.question(author, number)
        draft = self._act(author, question)
        heard = f'{name} was asked: "{question}" and answered in round {number}: "{draft}"'
        asked = REVIEW.format(author=name, question=question, draft=draft)
        # An entity has a lock: it reviews the drafts of k others one after the other.
        reviews = self._at_once(self._settings.reviewers_of(author), lambda peer: self._act(peer, asked, heard))
        peers, texts = [agent_name(peer) for peer in reviews], list(reviews.values())
        told = [
            f'In round {number} {peer} said of your answer: "{text}"' for peer, text in zip(peers, texts, strict=True)
        ]
        revise = REVISE.format(question=question, draft=draft, feedback=feedback_lines(peers, texts))
        return Said(draft, texts, self._act(author, revise, *told))

    def _at_once(self, indices: Sequence[int], task: Callable[[int], Any]) -> dict[int, Any]:
        """What a task gives for each agent, in their order; each in a thread of its own."""
        found = self._run_tasks({str(index): functools.partial(task, index) for index in indices})
        return {index: found[str(index)] for index in indices}


if __name__ == "__main__":
    measure("gdm-concordia", ConcordiaSociety)
