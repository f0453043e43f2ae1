"""Societies that evolve: simulate, train on the record so far, put the trained model back, and again.

A folder holds ``generation-0``, the base, and for each later generation N in ``generation-N`` its society ``run``, spoken
through the models before it, the ``model`` trained on the record, and the ``evaluation`` of that model. Held-out answers
are rated by the society's own raters, which it learns to please, and by a judge that it never met.

``evolve.json`` (schema 1) keeps how it was set up and ``generations``, a list of {generation, model, trainer, society,
candidates, heldout, tokens_mean, since_first, since_previous, verdict}; see :mod:`trainers.evolution.generations`.
``verdict`` is ``fooled`` where raters think better of the model than before while the judge thinks worse of it, both
surely; ``apart`` where only the means say so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sandbox.data_files import read_questions
from sandbox.errors import RunExists, RunLocked, SettingsError
from sandbox.folders import finite, write_json
from sandbox.models.catalog import load_model
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import SOCIETY_SETTINGS
from sandbox.society.setup import resolve_settings
from sandbox.typed_settings import make_settings
from sandbox.world import World
from trainers.base import load_trainer
from trainers.evaluation.evaluation import Evaluation
from trainers.evaluation.judges import INDEPENDENT
from trainers.evolution.generations import by_question, differences, means, mixture, society_scores, verdict, words_of
from trainers.evolution.settings import EvolutionSettings, plain_setting, settings_of
from trainers.rows.build import rows_from

SCHEMA = 1


class Evolution:
    """A society over generations of its language model.

    Args:
        scenario: As for :class:`~sandbox.world.World`.
        out: The folder of everything; what is finished there is not done again.
        training: Settings of every trainer that has them, or as ``dpo.beta`` of one.
        settings: Of the world, its society and the scenario.
        command: How to repeat it, for the record.
        **plan: Fields of :class:`Plan`.

    Raises:
        SettingsError: a setting cannot be used; nothing was started.
        RunExists: ``out`` holds another evolution.
    """

    def __init__(
        self,
        scenario: str | Scenario,
        *,
        out: str | Path,
        training: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        command: str = "",
        **plan: Any,
    ) -> None:
        self.plan = make_settings("evolve", EvolutionSettings, plan)
        self.out, self._command = Path(out), command
        self._world: dict[str, Any] = dict(settings or {})
        named: dict[str, Any] = {
            n: self._world.pop(n) for n in ("population", "protocol", "rater", "observer") if n in self._world
        }
        self._size = int(self._world.pop("size", 4))
        society, self.scenario = resolve_settings(scenario, self._size, self._world)
        self._agents = society.count(self._size)
        self._society = {name: value for name, value in self._world.items() if name in SOCIETY_SETTINGS}
        self._training = {name: settings_of(name, training or {}) for name in self.plan.trainers}
        for name, given in self._training.items():
            load_trainer(name, **given)
        base = load_model(self.plan.base)
        # Raters and observers stay who they are while the agents' model changes.
        self._society |= {"observer": self.plan.base, "rater": base.default_rater, **named}
        raters = society.observer_rater or self._society["rater"]
        self.raters = self._society["observer"] if raters == "lm" else raters
        if self.raters == self.plan.judge:
            raise SettingsError(
                f"judge {self.plan.judge!r} rates in the society too; give one that has no part in it, as "
                f"--judge {INDEPENDENT} or the URI of a language model"
            )
        self._embedder = str(society.embedder or getattr(base, "default_embedder", "minilm"))
        asked = read_questions(self.plan.questions) if self.plan.questions else list(self.scenario.heldout)
        asked = asked[: self.plan.n_questions]
        several = len(self.plan.trainers) > 1
        self._choosing = asked[::3] if several else []
        self._heldout = [q for q in asked if q not in set(self._choosing)]
        if not self._heldout:
            raise SettingsError(f"scenario {self.scenario.name!r} holds out too few questions; give some in a file")
        self.header: dict[str, Any] = {
            "schema": SCHEMA,
            "scenario": self.scenario.name,
            **asdict(self.plan),
            "trainers": list(self.plan.trainers),
            "raters": self.raters,
            "training": self._training,
            "settings": {"size": self._size, **{k: plain_setting(v) for k, v in {**self._world, **named}.items()}},
            "dimensions": [d.name for d in self.scenario.rubric.dimensions],
            "scale": self.scenario.rubric.scale,
            "heldout_questions": len(self._heldout),
        }

    def run(self, on_stage: Callable[[str], Any] | None = None) -> dict[str, Any]:
        """Go on from what is finished to the last generation.

        Args:
            on_stage: Told in words what begins.

        Returns:
            The content of ``evolve.json``.

        Raises:
            RunLocked: another process works in the folder.
        """
        tell = on_stage or (lambda words: None)
        with self._claimed():
            records: list[dict[str, Any]] = []
            scores: list[Any] = []
            for generation in range(self.plan.generations + 1):
                record, found = self._generation(generation, [r["model"] for r in records], tell)
                scores.append(found)
                self._compare(record, scores)
                records.append(record)
                result = {**self.header, "command": self._command, "stopped": None, "generations": records}
                if record["verdict"]:
                    tell(words_of(record, self.header))
                if record["verdict"] == "fooled" and self.plan.stop:
                    result["stopped"] = words_of(record, self.header)
                self._write(result)
                if result["stopped"]:
                    break
        return dict(finite(result))

    def _generation(self, number: int, models: Sequence[str], tell: Callable[[str], Any]) -> tuple[dict[str, Any], Any]:
        folder = self.out / f"generation-{number}"
        record: dict[str, Any] = {"generation": number, "model": self.plan.base, "trainer": None, "society": None}
        candidates: list[dict[str, Any]] = []
        if number:
            tell(f"generation {number} of {self.plan.generations}: a society talks ({folder / 'run'})")
            self._simulate(folder / "run", number, models)
            record["society"] = society_scores(folder / "run")
            for trainer in self.plan.trainers:
                tell(f"generation {number} of {self.plan.generations}: {trainer} learns from the record")
                candidates.append(self._train(folder, trainer, number, models))
            record |= self._best(folder, candidates)
        tell(f"generation {number} of {self.plan.generations}: held-out questions")
        result = self._evaluate(folder / "evaluation", record["model"], self._heldout)
        judges = [self.raters, self.plan.judge]
        found = by_question(result["answers"], self.header["dimensions"], judges)
        tokens = result["models"][0]["tokens_mean"]
        return record | {"candidates": candidates, "heldout": means(found), "tokens_mean": tokens}, found

    def _simulate(self, path: Path, number: int, models: Sequence[str]) -> None:
        """Run a generation's society to its end; each generation is asked the questions after the last one's."""
        questions = list(self.scenario.questions)
        start = (number - 1) * self.plan.rounds * self._agents % len(questions)
        turned = replace(self.scenario, questions=questions[start:] + questions[:start])
        world = World(
            turned, model=mixture(models, self.plan.share), size=self._size, seed=self.plan.seed + number, out=path,
            resume=True, command=self._command, **self._society,
        )  # fmt: skip
        try:
            world.run(self.plan.rounds)
        finally:
            world.close()

    def _train(self, folder: Path, name: str, number: int, models: Sequence[str]) -> dict[str, Any]:
        target = folder / ("model" if len(self.plan.trainers) == 1 else f"model-{name}")
        if not (target / "training.json").exists():
            given = self._training[name]
            trainer = load_trainer(name, **{"seed": self.plan.seed + number, **given})
            first = 1 if self.plan.record == "all" else number
            runs = [self.out / f"generation-{n}" / "run" for n in range(first, number + 1)]
            rows = rows_from(list(runs), trainer.accepts)
            if len(rows) == 0:
                raise SettingsError(f"{folder / 'run'} gives {name} nothing to learn from; use more --rounds or --size")
            trainer.train(rows, base=models[-1] if self.plan.begin == "last" else models[0], out=target)
        return {"trainer": name, "model": f"hf:{target}"}

    def _best(self, folder: Path, candidates: list[dict[str, Any]]) -> dict[str, Any]:
        """The candidate that goes on: the one that the society's raters like best."""
        if len(candidates) > 1:
            dimension = self.header["dimensions"][0]
            for candidate in candidates:
                result = self._evaluate(folder / f"choice-{candidate['trainer']}", candidate["model"], self._choosing)
                [about] = result["models"]
                candidate["fitness"] = about["by_judge"][self.raters][dimension]
        best = max(candidates, key=lambda c: c.get("fitness", {}).get("mean") or 0.0)
        return {"model": best["model"], "trainer": best["trainer"]}

    def _evaluate(self, folder: Path, model: str, questions: Sequence[str]) -> dict[str, Any]:
        kept = folder / "evaluation.json"
        if not kept.exists():
            from trainers.evaluation.evaluation import write_evaluation

            evaluation = Evaluation(
                [model], questions, scenario=self.scenario, judge=[self.raters, self.plan.judge], embedder=self._embedder,
                samples=self.plan.samples, seed=self.plan.seed, max_tokens=self.plan.max_tokens,
            )  # fmt: skip
            write_evaluation(evaluation.run(), folder)
        return dict(json.loads(kept.read_text(encoding="utf-8")))

    def _compare(self, record: dict[str, Any], scores: Sequence[Any]) -> None:
        """Say how a generation's model differs from the first and the previous one's."""
        record |= {"since_first": None, "since_previous": None, "verdict": None}
        if len(scores) == 1:
            return
        first, dimension = differences(scores[-1], scores[0]), self.header["dimensions"][0]
        previous = differences(scores[-1], scores[-2])
        found = {verdict(d[self.raters][dimension], d[self.plan.judge][dimension]) for d in (first, previous)}
        worst = next((v for v in ("fooled", "apart") if v in found), None)
        record |= {"since_first": first, "since_previous": previous, "verdict": worst}

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        self.out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.out / "evolve.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunLocked(f"another process works in {self.out}; wait for it, or choose another --out") from None
        try:
            self._check_same()
            yield
        finally:
            lock.release()

    def _check_same(self) -> None:
        path = self.out / "evolve.json"
        if not path.exists():
            self._write({**self.header, "command": self._command, "stopped": None, "generations": []})
            return
        kept = json.loads(path.read_text(encoding="utf-8"))
        free = ("generations", "stop")
        ours = json.loads(json.dumps(finite(self.header)))
        wrong = [
            f"its {k} is {kept.get(k)!r}, not {v!r}" for k, v in ours.items() if k not in free and kept.get(k) != v
        ]
        if wrong:
            raise RunExists(f"{self.out} holds another evolution: {'; '.join(wrong)}. Choose another --out")

    def _write(self, result: Mapping[str, Any]) -> None:
        write_json(self.out / "evolve.json", result, indent=1)
