"""Chain of hindsight: imitate good and bad answers, each behind words that say which it is; then ask for good ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.models.local.chat_template import add_lead, without_lead
from trainers.methods.sft import SFT
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class HindsightSettings(TrainingSettings):
    """Settings of chain of hindsight, beside those of all trainers.

    Attributes:
        good: Words before good answers, in training and whenever the trained model speaks.
        bad: Words before bad answers, in training.
    """

    good: str = "A good answer:"
    bad: str = "A bad answer:"

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        empty = [f"{name} is empty; give words that begin an answer" for name in ("good", "bad") if not self._of(name)]
        same = ["good and bad are the same words"] if self._of("good") and self._of("good") == self._of("bad") else []
        return [*super().faults(), *empty, *same]

    def _of(self, name: str) -> str:
        return str(getattr(self, name)).strip()


class Hindsight(SFT):
    """Chain of hindsight on ranked answers (arXiv:2302.02676), spoken to as any other model.

    Every answer is imitated behind the words ``good`` or ``bad``; it is good if its rating is nearer to the best of its
    question than to the worst. The saved chat template begins every reply with the words ``good``, so whoever loads
    the folder, by ``hf:`` or with another library, asks for a good answer without knowing of it. The words are part of
    the prompt: they are not in the reply.
    """

    name: ClassVar[str] = "hindsight"
    accepts: ClassVar[RowKind] = RowKind.RANKED
    Settings: ClassVar[type[TrainingSettings]] = HindsightSettings
    settings: HindsightSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Ids of prompt, words and answer, with labels on the answer alone."""
        from trainers.likelihood.tokenization import encode_hindsight

        # A base that speaks behind such words already would be asked for a good answer before a bad one.
        without_lead(encoder.tokenizer)
        return encode_hindsight(rows, encoder, self._lead(self.settings.good), self._lead(self.settings.bad))

    def before_saving(self, tokenizer: Any) -> None:
        """Let every reply begin behind the words of good answers."""
        add_lead(tokenizer, self._lead(self.settings.good))

    def _lead(self, words: str) -> str:
        # Not a space: tokenizers make one token of a space and the word behind it.
        return words.strip() + "\n"
