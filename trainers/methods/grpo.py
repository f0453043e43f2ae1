"""Group relative policy optimisation: answer, be rated as an agent of the society would be, and learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.errors import SettingsError, TrainingDataError, nearest
from sandbox.scenario.prompts import whole_sentences
from trainers.finetuning.base import FineTuning
from trainers.rows.candidates import PARTS
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class GRPOSettings(TrainingSettings):
    """Settings of group relative policy optimisation, beside those of all trainers.

    Attributes:
        rater: Who rates the answers: a rater of the society, as ``values``, ``reward:MODEL`` or ``lm``.
        scenario: Brings the rubric, and the labelled answers that an observer's values come from.
        dimension: What answers are rated for; by default the first dimension of the scenario's rubric.
        observer: URI of the language model that the rater ``lm`` asks.
        embedder: Of the rater ``values``.
        answers: Answers to each question, which are compared with each other; ``batch_size`` counts questions.
        max_tokens: Length of an answer at most.
        temperature: Of the answers.
        beta: How dearly distance from the base is paid; at 0 it is neither paid nor measured.
        clip: How far a step may change an answer's probability.
    """

    rater: str = "values"
    scenario: str = "value_alignment"
    dimension: str | None = None
    observer: str | None = None
    embedder: str = "minilm"
    answers: int = 4
    max_tokens: int = 48
    temperature: float = 1.0
    beta: float = 0.04
    clip: float = 0.2

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        return [
            *super().faults(),
            *self.below(2, "answers", whole=True),
            *self.below(1, "max_tokens", whole=True),
            *self.below(0, "temperature", "clip", exclusive=True),
            *self.below(0, "beta"),
        ]


class GRPO(FineTuning):
    """Group relative policy optimisation on ratings of the model's own answers (arXiv:2402.03300).

    Online: the model answers each question several times, an observer of the society rates the answers, and those
    rated above their question's mean become likelier. Beside what all trainers report, ``reward`` is the mean rating,
    on the rater's scale.
    """

    name: ClassVar[str] = "grpo"
    accepts: ClassVar[RowKind] = RowKind.PROMPTS
    Settings: ClassVar[type[TrainingSettings]] = GRPOSettings
    settings: GRPOSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Prompts as ids, with the question that a rater is told; requests to comment are left out.

        An observer's rubric is about answers to the society's questions, and says nothing of comments on answers.
        """
        from datasets import Dataset

        found = []
        for row in rows:
            if row.get("part") not in PARTS[1:]:
                ids, _ = encoder.encode(row["prompt"], [])
                question = row.get("question") or _last(row["prompt"])
                found.append({"prompt": encoder.tokenizer.decode(ids), "ids": ids, "question": question})
        if not found:
            raise TrainingDataError(
                "trainer 'grpo' was given no prompts that ask a question: all rows are of the parts "
                f"{', '.join(PARTS[1:])}. Make them with: sandbox dataset RUN --kind prompts --out FILE"
            )
        return Dataset.from_list(found)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """TRL's trainer, given ids so that it neither renders nor cuts anything itself."""
        from trl import GRPOConfig, GRPOTrainer

        from trainers.finetuning.monitor import MonitoredTrainer

        s = self.settings
        reward = Reward(s)
        ids = dict(zip(encoded["prompt"], encoded["ids"], strict=True))

        class Trainer(MonitoredTrainer, GRPOTrainer):
            def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
                return [ids[prompt] for prompt in prompts], None, {}

        return Trainer(
            model=policy.model,
            reward_funcs=reward,
            args=GRPOConfig(
                **{
                    **arguments,
                    "train_sampling_strategy": "random",
                    "per_device_train_batch_size": s.batch_size * s.answers,
                },
                num_generations=s.answers,
                max_completion_length=s.max_tokens,
                temperature=s.temperature,
                beta=s.beta,
                epsilon=s.clip,
            ),
            train_dataset=encoded.remove_columns("ids"),
            processing_class=policy.tokenizer,
            callbacks=[watch],
        )


class Reward:
    """A rater of the society as TRL asks for rewards.

    Args:
        settings: Say who rates, and for what.

    Raises:
        SettingsError: the scenario's rubric has no such dimension, or nobody can be asked.
    """

    __name__ = "rating"

    def __init__(self, settings: GRPOSettings) -> None:
        from sandbox.embedders.base import load_embedder
        from sandbox.models.catalog import load_model
        from sandbox.raters.base import load_rater
        from sandbox.scenario.loading import load_scenario
        from sandbox.society.observer import make_observer

        self._max_tokens = settings.max_tokens
        scenario = load_scenario(settings.scenario, {})
        names = [dimension.name for dimension in scenario.rubric.dimensions]
        self.dimension = settings.dimension or names[0]
        if self.dimension not in names:
            raise SettingsError(
                f"scenario {scenario.name!r} rates no {self.dimension!r}.{nearest(self.dimension, names)} "
                f"Dimensions: {', '.join(names)}"
            )
        if settings.rater == "lm" and settings.observer is None:
            raise SettingsError("rater=lm asks a language model; say which with --set observer=URI, as smollm2")
        lm = None if settings.observer is None else load_model(settings.observer)
        rater = load_rater(settings.rater, embedder=load_embedder(settings.embedder))
        self._observer, _ = make_observer(scenario, rater, lm)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **given: Any) -> list[float]:
        """Rate answers.

        Args:
            prompts: Of the answers; those of one group are the same.
            completions: The answers.
            **given: ``question``, what a rater is told was asked, and ``completion_ids``, the answers' tokens.

        Returns:
            The rating of each answer. Saying nothing is rated lowest. An answer that could not be rated gets the mean
            of its group, which teaches nothing.
        """
        from sandbox.conversation.scheduler import run_conversations

        said = [
            # An agent's answer that the limit cut off loses its last sentence too.
            whole_sentences(answer.strip()) if len(ids) >= self._max_tokens else answer.strip()
            for answer, ids in zip(completions, given["completion_ids"], strict=True)
        ]
        scores = run_conversations([self._observer.score(q, a) for q, a in zip(given["question"], said, strict=True)])
        values = [score.value(self.dimension) if a else 1.0 for score, a in zip(scores, said, strict=True)]
        groups: dict[str, list[float]] = {}
        for prompt, value in zip(prompts, values, strict=True):
            groups.setdefault(prompt, []).extend([] if value is None else [value])
        means = {prompt: sum(rated) / len(rated) if rated else 0.0 for prompt, rated in groups.items()}
        return [means[prompt] if value is None else value for prompt, value in zip(prompts, values, strict=True)]


def _last(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
