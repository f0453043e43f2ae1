"""Direct preference optimisation: raises the likelihood of better answers over worse ones, relative to the base."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from sandbox.typed_settings import above, between
from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class DPOSettings(TrainingSettings):
    """Settings of direct preference optimisation, in addition to those of all trainers.

    Attributes:
        beta: Strength of the KL penalty; higher values stay closer to the reference.
        loss: ``sigmoid`` is DPO (arXiv:2305.18290), ``robust`` allows for flipped preferences
            (arXiv:2403.00409), ``ipo`` is arXiv:2310.12036, ``hinge`` SLiC (arXiv:2305.10425).
        label_smoothing: For ``robust``: the share of flipped preferences, below 0.5.
        precompute_reference: Compute the reference's log-probabilities once per row before training instead of in every
            step; None does so if rows are used more than once, where it is faster.
    """

    beta: Annotated[float, above(0)] = 0.1
    loss: Literal["sigmoid", "robust", "ipo", "hinge"] = "sigmoid"
    label_smoothing: Annotated[float, between(0, 0.5, "[)")] = 0.0
    precompute_reference: bool | None = None

    def faults(self) -> list[str]:
        """List invalid settings, one line each."""
        # TRL accepts it with every loss but uses it only with some.
        idle = (
            [f"label_smoothing={self.label_smoothing} has no effect with loss={self.loss}; use loss=robust"]
            if self.label_smoothing and self.loss != "robust"
            else []
        )
        sharded = (
            ["precompute_reference=true needs the whole model before it is sharded; leave it out with fsdp"]
            if self.precompute_reference and self.fsdp
            else []
        )
        return [*super().faults(), *idle, *sharded]


class DPO(FineTuning):
    r"""Direct preference optimisation on pairs of a better and a worse answer (arXiv:2305.18290).

    Loss:
        $$-\log \sigma\left( \beta \log \frac{\pi(y_w \mid x)}{\pi_0(y_w \mid x)}
        - \beta \log \frac{\pi(y_l \mid x)}{\pi_0(y_l \mid x)} \right)$$

        $y_w$: the better answer; $y_l$: the worse one; $\beta$: ``beta``; $\sigma$: the logistic function. Mean over pairs.
        With $d$ for the difference of the two log-ratios, per token in ``ipo``, the other losses are:

        ``robust``, with $\epsilon$ for ``label_smoothing``:
        $$\frac{-(1 - \epsilon) \log \sigma(\beta d) + \epsilon \log \sigma(-\beta d)}{1 - 2 \epsilon}$$

        ``ipo``:
        $$\left( d - \frac{1}{2 \beta} \right)^2$$

        ``hinge``:
        $$\max(0, 1 - \beta d)$$

    Logs:
        reward_margin: Implicit reward, beta times the log-ratio to the reference, of the better answer minus that of the worse.
        preference_accuracy: Share of pairs in which the better answer has the higher implicit reward, in 0..1.
        rewards/*: Implicit rewards of the better (``chosen``) and the worse (``rejected``) answers.
        logps/*: Log-likelihoods of the answers, in nats.
        logits/*: Mean logits of the answers.
        token_accuracy: Share of tokens of better answers that are the likeliest next token, in 0..1.
        entropy: Entropy of the next token, in nats.

    Suits:
        Pairs of answers to the same question that differ in quality, for example drafts and revisions, or preferences of
        people; the usual choice for them.

    Fails:
        Only the difference is learnt: both answers may become less likely, and replies longer or odd; watch ``kl`` and
        ``logps/chosen``. Pairs that were labelled at random push the model anywhere; see ``loss=robust`` and ``loss=ipo``.
    """

    name: ClassVar[str] = "dpo"
    accepts: ClassVar[RowKind] = RowKind.PREFERENCES
    Settings: ClassVar[type[TrainingSettings]] = DPOSettings
    settings: DPOSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of each prompt and its two answers."""
        from trainers.likelihood.tokenization import encode_preferences

        return encode_preferences(rows, encoder)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer on token ids, so that it neither applies templates nor truncates."""
        import torch
        from accelerate.utils import gather_object
        from trl import DPOConfig, DPOTrainer

        from trainers.finetuning.monitor import MonitoredTrainer
        from trainers.likelihood.answer_nll import answer_nlls, eval_mode
        from trainers.likelihood.tokenization import questions_of

        pad = policy.tokenizer.pad_token_id

        class Trainer(MonitoredTrainer, DPOTrainer):
            def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                # The only way to pass ids to TRL; the columns are those it makes itself.
                return dataset

            def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                # Before training the model is its own reference. TRL's method needs a file shared by all
                # processes.
                share = self.accelerator
                mine = list(range(share.process_index, len(dataset), share.num_processes))
                half = self.args.bf16 or self.args.fp16
                sums = self._as_in_a_step(dataset, mine) if half else self._in_fewer_tokens(dataset.select(mine))
                known = dict(gather_object(list(zip(mine, sums, strict=True))))
                for side, name in enumerate(("ref_chosen_logps", "ref_rejected_logps")):
                    dataset = dataset.add_column(name, [known[row][side] for row in range(len(dataset))])
                return dataset

            def _in_fewer_tokens(self, dataset: Any) -> list[list[float]]:
                """Log-probabilities of both answers of each row; the prompt is read once for both, if the model allows."""
                questions = questions_of(dataset)
                with eval_mode(self.model):
                    nll = answer_nlls(self.model, questions, pad).view(-1, 2)  # [rows, chosen and rejected]
                lengths = [[len(answer) for answer in answers] for _, answers in questions]
                return [
                    [-n * length for n, length in zip(*of, strict=True)]
                    for of in zip(nll.tolist(), lengths, strict=True)
                ]

            def _as_in_a_step(self, dataset: Any, mine: list[int]) -> list[list[float]]:
                """As above, by the computation of a training step, which in half precision rounds differently."""
                order = sorted(mine, key=lambda row: -dataset[row]["length"])
                known: dict[int, list[float]] = {}
                for start in range(0, len(order), self.args.per_device_train_batch_size):
                    rows = order[start : start + self.args.per_device_train_batch_size]
                    batch = self._prepare_inputs(self.data_collator([dataset[row] for row in rows]))
                    with eval_mode(self.model):
                        both = self.compute_ref_log_probs(self.model, batch)
                    known |= dict(zip(rows, torch.stack(both, dim=1).tolist(), strict=True))
                return [known[row] for row in mine]

        s = self.settings
        precomputes = self._precomputes(len(encoded))
        # With adapters the reference is the model without them; otherwise a copy of the base.
        copied = not s.lora and not precomputes
        reference = copy.deepcopy(policy.model).eval().requires_grad_(False) if copied else None
        return Trainer(
            model=policy.model,
            ref_model=reference,
            args=DPOConfig(
                **arguments,
                max_length=None,
                beta=s.beta,
                loss_type=[s.loss],
                label_smoothing=s.label_smoothing,
                precompute_ref_log_probs=precomputes,
            ),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
        )

    def _precomputes(self, n_rows: int) -> bool:
        """Whether the reference is computed before training, once per row, rather than in every step."""
        s = self.settings
        if s.precompute_reference is not None:
            return s.precompute_reference
        if s.fsdp or s.args.get("deepspeed"):
            return False  # the reference is sharded too, and computed in every step
        if s.max_steps is None:
            return s.epochs > 1
        a_step = s.batch_size * s.gradient_accumulation * int(os.environ.get("WORLD_SIZE", "1"))
        return s.max_steps * a_step > n_rows
