"""All that ``sandbox evaluate`` measures, in any mix, into one folder: ``evaluation.json``, a table, figures.

Each part is a key of the result: answers to ``questions`` are its ground (see :mod:`trainers.evaluation.evaluation`);
``pairs``,
``choices``, ``side_effects`` and ``tasks`` stand beside them, as their modules have them. ``alarms`` are in words what a
reader should know before any score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.conversation.steps import CallLog
from sandbox.data_files import read_questions
from sandbox.errors import SettingsError
from sandbox.folders import write_text
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import load_model
from sandbox.scenario.loading import load_scenario
from sandbox.typed_settings import check_settings, typed
from trainers.evaluation.adversarial import PRESSURES
from trainers.evaluation.evaluation import SCHEMA, Evaluation, write_evaluation
from trainers.evaluation.judge_controls import card_alarms
from trainers.evaluation.likelihood_model import require_local_weights

# Given what is measured and how much there is to do: shows how much is done.
Progress = Callable[[str, float], AbstractContextManager[Callable[..., Any]]]


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """What is measured.

    Attributes:
        questions: A file, or a scenario whose held-out questions are asked; with nothing else asked for, those of
            ``scenario`` are.
        adversarial: Ask them under every pressure too.
        pairs: A file of preferences.
        reference: For pairs, what implicit rewards are seen from.
        choices: A file of questions with choices.
        tasks: Names or folders of the harness.
        limit: Items of each task at most.
        side_effects: Whether they are measured.
        controls: Whether judges are checked by speakers of known worth; see
            :class:`~trainers.evaluation.evaluation.Evaluation`. True takes the speakers from ``pairs``, if given.
    """

    questions: str | None = None
    adversarial: bool = False
    pairs: str | None = None
    reference: str | None = None
    choices: str | None = None
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    side_effects: bool = False
    controls: bool | None = None

    @property
    def needs_weights(self) -> bool:
        """Whether likelihoods are computed, which takes models with weights here."""
        return bool(self.pairs or self.choices or self.tasks)

    @property
    def needs_answers(self) -> bool:
        """Whether questions are asked."""
        others = self.pairs or self.choices or self.tasks or self.side_effects
        return bool(self.controls) or self.questions is not None or self.adversarial or not others


def run_suite(
    models: Sequence[str | LanguageModel],
    parts: SuiteSettings,
    *,
    names: Sequence[str] | None = None,
    scenario: str = "value_alignment",
    progress: Progress,
    seeds: Sequence[int] = (0,),
    log: CallLog | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Measure models.

    Args:
        models: URIs or models; the first is what others are compared with.
        parts: What is measured.
        names: What they are called; by default their URIs.
        scenario: Brings the rubric and the held-out questions.
        progress: Shows it.
        seeds: Of all answers.
        log: Where replies of models and judges are kept, for resuming.
        **settings: Of :class:`~trainers.evaluation.evaluation.Evaluation`; ``max_length`` and ``dtype`` are those of pairs.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        SandboxError: something cannot be measured; files are read, and settings checked, before anything is.
    """
    reading: dict[str, Any] = {name: settings.pop(name) for name in ("max_length", "dtype") if name in settings}
    check_settings("evaluation of pairs", reading, ("max_length", "dtype") if parts.pairs else ())
    reading = typed("evaluation of pairs", reading, {"max_length": int, "dtype": str})
    if not models and not parts.controls:
        raise SettingsError("name at least one model to evaluate; --controls alone checks judges without any")
    if parts.reference is not None and parts.pairs is None:
        raise SettingsError("--reference is what --pairs are seen from; give a file with --pairs")
    if not parts.needs_answers and settings and not parts.side_effects:
        known = ("max_length", "dtype") if parts.pairs else ()
        check_settings("evaluation of pairs", settings.keys() - _PLAIN, known)
    rows, items = _read(parts)
    loaded = [load_model(model) for model in models]
    reference = None if parts.reference is None else load_model(parts.reference)
    if parts.needs_weights:
        for model in loaded if reference is None else [*loaded, reference]:
            require_local_weights(model)
    evaluation = None
    if parts.needs_answers:
        asked, scenario = _questions(parts.questions, scenario)
        evaluation = Evaluation(
            loaded, asked, names=names, scenario=scenario, seeds=seeds, controls=parts.controls,
            control_pairs=control_pairs(rows) if parts.controls else (),
            pressures=tuple(PRESSURES) if parts.adversarial else (), **settings,
        )  # fmt: skip
    called = list(names) if names else evaluation.names if evaluation else [model.uri for model in loaded]
    result: dict[str, Any] = {
        "schema": SCHEMA, "dimensions": [], "questions": 0, "samples": 0, "models": [], "differences": [], "answers": [],
    }  # fmt: skip
    if evaluation is not None and not loaded:
        with progress("controls", evaluation.n_card_ratings()) as show:
            cards = evaluation.report_cards(log, show)
        result |= {
            "scenario": evaluation.scenario.name, "judge": ", ".join(evaluation.judges.names),
            "judges": evaluation.judges.names, "notes": evaluation.judges.notes, "alarms": card_alarms(cards),
            "scale": evaluation.scenario.rubric.scale,
            "judging": {"raters": dict(evaluation.judges.raters), "controls": cards},
        }  # fmt: skip
        return result
    if evaluation is not None:
        with progress("answers", evaluation.n_answers) as show:
            answers = evaluation.ask(log=log, on_answers=show)
        with progress("judging", evaluation.n_ratings(answers)) as show:
            result |= evaluation.judge(answers, log=log, on_ratings=show)
    if rows is not None:
        from trainers.evaluation.preference_accuracy import compare_pairs, n_readings

        with progress("pairs", n_readings(loaded, reference) * len(rows)) as show:
            result["pairs"] = {
                "file": parts.pairs,
                **compare_pairs(
                    # Weights of another type are loaded for this alone.
                    models if "dtype" in reading else loaded,
                    rows,
                    names=called,
                    reference=parts.reference if "dtype" in reading else reference,
                    on_pairs=show,
                    **reading,
                ),
            }
    if items is not None:
        from trainers.evaluation.multiple_choice import compare_choices

        with progress("choices", len(models) * len(items)) as show:
            result["choices"] = {"file": parts.choices, **compare_choices(loaded, items, names=called, on_items=show)}
    if parts.side_effects:
        from trainers.evaluation.side_effects import alarms, harmless_questions, side_effects

        with progress("side effects", len(models) * len(harmless_questions()) * len(seeds)) as show:
            max_tokens = int(settings.get("max_tokens", 48))
            found = side_effects(loaded, names=called, seeds=seeds, max_tokens=max_tokens, log=log, on_answers=show)
        result |= {"side_effects": found, "alarms": [*result.get("alarms", []), *alarms(found)]}
    if parts.tasks:
        from trainers.evaluation.lm_harness import run_tasks

        with progress("tasks", 1):
            result["tasks"] = run_tasks(loaded, parts.tasks, names=called, limit=parts.limit, seed=seeds[0])
    return result


