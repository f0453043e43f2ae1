"""Arguments of ``transformers.TrainingArguments``: from the settings, and those given as ``args.NAME`` beside them.

Everything that can be refused is refused before a model is loaded.
"""

from __future__ import annotations

import enum
import json
import math
import os
import typing
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.errors import SettingsError, nearest
from sandbox.typed_settings import Bounds, above, at_least, between, read_typed, refuse
from trainers.settings import TrainingSettings

# Arguments of transformers that are settings of this project.
_SET_BY = {
    "num_train_epochs": "epochs", "max_steps": "max_steps", "learning_rate": "learning_rate",
    "per_device_train_batch_size": "batch_size", "gradient_accumulation_steps": "gradient_accumulation",
    "warmup_steps": "warmup_ratio", "weight_decay": "weight_decay", "max_grad_norm": "max_grad_norm",
    "gradient_checkpointing": "gradient_checkpointing", "bf16": "dtype=bfloat16", "tf32": "tf32", "use_cpu": "device",
    "seed": "seed", "logging_steps": "logging_steps", "save_strategy": "save_steps", "save_steps": "save_steps",
    "report_to": "report_to", "disable_tqdm": "progress", "fsdp": "fsdp", "fsdp_config": "fsdp_config",
    "eval_strategy": "heldout", "eval_steps": "eval_steps",
}  # fmt: skip
# Arguments of transformers that are not available, and why.
_NO_USE = {
    "output_dir": "the folder is --out", "run_name": "trackers use the name of the folder",
    "save_total_limit": "checkpoints are removed when the model is saved",
    "remove_unused_columns": "rows have no unused columns",
    "train_sampling_strategy": "rows are drawn by the seed and grouped by length",
    "logging_nan_inf_filter": "a diverged loss ends the training", "resume_from_checkpoint": "use --resume",
    "load_best_model_at_end": "the best weights are kept with heldout or heldout_share",
}  # fmt: skip
_NO_USE_PREFIXES = {"hub_": "models are not pushed to a hub", "push_to_hub": "models are not pushed to a hub",
                    "do_": "train only trains", "eval_": "held-out pairs are measured with heldout",
                    "trackio_": "use report_to"}  # fmt: skip
_RANGES: dict[str, Bounds] = {
    "adam_beta1": between(0, 1, "[)"), "adam_beta2": between(0, 1, "[)"), "adam_epsilon": above(0),
    "label_smoothing_factor": between(0, 1, "[)"), "neftune_noise_alpha": above(0), "ddp_timeout": at_least(1),
    "ddp_bucket_cap_mb": at_least(1), "dataloader_num_workers": at_least(0), "dataloader_prefetch_factor": at_least(1),
    "torch_empty_cache_steps": at_least(1), "data_seed": at_least(0),
}  # fmt: skip
# Packages of optimisers, by patterns of their names.
_OPTIMISERS: dict[str, Callable[[str], bool]] = {
    "bitsandbytes": lambda n: n.startswith(("paged_", "lion_", "rmsprop_bnb", "ademamix", "adamw_bnb")) or n == "adamw_8bit",
    "torchao": lambda n: n in ("adamw_torch_4bit", "adamw_torch_8bit"),
    "galore_torch": lambda n: n.startswith("galore"),
    "lomo_optim": lambda n: n in ("lomo", "adalomo"),
    "grokadamw": lambda n: n == "grokadamw",
    "schedulefree": lambda n: n.startswith("schedule_free"),
    "apollo_torch": lambda n: n.startswith("apollo"),
    "torchdistx": lambda n: n == "adamw_anyprecision",
    "torch_xla": lambda n: n == "adamw_torch_xla",
    "torch_npu": lambda n: n == "adamw_torch_npu_fused",
    "torch_optimi": lambda n: n == "stable_adamw",
}  # fmt: skip


def training_arguments(settings: TrainingSettings, n_rows: int, folder: Path, target: Path) -> dict[str, Any]:
    """Return the arguments of a training.

    Args:
        settings: Of the training.
        n_rows: Encoded rows.
        folder: Where checkpoints are written.
        target: The model's folder, which trackers call the training by.

    Raises:
        SettingsError: the settings do not fit the devices here.
    """
    s = settings
    cpu = on_cpu(s)
    return {
        "output_dir": str(folder),
        "run_name": target.name,
        "num_train_epochs": s.epochs,
        "max_steps": s.max_steps or -1,
        "learning_rate": s.peak_learning_rate,
        "per_device_train_batch_size": s.batch_size,
        "gradient_accumulation_steps": s.gradient_accumulation,
        # Rounded down: transformers rounds up, and a first step at rate 0 is much of a short training.
        "warmup_steps": int(s.warmup_ratio * steps_of(s, n_rows)),
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
        "report_to": trackers(s) or "none",
        "disable_tqdm": True,
        **({"fsdp": s.fsdp, "fsdp_config": s.fsdp_config} if s.fsdp else {}),
        **given_arguments(s),
    }


def steps_of(settings: TrainingSettings, n_rows: int) -> int:
    """Steps of the optimiser in a training."""
    if settings.max_steps is not None:
        return settings.max_steps
    batches = math.ceil(n_rows / settings.batch_size / int(os.environ.get("WORLD_SIZE", "1")))
    return math.ceil(math.ceil(batches / settings.gradient_accumulation) * settings.epochs)


def on_cpu(settings: TrainingSettings) -> bool:
    """Whether a training runs on the CPU."""
    import torch

    return settings.device == "cpu" or not torch.accelerator.is_available()


