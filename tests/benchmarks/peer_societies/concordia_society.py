"""The conversation by entities of Concordia (the prefab ``minimal``), in threads by its own ``run_tasks``.

What others say is observed by an entity, stays in its associative memory and is part of its later prompts. After each round the
states of all entities are written to a checkpoint, as Concordia's own simulations do after each step, and another process goes
on from the last one.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable, Mapping

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
        settings, everyone = self._settings, range(self._settings.agents)
        names = [agent_name(index) for index in everyone]
        questions = [settings.question(index, number) for index in everyone]
        drafts = self._everyone(lambda index: self._act(index, questions[index]))
        # An entity does one thing at a time: it reviews the drafts of k others one after the other.
        authors = {index: [one for one in everyone if index in settings.reviewers_of(one)] for index in everyone}

        def review(reviewer: int) -> Mapping[int, str]:
            found = {}
            for author in authors[reviewer]:
                asked = {"author": names[author], "question": questions[author], "draft": drafts[author]}
                heard = f'{names[author]} was asked: "{questions[author]}" and answered in round {number}: "{drafts[author]}"'
                found[author] = self._act(reviewer, REVIEW.format(**asked), heard)
            return found

        reviews = self._everyone(review)
        feedback = {a: [reviews[peer][a] for peer in settings.reviewers_of(a)] for a in everyone}

        def revise(author: int) -> str:
            peers = [names[peer] for peer in settings.reviewers_of(author)]
            heard = [
                f'In round {number} {peer} said of your answer: "{said}"'
                for peer, said in zip(peers, feedback[author], strict=True)
            ]
            lines = feedback_lines(peers, feedback[author])
            asked = REVISE.format(question=questions[author], draft=drafts[author], feedback=lines)
            return self._act(author, asked, *heard)

        revisions = self._everyone(revise)
        self._said += [Said(drafts[index], feedback[index], revisions[index]) for index in everyone]

    def _everyone(self, task: Callable[[int], object]) -> dict[int, object]:
        """What the task gives for each agent, all at once."""
        tasks = {str(index): functools.partial(task, index) for index in range(self._settings.agents)}
        return {int(key): found for key, found in self._run_tasks(tasks).items()}


if __name__ == "__main__":
    measure("gdm-concordia", ConcordiaSociety)