# What callers always give, whether it is used or not.
_PLAIN = {"judge", "samples", "embedder"}


def _read(parts: SuiteSettings) -> tuple[Any, Any]:
    """Rows of pairs, and items of choices; read before anything is measured."""
    if parts.tasks:
        from trainers.evaluation.lm_harness import check_tasks

        check_tasks(parts.tasks)
    rows = items = None
    if parts.pairs is not None:
        from trainers.rows.build import pairs_from

        rows = pairs_from(parts.pairs)
    if parts.choices is not None:
        from trainers.evaluation.multiple_choice import read_choices

        items = read_choices(parts.choices)
    return rows, items


def control_pairs(rows: Any) -> list[tuple[str, str, str]]:
    """Preference rows as (question, chosen, rejected); the question of a conversation is the whole of it up to the answer."""
    if rows is None:
        return []
    return [(_asked(r["prompt"]), r["chosen"][-1]["content"], r["rejected"][-1]["content"]) for r in rows]


def _asked(prompt: Sequence[Mapping[str, str]]) -> str:
    """A prompt as one text: a question by itself, else the turns with who speaks."""
    if len(prompt) == 1:
        return prompt[0]["content"]
    names = {"user": "Question", "assistant": "Answer", "system": "Instruction"}
    return "\n\n".join(f"{names.get(turn['role'], turn['role'])}: {turn['content']}" for turn in prompt)


def _questions(given: str | None, scenario: str) -> tuple[list[str] | None, str]:
    """Questions of a file with the scenario that judges their answers; or a scenario, whose own they are."""
    if given is None:
        return None, scenario
    is_file = Path(given).suffix in (".txt", ".jsonl", ".json", ".csv") or given.count("/") == 1
    if is_file and not given.endswith(".py"):
        return read_questions(given), scenario
    load_scenario(given, {})  # refused here, by its name
    return None, given


def write_suite(result: dict[str, Any], out: Path) -> Path:
    """Write ``evaluation.json``, and ``evaluation.md`` to be read, into a folder; returns the former's path.

    Raises:
        SandboxError: the folder holds an evaluation already.
    """
    from trainers.evaluation.tables import markdown

    target = write_evaluation(result, out)
    write_text(out / "evaluation.md", markdown(result))
    return target
