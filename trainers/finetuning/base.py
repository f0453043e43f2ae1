"""FineTuning, the base of the built-in trainers: rows -> model folder, for any loss.

The loop, mixed precision, gradient accumulation, checkpoints and distribution are those of transformers; this module has the
sequence of steps, the folder, and the files beside the weights.
"""

from __future__ import annotations

import json
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.errors import RunExists, SettingsError, TrainingDataError, require_packages
from sandbox.folders import check_same_identity, write_json
from sandbox.models.catalog import trained_uri
from sandbox.models.local.chat_template import template_name
from sandbox.models.local.vllm_engine import sleep_engines
from trainers.base import TrainedModel
from trainers.config_file import write_config
from trainers.finetuning.arguments import check_arguments, steps_of, training_arguments
from trainers.finetuning.checkpoints import Checkpoints
from trainers.finetuning.global_state import quiet_libraries, seeded_globals
from trainers.finetuning.model_folder import check_free, identity, is_main_process, new_folder, without_length
from trainers.rows.format import left_out_note, left_out_of, row_statistics
from trainers.rows.kinds import RowKind
from trainers.rows.validation import check_rows
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.early_stopping import EarlyStopping
    from trainers.finetuning.monitor import TrainingMonitor
    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder

SCHEMA = 1
# What the keys of training.json mean; for the page of file formats.
FIELDS: dict[str, str] = {
    "schema": "Version of the format.",
    "trainer": "Name of the trainer.",
    "base": "URI of the base model, as given.",
    "base_folder": "Folder of the base, relative to this one where it can be moved along; null for models of a hub or wheel.",
    "notes": "Remarks on the rows, and on how the model was saved.",
    "template": "Name of the chat template.",
    "settings": "All settings in effect; see the page of the trainer.",
    "rows": "What the rows held, in numbers: rows, questions, parts, ratings, left_out and others.",
    "rows_hash": "Hash of the rows.",
    "metrics": "Means over the last epoch, named as in history.",
    "history": "One object for each logged step; see the page of the trainer.",
    "seconds": "Time spent, in seconds.",
    "versions": "Versions of Python and of packages.",
}


