"""Chain of hindsight: imitates answers prefixed with a good/bad marker, and asks for good ones at inference."""

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
    """Settings of chain of hindsight, in addition to those of all trainers.

    Attributes:
        good: Words before good answers, in training and at inference.
        bad: Words before bad answers, in training.
    """

    good: str = "A good answer:"
    bad: str = "A bad answer:"

    def faults(self) -> list[str]:
        """List invalid settings, one line each."""
        empty = [f"{name} is empty; give words that begin an answer" for name in ("good", "bad") if not self._of(name)]
        same = ["good and bad must differ"] if self._of("good") and self._of("good") == self._of("bad") else []
        return [*super().faults(), *empty, *same]

    def _of(self, name: str) -> str:
        return str(getattr(self, name)).strip()


class Hindsight(SFT):
    r"""Chain of hindsight on ranked answers (arXiv:2302.02676).

    Every answer is imitated after the words ``good`` or ``bad``; it is good if its rating is nearer to the best of its
    question than to the worst. The saved chat template ends with the words ``good``, so that the model gives good answers
    when loaded by ``hf:`` or another library, without further settings. The words are part of the prompt, not of the
    reply.

    Loss:
        $$-\frac{1}{N} \sum_{(x, y)} \log \pi(y \mid x, m(y))$$

        $m(y)$: the words ``good`` or ``bad``; $N$: number of answer tokens in the batch.

    Suits:
        Ranked answers of which also the bad ones should be used, with a loss as stable as that of ``sft``.

    Fails:
        The effect depends on the words in the prompt: other software must use the saved chat template. A small model may not
        tell the two kinds apart, and then imitates the mean of all answers.
    """

    name: ClassVar[str] = "hindsight"
    accepts: ClassVar[RowKind] = RowKind.RANKED
    Settings: ClassVar[type[TrainingSettings]] = HindsightSettings
    settings: HindsightSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of prompt, words and answer, with labels on the answer only."""
        from trainers.likelihood.tokenization import encode_hindsight

        # A base trained with such words would have them in its template.
        without_lead(encoder.tokenizer)
        return encode_hindsight(rows, encoder, self._lead(self.settings.good), self._lead(self.settings.bad))

    def before_saving(self, tokenizer: Any) -> None:
        """Append the words of good answers to the chat template."""
        add_lead(tokenizer, self._lead(self.settings.good))

    def _lead(self, words: str) -> str:
        # Not a space: tokenizers merge a space with the next word.
        return words.strip() + "\n"
