"""Any trainer of TRL by its name, ``trl:CPO``: rows, models, settings and model folders are those of the other trainers.

Arguments of TRL's own configuration are given as ``args.NAME``, for example ``--set args.cpo_alpha=0.5``. Which trainers can
be used, and on which rows, is in :mod:`trainers.methods.trl_catalog`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.typed_settings import above, at_least
from trainers.finetuning.base import FineTuning
from trainers.methods.kto import mismatch_batches
from trainers.methods.online import OnlineFineTuning, OnlineSettings, ending_tokenizer
from trainers.methods.trl_catalog import Layout, TRLTrainerSpec, check_version, find_spec
from trainers.methods.trl_rows import encode_for
from trainers.settings import ArgumentsClass, TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder

_ENCODED = "rows are encoded before TRL gets them, by the chat template of the base"
_LOADED = "the base is loaded before TRL gets it"
_NO_USE = {
    "chat_template_kwargs": _ENCODED, "chat_template_path": _ENCODED, "dataset_kwargs": _ENCODED,
    "dataset_num_proc": _ENCODED, "dataset_text_field": _ENCODED, "eos_token": _ENCODED, "eval_packing": _ENCODED,
    "packing": _ENCODED, "packing_strategy": _ENCODED, "pad_token": _ENCODED, "padding_free": _ENCODED,
    "truncation_mode": _ENCODED, "is_encoder_decoder": _LOADED, "model_init_kwargs": _LOADED, "trust_remote_code": _LOADED,
    "reward_model_path": "the rater is a setting: rater", "reward_weights": "there is one rater",
    "teacher_model_name_or_path": "the teacher is a setting: teacher", "teacher_model_revision": _LOADED,
    "teacher_model_init_kwargs": _LOADED,
}  # fmt: skip
# Names that TRL logs, where they differ between its trainers -> names in the history.
_NAMES: dict[Layout, dict[str, str]] = {
    "unpaired": {"kl": "reference_point"},
    "sequences": {"accuracy": "preference_accuracy", "margin": "reward_margin"},
}
_SET_BY = {"max_length": "max_length"}
_SET_BY_ONLINE = {
    "max_completion_length": "max_tokens", "max_new_tokens": "max_tokens", "num_generations": "answers",
    "temperature": "temperature", "use_vllm": "use_vllm", "vllm_gpu_memory_utilization": "vllm_gpu_memory_utilization",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TRLSettings(TrainingSettings):
    """Settings of a trainer of TRL: those of all trainers, and its own arguments as ``args.NAME``."""


@dataclass(frozen=True, kw_only=True)
class TRLOnlineSettings(OnlineSettings):
    """Settings of a trainer of TRL that samples answers: those of all online trainers, and its arguments as ``args.NAME``."""


@dataclass(frozen=True, kw_only=True)
class TRLPairSettings(TRLOnlineSettings):
    """Settings of a trainer of TRL that compares two sampled answers.

    Attributes:
        answers: Number of answers per question, always 2.
    """

    answers: Annotated[int, at_least(2)] = 2

    def faults(self) -> list[str]:
        """List invalid settings, one line each."""
        other = [f"answers={self.answers!r} must be 2: it compares two answers"] if self.answers != 2 else []
        return [*super().faults(), *other]


@dataclass(frozen=True, kw_only=True)
class TRLTeacherSettings(TrainingSettings):
    """Settings of a trainer of TRL that learns from a teacher, in addition to those of all trainers.

    Attributes:
        teacher: URI of the teacher, a model with local weights and the vocabulary of the base; must be given.
        max_tokens: Maximum length of an answer.
        temperature: Sampling temperature of the answers.
    """

    teacher: str | None = None
    max_tokens: Annotated[int, at_least(1)] = 48
    temperature: Annotated[float, above(0)] = 1.0


class TRLTrainer(FineTuning):
    """A trainer of TRL on the rows of a record; a subclass says which."""

    spec: ClassVar[TRLTrainerSpec]
    Settings: ClassVar[type[TrainingSettings]] = TRLSettings

    def __init__(self, settings: TrainingSettings | None = None) -> None:
        super().__init__(settings)
        check_version(self.spec.name)

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids in the columns that TRL's trainer reads."""
        return encode_for(self.spec.layout, rows, encoder, self.name)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer on token ids, so that it neither applies templates nor truncates."""
        kind, config = trl_classes(self.spec)
        given: dict[str, Any] = {"max_length": self.settings.max_length} if _takes(config, "max_length") else {}
        if self.spec.layout == "unpaired":
            given["train_sampling_strategy"] = "sequential"
        with refusals(self.spec):
            trainer = _monitored(kind)(
                model=policy.model,
                args=config(**{**arguments, **given}),
                train_dataset=encoded,
                processing_class=policy.tokenizer,
                callbacks=[watch],
                **self._reference(kind, policy),
            )
        if self.spec.layout == "unpaired":
            mismatch_batches(trainer, arguments["train_sampling_strategy"])
        return trainer

    def _reference(self, kind: type, policy: Policy) -> dict[str, Any]:
        """The reference of trainers that have one: with adapters the model without them, otherwise a copy of the base."""
        import inspect

        if "ref_model" not in inspect.signature(kind).parameters or self.settings.lora:
            return {}
        return {"ref_model": copy.deepcopy(policy.model).eval().requires_grad_(False)}


class TRLOnlineTrainer(OnlineFineTuning):
    """A trainer of TRL that samples answers to prompts, which a rater of the society rates; a subclass says which."""

    spec: ClassVar[TRLTrainerSpec]
    Settings: ClassVar[type[TrainingSettings]] = TRLOnlineSettings

    def __init__(self, settings: TrainingSettings | None = None) -> None:
        super().__init__(settings)
        check_version(self.spec.name)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer, with the rater as its reward function."""
        kind, config = trl_classes(self.spec)
        with refusals(self.spec):
            if hasattr(kind, "_tokenize_prompts"):
                return self.make_online(policy, encoded, watch, kind, config, arguments)
            s = self.settings
            ours = {
                "train_sampling_strategy": "random",
                "max_length": s.max_length + s.max_tokens,
                "max_new_tokens": s.max_tokens,
                "temperature": s.temperature,
                **self.vllm_arguments(),
            }
            return self.make_rewarded(_monitored(kind), policy, encoded, watch, config(**{**arguments, **ours}))