class FineTuning(ABC):
    """A trainer that fine-tunes a language model with a trainer of transformers or TRL.

    Subclasses define their name and kind of rows, encode rows, and make the trainer.

    Args:
        settings: An instance of ``Settings``; None for its defaults.
    """

    name: ClassVar[str]
    accepts: ClassVar[RowKind]
    Settings: ClassVar[type[TrainingSettings]]
    # Names that the trainer logs -> names in the history, where they differ from ``TRL_NAMES``.
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
            policy: The model in training.
            encoded: Result of :meth:`encode`.
            arguments: Arguments of ``transformers.TrainingArguments``, from the settings.
            watch: A callback that the trainer must include.
        """

    def select(self, rows: Dataset) -> Dataset:
        """The rows that are learnt from, of a kind that :meth:`encode` takes; by default all."""
        return rows

    def prepare(self, model: Any) -> None:
        """Modify the model before adapters are added; by default not at all."""
        del model

    def load(self, base: str) -> Policy:
        """Load the base model and make it ready to learn; by default a causal language model with adapters."""
        from trainers.finetuning.policy import load_policy

        return load_policy(base, self.settings, self.prepare)

    def before_saving(self, tokenizer: Any) -> None:
        """Modify the tokenizer that is saved with the model; by default not at all."""
        del tokenizer

    def train(self, rows: Dataset, *, base: str, out: str | Path, resume: bool = False) -> TrainedModel:
        """Train on rows and write a model folder.

        Args:
            rows: Rows of the kind ``accepts``.
            base: URI of the base model, for example ``smollm2`` or ``hf:models/first``.
            out: Model folder, which must be empty or missing. Created atomically at the end.
            resume: Resume an interrupted training into this folder from its last checkpoint (setting ``save_steps``), also
                with more epochs or steps; the learning rate then follows the schedule of the longer training. Without
                a checkpoint the training starts from the beginning. A finished training is not repeated; with more
                epochs it continues if it was made with ``keep_checkpoints``.

        Returns:
            The model's URI, its metrics and its history; also in ``training.json`` in the folder.

        Raises:
            TrainingDataError: the rows are of another kind, or there are none.
            RunExists: the folder is not empty, there are checkpoints and ``resume`` is False, or a training is resumed
                with other settings.
            SettingsError: settings are not possible here.
            ModelNotFound: the base does not exist.
            TrainingDiverged: the loss became NaN or infinite.
            ToolNotFound: a package is not installed.
        """
        require_packages(f"trainer {self.name!r}", "torch", "transformers", "trl", "peft", "datasets", "accelerate")
        target = Path(out)
        check_arguments(self.settings)
        check_rows(rows, self.name, self.accepts)
        who = identity(self.name, base, _plain(vars(self.settings)), rows)
        checkpoints = Checkpoints(target, who)
        longer = False
        if resume and (target / "training.json").is_file():
            finished, longer = _finished_training(target, who)
            if not longer:
                return finished
            checkpoints.begin(resume)
            if checkpoints.last is None:
                raise _no_checkpoint_error(target)
        else:
            check_free(target)
            checkpoints.begin(resume)
        learnt, pairs = self._held_out(rows)
        learnt = self.select(learnt)
        sleep_engines()  # they have the GPU otherwise
        began = time.monotonic()
        with (
            new_folder(target, replaces=longer) as draft,
            quiet_libraries(),
            seeded_globals(self.settings),
            self._watch() as watch,
        ):
            from trainers.finetuning.checkpoint_callback import CheckpointCallback
            from trainers.finetuning.monitor import summarize_history
            from trainers.finetuning.policy import movable_name
            from trainers.likelihood.tokenization import encoder_for

            policy = self.load(base)
            encoder = encoder_for(policy.model, policy.tokenizer, self.settings.max_length)
            encoded = self.encode(learnt, encoder)
            cut, cut_note = dict(+encoder.cut), encoder.cut_note()
            folder = draft if self.settings.save_steps is None else checkpoints.folder
            checkpoints.check_length(steps_of(self.settings, len(encoded)))
            arguments = training_arguments(self.settings, len(encoded), folder, target)
            trainer = self.make_trainer(policy, encoded, arguments, watch)
            _remove_printer(trainer)
            heldout = self._probe(policy, encoded, pairs, encoder, trainer, watch)
            keeper = CheckpointCallback(checkpoints, watch, heldout)
            keeper.restore()
            trainer.add_callback(keeper)
            trainer.train(resume_from_checkpoint=None if checkpoints.last is None else str(checkpoints.last))
            self._check_steps(trainer.state.global_step, len(encoded))
            if heldout is not None:
                heldout.restore()
            policy.check_finite()
            metrics = summarize_history(watch.history)
            if heldout is not None and heldout.best_step is not None:
                metrics |= {"best_step": heldout.best_step, **heldout.at(heldout.best_step)}
            state = trainer.accelerator.get_state_dict(trainer.model) if self._is_sharded() else None
            notes = [*(note for note in (left_out_note(left_out_of(learnt)), cut_note) if note), *_notes(policy)]
            if is_main_process():
                self.before_saving(policy.tokenizer)
                policy.save(draft, state)
                checkpoints.move_tracker_logs(draft)
                about = {
                    "schema": SCHEMA,
                    "trainer": self.name,
                    "base": base,
                    "base_folder": movable_name(policy.chain[0], target),
                    "notes": notes,
                    "template": template_name(policy.tokenizer),
                    "settings": who["settings"],
                    "rows": {**row_statistics(learnt), **cut},
                    "rows_hash": who["rows"],
                    "metrics": metrics,
                    "history": watch.history,
                    "seconds": round(time.monotonic() - began, 3),
                    "versions": _versions(),
                }
                write_json(draft / "training.json", about, indent=1)
                write_config(draft, self.name, base, _plain(vars(self.settings)))
                policy.describe(draft, target, about)
        trainer.accelerator.wait_for_everyone()
        if is_main_process():
            checkpoints.remove(keep_last=self.settings.keep_checkpoints)
        return TrainedModel(trained_uri(base, target), target, metrics, watch.history, tuple(notes))

    def _check_steps(self, steps: int, n_rows: int) -> None:
        """Refuse a training without a step: trainers that sample answers leave out batches that are not full.

        Raises:
            TrainingDataError: no step was made.
        """
        if not steps:
            s = self.settings
            raise TrainingDataError(
                f"trainer {self.name!r} made no step: {n_rows} rows do not fill a step of {s.batch_size} x "
                f"{s.gradient_accumulation} rows; use a smaller batch_size or gradient_accumulation, or record more rounds"
            )

    def _is_sharded(self) -> bool:
        return bool(self.settings.fsdp or self.settings.args.get("deepspeed"))

    def _watch(self) -> TrainingMonitor:
        from trainers.finetuning.monitor import TrainingMonitor

        return TrainingMonitor(f"training ({self.name})", quiet=not self.settings.progress, names=self.names)

    def _held_out(self, rows: Dataset) -> tuple[Dataset, Dataset | None]:
        """Training rows, and preferences for early stopping, if any are held out."""
        from trainers.rows.build import rows_from
        from trainers.rows.split import split_rows

        s = self.settings
        if s.heldout is not None:
            return rows, rows_from(s.heldout, RowKind.PREFERENCES)
        if not s.heldout_share:
            return rows, None
        if self.accepts not in (RowKind.RANKED, RowKind.PREFERENCES):
            raise SettingsError(
                f"heldout_share={s.heldout_share:g} holds out preferences, and trainer {self.name!r} uses "
                f"{self.accepts} rows; give a file of preferences or ranked rows: --set heldout=FILE"
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
    ) -> EarlyStopping | None:
        """Add the measurements of a training: KL to the base, and early stopping."""
        from trainers.finetuning.early_stopping import EarlyStopping
        from trainers.finetuning.kl_probe import KLProbe
        from trainers.likelihood.tokenization import encode_preferences, questions_of

        answered = questions_of(encoded) if self.settings.measure_kl else []
        heldout = None
        if pairs is not None:
            heldout = EarlyStopping(
                policy.model,
                questions_of(encode_preferences(pairs, encoder)),
                pad=policy.tokenizer.pad_token_id,
                every=self.settings.eval_steps,
                patience=self.settings.patience,
                autocast=trainer.accelerator.autocast,
            )
        kl = None
        if answered:
            kl = KLProbe(
                policy.model,
                answered,
                seed=self.settings.seed,
                autocast=trainer.accelerator.autocast,
                sharded=self._is_sharded(),
            )
        for probe in (heldout, kl):
            if probe is not None:
                watch.probes.append(probe)
                trainer.add_callback(probe)
        return heldout


def _finished_training(target: Path, who: Mapping[str, Any]) -> tuple[TrainedModel, bool]:
    """A finished training, and whether a longer one is requested.

    Raises:
        RunExists: the folder contains another training.
    """
    about = json.loads((target / "training.json").read_text(encoding="utf-8"))
    kept = {**about, "rows": about.get("rows_hash")}
    check_same_identity(target, without_length(kept), without_length(who), what="training")
    was, now = kept["settings"], who["settings"]
    longer = (was["epochs"], was["max_steps"]) != (now["epochs"], now["max_steps"])
    finished = TrainedModel(
        trained_uri(about["base"], target), target, about["metrics"], about["history"], tuple(about.get("notes", ()))
    )
    return finished, longer


def _no_checkpoint_error(target: Path) -> RunExists:
    return RunExists(
        f"{target} is a finished training without a checkpoint, which cannot resume with other epochs or steps. Train "
        f"it further with --base hf:{target} and another --out; or repeat it with --set save_steps=N --set "
        "keep_checkpoints=true, and then resume"
    )


def _notes(policy: Policy) -> list[str]:
    """Remarks on how a model is loaded and saved, one line each."""
    reason = policy.merge_reason
    merged = [f"saved as full weights, merged with the adapter below it: {reason}"] if reason else []
    return [*policy.notes, *merged]


def _remove_printer(trainer: Any) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in plain.items()}


def _versions() -> dict[str, str]:
    names = ("social-sandbox", "torch", "transformers", "trl", "peft", "datasets")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