def check_arguments(settings: TrainingSettings) -> None:
    """Refuse what cannot be used here, before rows are encoded and a model is loaded.

    Raises:
        SettingsError: names every argument, tracker and device that cannot be used.
    """
    import torch

    s, cpu = settings, on_cpu(settings)
    faults: list[str] = []
    if not cpu and torch.accelerator.device_count() > 1 and "LOCAL_RANK" not in os.environ:
        faults.append(
            f"{torch.accelerator.device_count()} accelerators are visible to one process; start one process each "
            "with torchrun or accelerate launch, or show it one with CUDA_VISIBLE_DEVICES"
        )
    if cpu and s.fsdp:
        faults.append(
            f"fsdp={s.fsdp!r} shards a model over accelerators, and this training runs on the CPU, where "
            "transformers would copy the model instead; leave fsdp out"
        )
    faults += _tracker_faults(s)
    faults += _argument_faults(s, cpu)
    if len(faults) == 1:
        raise SettingsError(faults[0])
    refuse("trainer settings cannot be used here", faults)


def given_arguments(settings: TrainingSettings) -> dict[str, Any]:
    """The arguments given as ``args.NAME``, each of its type."""
    if not settings.args:
        return {}
    return read_typed("args", settings.args, typing.get_type_hints(settings.arguments.load()))[1]


def trackers(settings: TrainingSettings) -> list[str]:
    """The trackers that a training reports to."""
    return [name for name in settings.report_to if name != "none"]


def _tracker_faults(settings: TrainingSettings) -> list[str]:
    if not trackers(settings):
        return []
    from transformers.integrations import get_available_reporting_integrations
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    faults, installed = [], get_available_reporting_integrations()
    for name in trackers(settings):
        if name != "all" and name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            faults.append(
                f"report_to={name!r} is no tracker of transformers.{nearest(name, INTEGRATION_TO_CALLBACK)} Trackers: {known}"
            )
        elif name != "all" and name not in installed:
            faults.append(
                f"report_to={name!r} needs a package that is not installed: pip install {name.replace('_', '-')}; "
                f"installed: {', '.join(installed) or 'none'}"
            )
    return faults


def _argument_faults(settings: TrainingSettings, cpu: bool) -> list[str]:
    if not settings.args:
        return []
    kind, called = settings.arguments.load(), settings.arguments.called
    set_by = {**_SET_BY, **settings.arguments.set_by}
    hints = typing.get_type_hints(kind)
    no_use = {name: settings.arguments.no_use.get(name) or _no_use(name) for name in {**hints, **settings.args}}
    free = [name for name in hints if name not in set_by and no_use[name] is None]
    faults, args = read_typed("args", settings.args, hints)
    for name, value in args.items():
        if name in set_by and name in {**hints, **_SET_BY}:
            faults.append(f"args.{name} is a setting of its own here: use --set {set_by[name]}{_equals(set_by[name])}")
        elif name not in hints:
            faults.append(f"{called} has no argument {name!r}.{nearest(name, free)}")
        elif (why := no_use[name]) is not None:
            faults.append(f"args.{name} has no use here: {why}")
        else:
            faults += _value_faults(name, value, hints[name], kind.__dataclass_fields__[name].metadata)
    if args.get("fp16") is True and settings.dtype == "bfloat16":
        faults.append("args.fp16=true and dtype=bfloat16 are two precisions; use one of them")
    if args.get("fp16") is True and cpu:
        faults.append("args.fp16=true needs an accelerator, and this training runs on the CPU; use dtype=bfloat16")
    if args.get("deepspeed") and settings.fsdp:
        faults.append("args.deepspeed and fsdp both shard the model; use one of them")
    return faults or _refused_together(kind, called, args, cpu)


def _refused_together(kind: Any, called: str, args: Mapping[str, Any], cpu: bool) -> list[str]:
    """What transformers or TRL says of the arguments together."""
    if "deepspeed" in args:
        return []  # making these arguments changes how every model is loaded from then on
    try:
        with warnings.catch_warnings(action="ignore"):  # those of its defaults are not for the user
            kind(output_dir=os.devnull, use_cpu=cpu, report_to="none", **args)
    except (ImportError, NotImplementedError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        return [f"{called} refuses {', '.join(f'args.{name}' for name in args)}: {said}"]
    return []


def _value_faults(name: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> list[str]:
    """What is wrong with one argument's value."""
    choices = [str(one.value) for kind in typing.get_args(hint) if _is_enum(kind) for one in kind]
    choices = choices or list(metadata.get("choices") or ())
    if choices and value not in choices:
        return [f"args.{name}={value!r} is not one of {', '.join(choices)}.{nearest(str(value), choices)}"]
    bounds = _RANGES.get(name)
    if bounds is not None and value is not None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return [f"args.{name}={value!r} must be a number, {bounds}"]
        if value not in bounds:
            return [f"args.{name}={value!r} must be {bounds}"]
    if name == "optim":
        package = next((package for package, has in _OPTIMISERS.items() if has(value)), None)
        if package is not None and find_spec(package) is None:
            return [f"args.optim={value!r} needs the package {package}, which is not installed: pip install {package}"]
    return _deepspeed_faults(value) if name == "deepspeed" else []


def _deepspeed_faults(value: Any) -> list[str]:
    if find_spec("deepspeed") is None:
        return ["args.deepspeed needs the package deepspeed, which is not installed: pip install deepspeed"]
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        try:
            json.loads(Path(value).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return [f"args.deepspeed={value!r} cannot be read as a JSON file of DeepSpeed's settings: {error}"]
    return []


def _no_use(name: str) -> str | None:
    by_prefix = (why for prefix, why in _NO_USE_PREFIXES.items() if name.startswith(prefix))
    return _NO_USE.get(name) or next(by_prefix, None)


def _equals(setting: str) -> str:
    return "" if "=" in setting else "=..."


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)
