"""Evolution: simulate, train on the record so far, simulate with the trained model, and so on.

The folder contains ``generation-0``, the base, and for each later generation N in ``generation-N`` its society ``run``, which
uses earlier models, the ``model`` trained on the record, and the ``evaluation`` of that model. Held-out answers are rated by
the society's raters, on whose ratings it is trained, and by an independent judge. With a reward, societies that the model was
not trained in (``heldout-1-1``, ...) are simulated as well, and their rewards compared.

``FIELDS`` says what ``evolve.json`` holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sandbox.data_files import read_questions
from sandbox.errors import SettingsError
from sandbox.folders import check_same_identity, finite, locked, removed_if_refused, write_json
from sandbox.models.catalog import load_model, trained_uri
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import is_society_setting
from sandbox.society.kept import repeated_by_command
from sandbox.society.setup import resolve_settings
from sandbox.typed_settings import make_settings, typed
from sandbox.world import World
from trainers.base import check_trained, load_trainer
from trainers.evaluation.evaluation import Evaluation
from trainers.evaluation.judges import INDEPENDENT, check_judge
from trainers.evolution.generations import (
    mean_scores,
    model_shares,
    paired_differences,
    scores_by_question,
    society_scores,
    verdict,
    verdict_text,
)
from trainers.evolution.outcomes import (
    HeldOutSociety,
    heldout_seed,
    outcome_gain,
    outcome_of,
    read_heldout,
    rewarded_alike,
)
from trainers.evolution.settings import EvolutionSettings, check_owners, check_rated, plain_setting, settings_for
from trainers.rows.build import rows_from

SCHEMA = 1
# What the keys of evolve.json mean, beside those of EvolutionSettings; names within the objects of a list follow a dot.
FIELDS: dict[str, str] = {
    "schema": "Version of the format.",
    "command": "Command that repeats the evolution.",
    "scenario": "Name of the scenario.",
    "raters": "Name of the judge that rates as the society's observer does.",
    "training": "Settings of each trainer.",
    "settings": "Settings of the society.",
    "dimensions": "Dimensions of the rubric.",
    "scale": "Highest rating of the rubric.",
    "heldout_questions": "Number of held-out questions.",
    "stopped": "Why it stopped before the last generation; null if it did not.",
    "generations": "One object for each generation; 0 is the base.",
    "generations.generation": "Its number.",
    "generations.model": "URI of its model.",
    "generations.trainer": "Trainer of the model; null for the base.",
    "generations.unchanged": "Why the model was not trained but kept as it was; null if it was trained.",
    "generations.society": "Scores of its society: interactions, failed, scores, rating; null for the base.",
    "generations.candidates": "Trainer, model and fitness of each model that was trained.",
    "generations.heldout": (
        "Mean score on held-out questions, by judge and dimension, with a 95% interval; null if there are no such questions."
    ),
    "generations.outcome": (
        "With a reward, its mean in held-out societies, with a 95% interval over societies, and for each society its settings, "
        "seed, mean reward (0 in rounds after its end), rounds that it lasted, and means of its measures over these; else null."
    ),
    "generations.outcome_since_first": "Difference of that reward from generation 0, paired by society; null for the base.",
    "generations.tokens_mean": "Mean length of the answers to held-out questions, in tokens.",
    "generations.since_first": "Differences from generation 0, paired by question, by judge and dimension.",
    "generations.since_previous": "Differences from the generation before.",
    "generations.verdict": (
        "fooled, if the raters' score rose and the judge's fell, both significantly; apart, if only the means did; else null."
    ),
}


class Evolution:
    """A society over generations of its language model.

    Args:
        scenario: As for :class:`~sandbox.world.World`.
        out: Output folder; finished parts are not repeated.
        training: Settings of all trainers that have them, or of one: ``dpo.beta``.
        settings: Settings of the world, its society and the scenario.
        command: Command that repeats the evolution, for the record.
        **plan: Fields of :class:`~trainers.evolution.settings.EvolutionSettings`.

    Raises:
        SettingsError: a setting is invalid; nothing was started.
        RunExists: ``out`` contains another evolution.
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
        given_size = typed("evolve", {"size": self._world.pop("size", None)}, {"size": int | None})["size"]
        society, self.scenario, side = resolve_settings(scenario, given_size, self._world)
        self._size = side if society.rows is None else None
        self._rated: dict[str, Any] = {
            name: given for name in ("reward", "dimension") if (given := getattr(self.plan, name)) is not None
        }
        check_rated(f"scenario {self.scenario.name!r}", self.scenario, **self._rated)
        self._agents = society.count(side)
        self._society = {name: value for name, value in self._world.items() if is_society_setting(name)}
        check_owners(self.plan.trainers, training or {})
        self._training = {name: settings_for(name, training or {}) for name in self.plan.trainers}
        for name, given in self._training.items():
            load_trainer(name, **given)
        base = load_model(self.plan.base)
        # Raters and observers stay the same while the agents' model changes.
        self._society |= {"observer": self.plan.base, "rater": base.default_rater, **named}
        raters = society.observer_rater or self._society["rater"]
        self.raters = self._society["observer"] if raters == "lm" else raters
        if self.raters == self.plan.judge:
            raise SettingsError(
                f"judge {self.plan.judge!r} also rates in the society; give an independent one, for example "
                f"--judge {INDEPENDENT} or the URI of a language model"
            )
        check_judge(self.plan.judge)
        self._embedder = str(society.embedder or getattr(base, "default_embedder", "minilm"))
        asked = read_questions(self.plan.questions) if self.plan.questions else list(self.scenario.heldout)
        asked = asked[: self.plan.n_questions]
        several = len(self.plan.trainers) > 1 and self.plan.reward is None
        self._choosing = asked[::3] if several else []
        self._heldout = [q for q in asked if q not in set(self._choosing)]
        if not self._heldout and self.plan.reward is None:
            raise SettingsError(
                f"scenario {self.scenario.name!r} has too few held-out questions; give a file with --questions, or train on "
                "a reward of the scenario (--reward), which is measured in held-out societies"
            )
        self._societies = {} if self.plan.reward is None else self._held_out(scenario, given_size)
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

    def _held_out(self, scenario: str | Scenario, size: int | None) -> dict[str, list[HeldOutSociety]]:
        """The societies in which models are tried, and, for several trainers, those by which the best is chosen."""
        found: dict[str, list[HeldOutSociety]] = {"heldout": [], "choice": []}
        asked = [("heldout", settings) for settings in read_heldout(self.plan.heldout)]
        if len(self.plan.trainers) > 1:
            asked.append(("choice", {}))
        for number, (use, settings) in enumerate(asked, 1):
            _, made, _ = resolve_settings(scenario, size, {**self._world, **settings})
            own = {name: value for name, value in settings.items() if is_society_setting(name)}
            for one in range(1, self.plan.societies + 1):
                seed = heldout_seed(self.plan.seed, number * 1000 + one)
                found[use].append(HeldOutSociety(settings, made, own, seed, f"{use}-{number}-{one}"))
        return found

    def run(self, on_stage: Callable[[str], Any] | None = None) -> dict[str, Any]:
        """Run the remaining generations.

        Args:
            on_stage: Callback, receives a description of each stage that starts.

        Returns:
            The content of ``evolve.json``.

        Raises:
            RunLocked: another process writes to the folder.
        """
        tell = on_stage or (lambda words: None)
        first = self.out / "generation-0" / "evaluation" / "evaluation.json"
        with removed_if_refused(self.out, first.is_file), locked(self.out / "evolve.lock"):
            self._start()
            records: list[dict[str, Any]] = []
            scores: list[Any] = []
            for generation in range(self.plan.generations + 1):
                record, found = self._generation(generation, [r["model"] for r in records], tell)
                scores.append(found)
                self._compare(record, scores, records[0]["outcome"] if records else None)
                records.append(record)
                result = {**self.header, "command": self._command, "stopped": None, "generations": records}
                if record["verdict"]:
                    tell(verdict_text(record, self.header))
                if record["verdict"] == "fooled" and self.plan.stop:
                    result["stopped"] = verdict_text(record, self.header)
                self._write(result)
                if result["stopped"]:
                    break
        return dict(finite(result))

    def _generation(self, number: int, models: Sequence[str], tell: Callable[[str], Any]) -> tuple[dict[str, Any], Any]:
        folder = self.out / f"generation-{number}"
        record: dict[str, Any] = {
            "generation": number, "model": self.plan.base, "trainer": None, "unchanged": None, "society": None,
        }  # fmt: skip
        candidates: list[dict[str, Any]] = []
        if number:
            tell(f"generation {number} of {self.plan.generations}: simulating ({folder / 'run'})")
            self._simulate(folder / "run", number, models)
            record["society"] = society_scores(folder / "run")
            for trainer in self.plan.trainers:
                tell(f"generation {number} of {self.plan.generations}: training with {trainer}")
                candidates.append(self._train(folder, trainer, number, models, tell))
            record |= self._best(folder, candidates)
        tell(f"generation {number} of {self.plan.generations}: evaluating")
        record |= {"candidates": candidates, "heldout": None, "tokens_mean": None, "outcome": None}
        if self._societies:
            record["outcome"] = self._outcome(folder, record["model"], "heldout")
        if not self._heldout:
            return record, None
        result = self._evaluate(folder / "evaluation", record["model"], self._heldout)
        judges = [self.raters, self.plan.judge]
        found = scores_by_question(result["answers"], self.header["dimensions"], judges)
        return record | {"heldout": mean_scores(found), "tokens_mean": result["models"][0]["tokens_mean"]}, found

    def _outcome(self, folder: Path, model: str, use: str) -> dict[str, Any]:
        """Simulate the held-out societies of a model, and what their reward came to."""
        societies = self._societies[use]
        for one in societies:
            self._play(one.scenario, folder / one.folder, model, one.seed, one.society)
        return outcome_of(societies, folder, str(self.plan.reward), self.plan.rounds)

    def _simulate(self, path: Path, number: int, models: Sequence[str]) -> None:
        """Simulate the society of a generation; questions continue after those of the previous one."""
        questions = list(self.scenario.questions)
        start = (number - 1) * self.plan.rounds * self._agents % len(questions)
        turned = replace(self.scenario, questions=questions[start:] + questions[:start])
        self._play(turned, path, model_shares(models, self.plan.share), self.plan.seed + number, {})

    def _play(self, scenario: Scenario, path: Path, model: Any, seed: int, settings: Mapping[str, Any]) -> None:
        world = World(
            scenario, model=model, size=self._size, seed=seed, out=path, resume=True, command=self._command,
            **{**self._society, **settings},
        )  # fmt: skip
        with closing(world), repeated_by_command():
            world.run(self.plan.rounds)

    def _train(
        self, folder: Path, name: str, number: int, models: Sequence[str], tell: Callable[[str], Any]
    ) -> dict[str, Any]:
        target = folder / ("model" if len(self.plan.trainers) == 1 else f"model-{name}")
        start = models[-1] if self.plan.begin == "last" else models[0]
        if not (target / "training.json").exists():
            given = self._training[name]
            trainer = load_trainer(name, **{"seed": self.plan.seed + number, **given})
            first = 1 if self.plan.record == "all" else number
            runs = [self.out / f"generation-{n}" / "run" for n in range(first, number + 1)]
            if self.plan.reward is not None and rewarded_alike(runs, self.plan.reward):
                why = f"everything was rewarded alike ({self.plan.reward}), so that there is nothing to learn"
                tell(f"generation {number} of {self.plan.generations}: {name}: {why}; the model stays {start}")
                return {"trainer": name, "model": start, "unchanged": why}
            rows = rows_from(list(runs), trainer.accepts, **self._rated, **self._learners(models))
            if len(rows) == 0:
                raise SettingsError(
                    f"{folder / 'run'} has no training rows for {name}; use more --rounds or a larger --size"
                )
            trained = check_trained(trainer.name, trainer.train(rows, base=start, out=target))
            for note in getattr(trained, "notes", ()):
                tell(f"generation {number} of {self.plan.generations}: {name}: {note}")
        return {"trainer": name, "model": trained_uri(start, target)}

    def _learners(self, models: Sequence[str]) -> dict[str, Any]:
        """On a reward, agents with earlier models are others, of whom the newest model does not learn."""
        others = self.plan.reward is not None and self.plan.record == "last" and self.plan.share < 1
        return {"models": [models[-1]]} if others else {}

    def _best(self, folder: Path, candidates: list[dict[str, Any]]) -> dict[str, Any]:
        """The best candidate, by the reward in societies, or by the score of the society's raters."""
        if len(candidates) > 1 and self._societies:
            for candidate in candidates:
                own = folder / f"choice-{candidate['trainer']}"
                candidate["fitness"] = self._outcome(own, candidate["model"], "choice")["reward"]
        elif len(candidates) > 1:
            dimension = self.header["dimensions"][0]
            for candidate in candidates:
                result = self._evaluate(folder / f"choice-{candidate['trainer']}", candidate["model"], self._choosing)
                [about] = result["models"]
                candidate["fitness"] = about["by_judge"][self.raters][dimension]
        best = max(candidates, key=_fitness)
        return {"model": best["model"], "trainer": best["trainer"], "unchanged": best.get("unchanged")}

    def _evaluate(self, folder: Path, model: str, questions: Sequence[str]) -> dict[str, Any]:
        kept = folder / "evaluation.json"
        if not kept.exists():
            from trainers.evaluation.evaluation import write_evaluation

            evaluation = Evaluation(
                [model], questions, scenario=self.scenario, judge=[self.raters, self.plan.judge], embedder=self._embedder,
                samples=self.plan.samples, seed=self.plan.seed, max_tokens=self.plan.max_tokens,
                controls=None if folder.name == "evaluation" and folder.parent.name == "generation-0" else False,
            )  # fmt: skip
            write_evaluation(evaluation.run(), folder)
        return dict(json.loads(kept.read_text(encoding="utf-8")))

    def _compare(self, record: dict[str, Any], scores: Sequence[Any], first_outcome: Any) -> None:
        """Compare the model of a generation with the first and the previous one."""
        record |= {"since_first": None, "since_previous": None, "verdict": None, "outcome_since_first": None}
        if len(scores) == 1:
            return
        if record["outcome"] is not None:
            record["outcome_since_first"] = outcome_gain(record["outcome"], first_outcome)._asdict()
        if scores[-1] is None:
            return
        first, dimension = paired_differences(scores[-1], scores[0]), self.header["dimensions"][0]
        previous = paired_differences(scores[-1], scores[-2])
        found = {verdict(d[self.raters][dimension], d[self.plan.judge][dimension]) for d in (first, previous)}
        worst = next((v for v in ("fooled", "apart") if v in found), None)
        record |= {"since_first": first, "since_previous": previous, "verdict": worst}

    def _start(self) -> None:
        """Record the identity of the evolution in its folder, or check it against the recorded one."""
        path = self.out / "evolve.json"
        if not path.exists():
            self._write({**self.header, "command": self._command, "stopped": None, "generations": []})
            return
        # An evolution that was begun before there was a setting has its default.
        kept = {**asdict(EvolutionSettings()), **json.loads(path.read_text(encoding="utf-8"))}
        ours = {name: value for name, value in self.header.items() if name not in ("generations", "stop")}
        check_same_identity(self.out, kept, ours, what="evolution")

    def _write(self, result: Mapping[str, Any]) -> None:
        write_json(self.out / "evolve.json", result, indent=1)


def _fitness(candidate: Mapping[str, Any]) -> float:
    """By which the best of several is chosen; the lowest where it could not be measured."""
    mean = candidate.get("fitness", {}).get("mean")
    return -math.inf if mean is None else float(mean)
