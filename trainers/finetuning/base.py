"""What the built-in trainers have in common: from rows to a model folder, whatever the loss.

The loop, mixed precision, gradient accumulation, checkpoints and distribution are those of transformers; here are the
order of things, the folder, and what is written beside the weights.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.errors import SettingsError
from sandbox.models.local.chat_template import template_name
from trainers.base import TrainedModel
from trainers.finetuning.checkpoints import Checkpoints
from trainers.finetuning.global_state import own_randomness, silence
from trainers.finetuning.model_folder import check_free, check_same, identity, is_main_process, new_folder
from trainers.rows.format import row_statistics
from trainers.rows.kinds import RowKind
from trainers.rows.validation import check_rows
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.monitor import TrainingMonitor
    from trainers.finetuning.policy import Policy
    from trainers.finetuning.probes import HeldoutAccuracy
    from trainers.likelihood.tokenization import Encoder

SCHEMA = 1


class FineTuning(ABC):
    """A trainer that fine-tunes a language model with a trainer of transformers or TRL.

    Subclasses name themselves and their rows, and make the trainer that loops over them.

    Args:
        settings: An instance of ``Settings``; None for its defaults.
    """

    name: ClassVar[str]
    accepts: ClassVar[RowKind]
    Settings: ClassVar[type[TrainingSettings]]
    # The trainer's own names for what it logs, where TRL means something else by a word of our vocabulary.
    names: ClassVar[Mapping[str, str]] = {}

    def __init__(self, settings: TrainingSettings | None = None) -> None:
        if settings is not None and not isinstance(settings, self.Settings):
            raise SettingsError(
                f"trainer {self.name!r} takes {self.Settings.__name__}, not {type(settings).__name__}; "
                f"make it with load_trainer({self.name!r}, ...)"
            )
        self.settings = settings if settings is not None else self.Settings()

    @abstractmethod
    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Turn rows into token ids, with a column ``length``."""

    @abstractmethod
    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make the trainer of transformers or TRL.

        Args:
            policy: The model that learns.
            encoded: What :meth:`encode` gave.
            arguments: Of ``transformers.TrainingArguments``, from the settings.
            watch: A callback that it must be given.
        """

    def prepare(self, model: Any) -> None:
        """Change the bare model before adapters are put on it; by default nothing."""
        del model

    def before_saving(self, tokenizer: Any) -> None:
        """Change the tokenizer that is saved with the model; by default nothing."""
        del tokenizer

    def train(self, rows: Dataset, *, base: str, out: str | Path, resume: bool = False) -> TrainedModel:
        """Learn from rows and write a model folder.

        Args:
            rows: Of the kind ``accepts``.
            base: URI of the model to begin with, as ``smollm2`` or ``hf:models/first``.
            out: The folder; it may not hold anything yet. It appears whole, when all is done, or not at all.
            resume: Go on from the last checkpoint (setting ``save_steps``) of a training into this folder that was
                killed. Without one the training begins at its beginning; one that is done is not done again.

        Returns:
            The model's URI, its metrics and its history; also in ``training.json`` in the folder.

        Raises:
            TrainingDataError: the rows are of another kind, or there are none.
            RunExists: the folder holds something, or checkpoints are left and ``resume`` is False.
            SettingsError: settings cannot be used here, or a training is resumed with others.
            ModelNotFound: the base is not there.
            TrainingDiverged: the loss became NaN or infinite.
        """
        target = Path(out)
        check_rows(rows, self.name, self.accepts)
        who = identity(self.name, base, _plain(vars(self.settings)), rows)
        if resume and (target / "training.json").is_file():
            return _done(target, who)
        check_free(target)
        checkpoints = Checkpoints(target, who)
        checkpoints.begin(resume)
        learnt, pairs = self._held_out(rows)
        began = time.monotonic()
        with new_folder(target) as draft, silence(), own_randomness(self.settings), self._watch() as watch:
            from trainers.finetuning.checkpoint_callback import CheckpointCallback
            from trainers.finetuning.monitor import summarize_history
            from trainers.finetuning.policy import load_policy
            from trainers.likelihood.tokenization import Encoder

            policy = load_policy(base, self.settings, target, self.prepare)
            encoder = Encoder(policy.tokenizer, self.settings.max_length)
            encoded = self.encode(learnt, encoder)
            folder = draft if self.settings.save_steps is None else checkpoints.folder
            trainer = self.make_trainer(policy, encoded, self._arguments(len(encoded), folder, target), watch)
            _leave_printing_to_us(trainer)
            heldout = self._probe(policy, encoded, pairs, encoder, trainer, watch)
            keeper = CheckpointCallback(checkpoints, watch, heldout)
            keeper.restore()
            trainer.add_callback(keeper)
            trainer.train(resume_from_checkpoint=None if checkpoints.last is None else str(checkpoints.last))
            if heldout is not None:
                heldout.restore()
            policy.check_finite()
            metrics = summarize_history(watch.history)
            if heldout is not None and heldout.best_step is not None:
                metrics |= {"best_step": heldout.best_step, **heldout.at(heldout.best_step)}
            state = trainer.accelerator.get_state_dict(trainer.model) if self.settings.fsdp else None
            if is_main_process():
                self.before_saving(policy.tokenizer)
                policy.save(draft, state)
                checkpoints.hand_over(draft)
                about = {
                    "schema": SCHEMA,
                    "trainer": self.name,
                    "base": base,
                    "template": template_name(policy.tokenizer),
                    "settings": who["settings"],
                    "rows": {**row_statistics(learnt), **+encoder.cut},
                    "rows_hash": who["rows"],
                    "metrics": metrics,
                    "history": watch.history,
                    "seconds": round(time.monotonic() - began, 3),
                    "versions": _versions(),
                }
                text = json.dumps(about, ensure_ascii=False, indent=1) + "\n"
                (draft / "training.json").write_text(text, encoding="utf-8")
        trainer.accelerator.wait_for_everyone()
        checkpoints.remove()
        return TrainedModel(f"hf:{target}", target, metrics, watch.history)

    def _watch(self) -> TrainingMonitor:
        from trainers.finetuning.monitor import TrainingMonitor

        return TrainingMonitor(f"training ({self.name})", quiet=not self.settings.progress, names=self.names)

    def _held_out(self, rows: Dataset) -> tuple[Dataset, Dataset | None]:
        """Rows to learn from, and preferences to stop early by, if any are held out."""
        from trainers.rows.build import rows_from
        from trainers.rows.split import split_rows

        s = self.settings
        if s.heldout is not None:
            return rows, rows_from(s.heldout, RowKind.PREFERENCES)
        if not s.heldout_share:
            return rows, None
        if self.accepts not in (RowKind.RANKED, RowKind.PREFERENCES):
            raise SettingsError(
                f"heldout_share={s.heldout_share:g} holds out preferences, and trainer {self.name!r} learns from "
                f"{self.accepts} rows, which are none; give a file of preferences or ranked rows: --set heldout=FILE"
            )
        learnt, held = split_rows(rows, s.heldout_share, s.seed)
        return learnt, held if self.accepts == RowKind.PREFERENCES else rows_from(held, RowKind.PREFERENCES)

    def _probe(
        self,
        policy: Policy,
        encoded: Dataset,
        pairs: Dataset | None,
        encoder: Encoder,
        trainer: Any,
        watch: TrainingMonitor,
    ) -> HeldoutAccuracy | None:
        """Measure beside the training: distance from the base, and held-out preferences."""
        from trainers.finetuning.probes import HeldoutAccuracy, KLProbe
        from trainers.likelihood.tokenization import encode_preferences, questions_of

        answered = questions_of(encoded) if self.settings.measure_kl else []
        heldout = None
        if pairs is not None:
            heldout = HeldoutAccuracy(
                policy.model,
                questions_of(encode_preferences(pairs, encoder)),
                pad=policy.tokenizer.pad_token_id,
                every=self.settings.eval_steps,
                patience=self.settings.patience,
            )
        kl = KLProbe(policy.model, answered, seed=self.settings.seed) if answered else None
        for probe in (heldout, kl):
            if probe is not None:
                watch.probes.append(probe)
                trainer.add_callback(probe)
        return heldout

    def _arguments(self, n_rows: int, folder: Path, target: Path) -> dict[str, Any]:
        import torch

        s = self.settings
        cpu = s.device == "cpu" or not torch.accelerator.is_available()
        if not cpu and torch.accelerator.device_count() > 1 and "LOCAL_RANK" not in os.environ:
            raise SettingsError(
                f"{torch.accelerator.device_count()} accelerators are visible to one process; start one process each "
                "with torchrun or accelerate launch, or show it one with CUDA_VISIBLE_DEVICES"
            )
        if cpu and s.fsdp:
            raise SettingsError(
                f"fsdp={s.fsdp!r} shards a model over accelerators, and this training runs on the CPU, where "
                "transformers would copy the model instead; leave fsdp out"
            )
        return {
            "output_dir": str(folder),
            "run_name": target.name,
            "num_train_epochs": s.epochs,
            "max_steps": s.max_steps or -1,
            "learning_rate": s.peak_learning_rate,
            "per_device_train_batch_size": s.batch_size,
            "gradient_accumulation_steps": s.gradient_accumulation,
            # Rounded down: transformers rounds up, and a first step at rate 0 is much of a short training.
            "warmup_steps": int(s.warmup_ratio * (s.max_steps or self._steps(n_rows))),
            "lr_scheduler_type": s.schedule,
            "weight_decay": s.weight_decay,
            "max_grad_norm": s.max_grad_norm,
            "gradient_checkpointing": s.gradient_checkpointing,
            "bf16": s.dtype == "bfloat16",
            "use_cpu": cpu,
            "dataloader_pin_memory": not cpu,
            "train_sampling_strategy": "group_by_length",
            "remove_unused_columns": False,
            "seed": s.seed,
            "logging_steps": s.logging_steps,
            # Its filter would hide from us that a loss is NaN.
            "logging_nan_inf_filter": False,
            "save_strategy": "no" if s.save_steps is None else "steps",
            # Two: should the process be killed while one is written, there is the other.
            **({} if s.save_steps is None else {"save_steps": s.save_steps, "save_total_limit": 2}),
            "report_to": list(s.report_to) or "none",
            "disable_tqdm": True,
            **({"fsdp": s.fsdp, "fsdp_config": s.fsdp_config} if s.fsdp else {}),
        }

    def _steps(self, n_rows: int) -> int:
        """Steps of the optimiser in all epochs."""
        batches = math.ceil(n_rows / self.settings.batch_size / int(os.environ.get("WORLD_SIZE", "1")))
        return math.ceil(math.ceil(batches / self.settings.gradient_accumulation) * self.settings.epochs)


def _done(target: Path, who: Mapping[str, Any]) -> TrainedModel:
    """A training that is done, if it is the one asked for."""
    about = json.loads((target / "training.json").read_text(encoding="utf-8"))
    check_same({**about, "rows": about.get("rows_hash")}, who, target)
    return TrainedModel(f"hf:{target}", target, about["metrics"], about["history"])


def _leave_printing_to_us(trainer: Any) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _versions() -> dict[str, str]:
    names = ("social-sandbox", "torch", "transformers", "trl", "peft", "datasets")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
