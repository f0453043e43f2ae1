"""Odds-ratio preference optimisation: imitation plus an odds-ratio term, without a reference model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sandbox.errors import SettingsError
from sandbox.typed_settings import at_least
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
    """Settings of odds-ratio preference optimisation, in addition to those of all trainers.

    Attributes:
        beta: Weight of the odds ratio, relative to the imitation (lambda in the paper).
    """

    beta: Annotated[float, at_least(0)] = 0.1


class ORPO(FineTuning):
    r"""Odds-ratio preference optimisation on pairs of a better and a worse answer (arXiv:2403.07691).

    The imitation includes the tokens of prompts, as in the paper and in TRL.

    Loss:
        $$-\frac{1}{|x y_w|} \log \pi(x y_w)
        - \beta \log \sigma\left( \log \frac{p_w}{1 - p_w} - \log \frac{p_l}{1 - p_l} \right)$$

        $p_w$ and $p_l$: geometric mean of the token probabilities of the better answer $y_w$ and the worse one $y_l$;
        $\beta$: ``beta``; $\sigma$: the logistic function. Mean over pairs.

    Logs:
        reward_margin: Beta times the difference of mean log-probabilities per token.
        preference_accuracy: Share of pairs in which the better answer is likelier per token, in 0..1.
        rewards/*: Beta times the mean log-probability per token of the better (``chosen``) and the worse (``rejected``)
            answers.
        logps/*: Mean log-probabilities per token, in nats.
        logits/*: Mean logits of the answers.
        nll_loss: The imitation, in nats per token.
        log_odds_ratio: Logarithm of the logistic function of the difference of log-odds.
        log_odds_chosen: Difference of log-odds.

    Suits:
        A base that has not been tuned for instructions, as imitation and preferences are learnt in one pass; little memory,
        as there is no reference model.

    Fails:
        Nothing keeps the model near its base, and the imitation includes prompts: on long prompts with short answers mostly
        prompts are learnt. TRL keeps this trainer in its experimental package.
    """

    name: ClassVar[str] = "orpo"
    accepts: ClassVar[RowKind] = RowKind.PREFERENCES
    Settings: ClassVar[type[TrainingSettings]] = ORPOSettings
    settings: ORPOSettings

    def __init__(self, settings: TrainingSettings | None = None) -> None:
        super().__init__(settings)
        _check_version()

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of each prompt and its two answers, and of the whole texts for TRL's collator."""
        from trainers.likelihood.tokenization import encode_preferences

        return encode_preferences(rows, encoder).map(whole_columns)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer on token ids, so that it neither applies templates nor truncates."""
        try:
            from trl.experimental.orpo import ORPOConfig, ORPOTrainer
        except ImportError as error:
            raise SettingsError(_words()) from error

        from trainers.finetuning.monitor import MonitoredTrainer

        class Trainer(MonitoredTrainer, ORPOTrainer):
            def tokenize_row(self, feature: Any, model: Any = None) -> Any:
                # The only way to pass ids to TRL; the columns are those it makes itself.
                return feature

        return Trainer(
            model=policy.model,
            # No maximum length: ids are already cut.
            args=ORPOConfig(**arguments, max_length=self.settings.max_length, beta=self.settings.beta),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
        )


def whole_columns(row: Mapping[str, Any]) -> dict[str, list[int]]:
    """The columns that TRL makes from a row; labels are -100 for the tokens of the prompt."""
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
        f"{version('trl')}. Install one of those: pip install 'trl=={WORKS_WITH[-1]}.*'; or use dpo, which does not need it"
    )
