"""OnlineFineTuning, the base of trainers that sample answers and have them rated by a rater of the society."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sandbox.errors import SettingsError, TrainingDataError, nearest, require_packages
from sandbox.models.local.chat_template import end_of_turn
from sandbox.scenario.prompts import whole_sentences
from sandbox.typed_settings import above, at_least
from trainers.finetuning.base import FineTuning
from trainers.rows.candidates import PARTS
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class OnlineSettings(TrainingSettings):
    """Settings of trainers that sample answers, in addition to those of all trainers.

    Attributes:
        rater: Rater of the answers: ``values``, ``reward:MODEL`` or ``lm``.
        scenario: Scenario that provides the rubric, and the labelled answers for values.
        dimension: Dimension that is rated; by default the first of the scenario's rubric.
        observer: URI of the language model for the rater ``lm``.
        embedder: Embedder for the rater ``values``.
        answers: Number of answers per question (the group); ``batch_size`` counts questions.
        max_tokens: Maximum length of an answer.
        temperature: Sampling temperature of the answers.
        use_vllm: Sample the answers with vLLM in this process (package ``vllm``, a GPU), which sleeps during each step of the
            training. Importance weights correct for its slightly other probabilities.
        vllm_gpu_memory_utilization: Share of the GPU's memory that vLLM takes, in (0, 1].
    """

    rater: str = "values"
    scenario: str = "value_alignment"
    dimension: str | None = None
    observer: str | None = None
    embedder: str = "minilm"
    answers: Annotated[int, at_least(2)] = 4
    max_tokens: Annotated[int, at_least(1)] = 48
    temperature: Annotated[float, above(0)] = 1.0
    use_vllm: bool = False
    vllm_gpu_memory_utilization: Annotated[float, above(0)] = 0.3


class OnlineFineTuning(FineTuning):
    """A trainer that samples answers to prompts, and learns from their ratings by a rater of the society.

    Logs:
        reward: Mean rating of the answers, on the scale of the rater.
        reward_std: Standard deviation of the ratings of a question's answers.
        frac_reward_zero_std: Share of questions whose answers are all rated alike, from which nothing is learnt.
        rewards/rating/*: Mean and standard deviation of the ratings.
        completions/*: Lengths of the answers, in tokens, and the share that was cut off.
        clip_ratio/*: Share of tokens, or answers, whose ratio is beyond the clip.
        entropy: Entropy of the next token, in nats.
        step_time: Seconds of a step.
    """

    accepts: ClassVar[RowKind] = RowKind.PROMPTS
    Settings: ClassVar[type[TrainingSettings]] = OnlineSettings
    settings: OnlineSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of prompts, with the question for the rater; requests to comment are left out.

        The rubric is about answers to questions, not about comments on answers.
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
                f"trainer {self.name!r} was given no prompts that ask a question: all rows are of the parts "
                f"{', '.join(PARTS[1:])}. Make them with: sandbox dataset RUN --kind prompts --out FILE"
            )
        return Dataset.from_list(found)

    def make_online(
        self,
        policy: Policy,
        encoded: Dataset,
        watch: Any,
        kind: type,
        config: Callable[..., Any],
        arguments: dict[str, Any],
    ) -> Any:
        """Make a trainer of TRL on token ids, so that it neither applies templates nor truncates.

        Args:
            policy: The model in training.
            encoded: Result of :meth:`encode`.
            watch: A callback that the trainer includes.
            kind: Class of TRL's trainer, which has a method ``_tokenize_prompts``.
            config: Class of its configuration.
            arguments: Of the configuration, in addition to those of the settings here.

        Raises:
            SettingsError: nothing names the token that ends an answer, so that none that is drawn would end.
        """
        from trainers.finetuning.monitor import MonitoredTrainer

        s = self.settings
        ids = dict(zip(encoded["prompt"], encoded["ids"], strict=True))

        def _tokenize_prompts(self: Any, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [ids[prompt] for prompt in prompts], None, {}

        made: Any = type("Trainer", (MonitoredTrainer, kind), {"_tokenize_prompts": _tokenize_prompts})
        ours = {
            "train_sampling_strategy": "random",
            "per_device_train_batch_size": s.batch_size * s.answers,
            "num_generations": s.answers,
            "max_completion_length": s.max_tokens,
            "temperature": s.temperature,
            **self.vllm_arguments(),
        }
        return self.make_rewarded(made, policy, encoded, watch, config(**{**arguments, **ours}))

    def vllm_arguments(self) -> dict[str, Any]:
        """Arguments of TRL's configurations for sampling with vLLM; none without the setting ``use_vllm``.

        Raises:
            ToolNotFound: vllm is not installed.
        """
        if not self.settings.use_vllm:
            return {}
        require_packages(f"use_vllm of trainer {self.name!r}", "vllm")
        return {
            "use_vllm": True,
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": self.settings.vllm_gpu_memory_utilization,
            "vllm_enable_sleep_mode": True,
        }

    def make_rewarded(self, made: Any, policy: Policy, encoded: Dataset, watch: Any, config: Any) -> Any:
        """Make a trainer of TRL whose reward is the rating of a rater.

        Args:
            made: Class of the trainer, which includes MonitoredTrainer.
            policy: The model in training.
            encoded: Result of :meth:`encode`.
            watch: A callback that the trainer includes.
            config: Its configuration.

        Raises:
            SettingsError: nothing names the token that ends an answer, so that none that is drawn would end.
        """
        tokenizer = ending_tokenizer(policy.tokenizer, self.name)
        return made(
            model=policy.model,
            reward_funcs=Reward(self.settings, ends=(tokenizer.eos_token_id,)),
            args=config,
            train_dataset=encoded.remove_columns("ids"),
            processing_class=tokenizer,
            callbacks=[watch],
        )


def ending_tokenizer(tokenizer: Any, name: str) -> Any:
    """A copy of a tokenizer whose end of text is the token that ends an answer, at which alone TRL stops.

    Args:
        tokenizer: Of the base.
        name: Name of the trainer, for the error.

    Raises:
        SettingsError: nothing names that token.
    """
    end = end_of_turn(tokenizer)
    if not end:
        raise SettingsError(
            f"trainer {name!r} draws answers, and the tokenizer of the base names no token that ends them; set eos_token in "
            "its tokenizer_config.json"
        )
    copied = deepcopy(tokenizer)
    copied.eos_token = end
    return copied


class Reward:
    """Reward function for TRL, from a rater of the society.

    Args:
        settings: Settings that name the rater and the dimension.
        ends: Ids of the tokens that end an answer, also if they come where it would be cut off.

    Raises:
        SettingsError: the rubric has no such dimension, or the rater ``lm`` has no model.
    """

    __name__ = "rating"

    def __init__(self, settings: OnlineSettings, ends: Collection[int] = ()) -> None:
        from sandbox.embedders.base import load_embedder
        from sandbox.models.catalog import load_model
        from sandbox.raters.base import load_rater
        from sandbox.scenario.loading import load_scenario
        from sandbox.society.observer import make_observer

        self._max_tokens, self._ends = settings.max_tokens, frozenset(ends)
        scenario = load_scenario(settings.scenario, {})
        names = [dimension.name for dimension in scenario.rubric.dimensions]
        self.dimension = settings.dimension or names[0]
        if self.dimension not in names:
            raise SettingsError(
                f"scenario {scenario.name!r} has no dimension {self.dimension!r}.{nearest(self.dimension, names)} "
                f"Dimensions: {', '.join(names)}"
            )
        if settings.rater == "lm" and settings.observer is None:
            raise SettingsError("rater=lm needs a language model: --set observer=URI, for example smollm2")
        lm = None if settings.observer is None else load_model(settings.observer)
        rater = load_rater(settings.rater, embedder=load_embedder(settings.embedder))
        self._observer, _ = make_observer(scenario, rater, lm)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **given: Any) -> list[float]:
        """Rate answers.

        Args:
            prompts: Prompts of the answers; equal within a group.
            completions: The answers.
            **given: ``question``, for the rater, and ``completion_ids``, the tokens of the answers.

        Returns:
            The rating of each answer. An empty answer has the lowest rating. An answer that could not be rated gets the
            mean of its group, which has no effect.
        """
        from sandbox.conversation.scheduler import run_conversations

        said = [
            # As for agents, a sentence that the limit cut off is removed.
            answer.strip()
            if len(ids) < self._max_tokens or self._ends.intersection(ids)
            else whole_sentences(answer.strip())
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
