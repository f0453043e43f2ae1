"""TRL's RewardTrainer: a reward model of the society, which rates answers as ``--rater reward:FOLDER`` afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.local.model_card import GENERATED
from trainers.base import TrainedModel
from trainers.finetuning.policy import Policy
from trainers.methods.trl_trainers import TRLSettings, TRLTrainer
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class TRLRewardSettings(TRLSettings):
    """Settings of a reward model: those of all trainers, and TRL's arguments as ``args.NAME``.

    Adapters are always merged, as raters read full weights. Held-out pairs and ``measure_kl`` are about likelihoods, which
    a reward model does not have.

    Attributes:
        measure_kl: Always false.
    """

    measure_kl: bool = False

    def faults(self) -> list[str]:
        """List invalid settings, one line each."""
        likelihoods = "is about likelihoods of answers, and a reward model has none; leave it out"
        given = {
            f"measure_kl={str(self.measure_kl).lower()} {likelihoods}": self.measure_kl,
            f"heldout_share={self.heldout_share:g} {likelihoods}": self.heldout_share,
            f"heldout={self.heldout!r} {likelihoods}": self.heldout is not None,
            f"quantize={self.quantize!r} cannot be used: a reward model is saved as full weights": self.quantize
            != "none",
            f"fsdp={self.fsdp!r} cannot be used: a reward model is saved as full weights": bool(self.fsdp),
        }
        return [*super().faults(), *(fault for fault, wrong in given.items() if wrong)]


class RewardPolicy(Policy):
    """A sequence classifier in training, which is saved as full weights."""

    @property
    def merge_reason(self) -> str | None:
        """None: a reward model is always saved as full weights."""
        return None

    def save(self, folder: Path, state: dict[str, Any] | None = None) -> None:
        """Write the full weights, with adapters merged, and the tokenizer into a folder."""
        del state
        model = self.model.merge_and_unload() if self.settings.lora else self.model
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def describe(self, folder: Path, target: Path, about: dict[str, Any]) -> None:
        """Write the model card."""
        accuracy = about["metrics"].get("preference_accuracy")
        measured = (
            "" if accuracy is None else f" In training it preferred the better answer in {accuracy:.1%} of the pairs."
        )
        card = (
            f"# {target.name}\n\nA reward model, made by TRL's RewardTrainer from {about['rows']['rows']} pairs of answers "
            f"and {about['base']}.{measured}\n\nIt rates answers in a society: `sandbox run SCENARIO --rater reward:{target}`; "
            f"as a judge: `sandbox evaluate MODEL --judge reward:{target}`. Settings and history: `training.json`.\n\n"
            f"{GENERATED}\n"
        )
        (folder / "README.md").write_text(card, encoding="utf-8")


class TRLReward(TRLTrainer):
    """TRL's RewardTrainer on preferences: the base with a head that gives an answer one number (arXiv:2203.02155)."""

    Settings: ClassVar[type[TrainingSettings]] = TRLRewardSettings

    def load(self, base: str) -> Policy:
        """Load the base with a new reward head in place of its language-model head.

        Raises:
            ModelNotFound: the base does not exist, or has no local weights.
            SettingsError: its architecture has no sequence classifier in transformers.
        """
        from transformers import AutoModelForSequenceClassification

        from sandbox.models.catalog import local_weights
        from sandbox.models.local.loading import load
        from trainers.finetuning.lora import add_lora

        rest = local_weights(base)
        if rest is None:
            raise ModelNotFound(f"base {base!r} has no local weights to train; give smollm2, hf:FOLDER or hf:HUB_NAME")
        found = load(rest, device="cpu", dtype="float32")
        tokenizer, config = found.tokenizer, found.model.config
        config.num_labels = 1
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        try:
            model = AutoModelForSequenceClassification.from_config(config)
        except ValueError as error:
            raise SettingsError(
                f"base {base!r} is a {type(found.model).__name__}, of which transformers has no sequence classifier; choose "
                "another base"
            ) from error
        model.base_model.load_state_dict(found.model.base_model.state_dict())
        s = self.settings
        model = add_lora(model, s, task="SEQ_CLS") if s.lora else model.requires_grad_(True)
        return RewardPolicy(model, tokenizer, s, found.folders, found.notes)

    def train(self, rows: Dataset, *, base: str, out: str | Path, resume: bool = False) -> TrainedModel:
        """Train on rows and write a reward model; see :meth:`trainers.finetuning.base.FineTuning.train`.

        Returns:
            As there; the URI is that of a rater, ``reward:FOLDER``.
        """
        trained = super().train(rows, base=base, out=out, resume=resume)
        return replace(trained, uri=f"reward:{trained.path}")
