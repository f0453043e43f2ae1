"""Odds-ratio preference optimisation: imitate better answers and raise their odds over worse ones, without a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.errors import SettingsError
from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder

# TRL keeps this trainer in its experimental package, whose interface may change with any version.
WORKS_WITH = ("1.16",)


@dataclass(frozen=True, kw_only=True)
class ORPOSettings(TrainingSettings):
    """Settings of odds-ratio preference optimisation, beside those of all trainers.

    Attributes:
        beta: Weight of the odds ratio beside the imitation (lambda in the paper).
    """

    beta: float = 0.1

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        return [*super().faults(), *self.below(0, "beta")]


class ORPO(FineTuning):
    """Odds-ratio preference optimisation on pairs of a better and a worse answer (arXiv:2403.07691).

    The imitation counts the tokens of prompts too, as in the paper and in TRL. Its ``reward_margin`` is beta times the
    difference of mean log-probabilities per token.
    """

    name: ClassVar[str] = "orpo"
    accepts: ClassVar[RowKind] = RowKind.PREFERENCES
    Settings: ClassVar[type[TrainingSettings]] = ORPOSettings
    settings: ORPOSettings

    def __init__(self, settings: TrainingSettings | None = None) -> None:
        super().__init__(settings)
        _check_version()

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Ids of a prompt and its two answers, and of the whole texts as TRL's collator pads them."""
        from trainers.likelihood.tokenization import encode_preferences

        return encode_preferences(rows, encoder).map(_columns)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """TRL's trainer, given ids so that it neither renders nor cuts anything itself."""
        try:
            from trl.experimental.orpo import ORPOConfig, ORPOTrainer
        except ImportError as error:
            raise SettingsError(_words()) from error

        from trainers.finetuning.monitor import MonitoredTrainer

        class Trainer(MonitoredTrainer, ORPOTrainer):
            def tokenize_row(self, feature: Any, model: Any = None) -> Any:
                # TRL has no other way to be given ids; the columns are those it makes itself.
                return feature

        return Trainer(
            model=policy.model,
            # No length of its own: ids are cut already.
            args=ORPOConfig(**arguments, max_length=self.settings.max_length, beta=self.settings.beta),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
        )


def _columns(row: Mapping[str, Any]) -> dict[str, list[int]]:
    """The columns that TRL makes of a row itself; labels are -100 where a token is the prompt's."""
    prompt = row["prompt_ids"]
    found = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
    for side in ("chosen", "rejected"):
        answer = row[f"{side}_ids"]
        found[f"{side}_input_ids"] = prompt + answer
        found[f"{side}_attention_mask"] = [1] * (len(prompt) + len(answer))
        found[f"{side}_labels"] = [-100] * len(prompt) + answer
    return found


def _check_version() -> None:
    if version("trl").rpartition(".")[0] not in WORKS_WITH:
        raise SettingsError(_words())


def _words() -> str:
    return (
        f"trainer 'orpo' uses TRL's experimental package as it is in versions {', '.join(WORKS_WITH)}.x; found trl "
        f"{version('trl')}. Install one of those: pip install 'trl=={WORKS_WITH[-1]}.*'; or use dpo, which needs none"
    )