class TRLTaughtTrainer(OnlineFineTuning):
    """A trainer of TRL that samples answers to prompts and learns a teacher's likelihoods of them; a subclass says which."""

    spec: ClassVar[TRLTrainerSpec]
    Settings: ClassVar[type[TrainingSettings]] = TRLTeacherSettings

    def __init__(self, settings: TrainingSettings | None = None) -> None:
        super().__init__(settings)
        check_version(self.spec.name)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer on token ids, with the teacher loaded.

        Raises:
            SettingsError: no teacher is given, or it has another vocabulary.
            ModelNotFound: the teacher has no local weights.
        """
        kind, config = trl_classes(self.spec)
        s: Any = self.settings
        tokenizer = ending_tokenizer(policy.tokenizer, self.name)
        ids = dict(zip(encoded["prompt"], encoded["ids"], strict=True))

        def _tokenize_prompts(self: Any, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [ids[prompt] for prompt in prompts], None, {}

        ours = {
            "train_sampling_strategy": "random",
            "max_completion_length": s.max_tokens,
            "temperature": s.temperature,
        }
        with refusals(self.spec):
            return _monitored(kind, _tokenize_prompts=_tokenize_prompts)(
                model=policy.model,
                teacher_model=_teacher(s.teacher, policy.tokenizer, self.name),
                args=config(**{**arguments, **ours}),
                train_dataset=encoded.remove_columns("ids"),
                processing_class=tokenizer,
                callbacks=[watch],
            )


@cache
def trl_trainer(name: str) -> type[FineTuning]:
    """The trainer class of a trainer of TRL.

    Args:
        name: Its name in TRL without the word Trainer, for example ``CPO``.

    Raises:
        UnknownPlugin: TRL has no such trainer.
        SettingsError: it cannot be used here.
    """
    spec = find_spec(name)
    base = _base_class(spec)
    settings: Any = TRLPairSettings if spec.name == "OnlineDPO" else base.Settings
    known = {field.name for field in fields(settings)}
    online = {theirs: ours for theirs, ours in _SET_BY_ONLINE.items() if ours in known}
    arguments = ArgumentsClass(f"{spec.module}:{spec.name}Config", {**_SET_BY, **online}, _NO_USE)
    about = {"__module__": __name__, "__doc__": settings.__doc__, "arguments": arguments}
    made = {
        "__module__": __name__,
        "__doc__": f"TRL's {spec.name}Trainer on {spec.accepts} rows.",
        "name": f"trl:{spec.name}",
        "accepts": spec.accepts,
        "spec": spec,
        "names": _NAMES.get(spec.layout, {}),
        "Settings": type(f"{spec.name}Settings", (settings,), about),
    }
    return type(f"TRL{spec.name}", (base,), made)


def _base_class(spec: TRLTrainerSpec) -> Any:
    if spec.layout == "sequences":
        from trainers.methods.trl_reward import TRLReward

        return TRLReward
    return {"rated": TRLOnlineTrainer, "taught": TRLTaughtTrainer}.get(spec.layout, TRLTrainer)


def trl_classes(spec: TRLTrainerSpec) -> tuple[Any, Any]:
    """The class of a trainer of TRL, and that of its arguments."""
    module = import_module(spec.module)
    return getattr(module, f"{spec.name}Trainer"), getattr(module, f"{spec.name}Config")


@contextmanager
def refusals(spec: TRLTrainerSpec) -> Iterator[None]:
    """Report what TRL refuses, such as values of its arguments, as settings that cannot be used.

    Raises:
        SettingsError: with the words of TRL.
    """
    try:
        yield
    except (ImportError, NotImplementedError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise SettingsError(f"trl.{spec.name}Trainer refuses these settings: {said}") from error


def _takes(config: type, name: str) -> bool:
    return name in {field.name for field in fields(config)}


def _monitored(kind: type, **methods: Any) -> Any:
    """A class of TRL with the monitor of this project, that takes encoded rows as they are."""
    from trainers.finetuning.monitor import MonitoredTrainer

    def _prepare_dataset(self: Any, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def tokenize_row(self: Any, feature: Any, *args: Any, **kwargs: Any) -> Any:
        return feature

    # The only ways to pass ids to TRL; the columns are those it makes itself.
    ours = {one.__name__: one for one in (_prepare_dataset, tokenize_row) if hasattr(kind, one.__name__)}
    return type("Trainer", (MonitoredTrainer, kind), {**ours, **methods})


def _teacher(uri: str | None, tokenizer: Any, name: str) -> Any:
    """Load the teacher of a trainer, frozen.

    Raises:
        SettingsError: none is given, or its tokens are not those of the base.
        ModelNotFound: it has no local weights.
    """
    from sandbox.models.catalog import local_weights
    from sandbox.models.local.loading import load

    if uri is None:
        raise SettingsError(f"trainer {name!r} needs a teacher: --set teacher=URI, for example teacher=hf:models/first")
    rest = local_weights(uri)
    if rest is None:
        raise ModelNotFound(f"teacher {uri!r} has no local weights; give smollm2, hf:FOLDER or hf:HUB_NAME")
    found = load(rest, device="cpu", dtype="float32")
    if _vocabulary(found.tokenizer) != _vocabulary(tokenizer):
        raise SettingsError(
            f"teacher {uri!r} has another vocabulary than the base; give a model with the same tokenizer"
        )
    return found.model.eval().requires_grad_(False)


def _vocabulary(tokenizer: Any) -> Mapping[str, int]:
    known: Mapping[str, int] = tokenizer.get_vocab()
    return known
