"""Loads the model of an ``hf:`` URI: the bundled model, a folder, a hub name, or an adapter on any of these.

Knows no requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from sandbox.errors import ModelNotFound
from sandbox.models.local.adapters import SharedBase, shared_base
from sandbox.models.local.bundled import BUNDLED, bundled_path, converted_folder
from sandbox.models.local.chat_template import end_of_turn, takes_system
from sandbox.models.local.fingerprint import fingerprint
from sandbox.models.local.model_fit import (
    check_adapter,
    check_architecture,
    check_causal,
    check_missing,
    check_vocabulary,
)
from sandbox.models.local.quiet import quiet
from sandbox.models.local.weight_integrity import check_files
from sandbox.models.plain_roles import PLAIN_ROLES

_HUB_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# Maximum number of adapters on adapters: enough for any evolution, and detects cycles.
_MAX_DEPTH = 64


@dataclass(frozen=True)
class Loaded:
    """A loaded model.

    Attributes:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        folders: Folders of its weights: that of the base, then those of its adapters.
        from_bundled: Whether it is the bundled model, or was trained from it.
        notes: What is done otherwise than its files say, one line each.
    """

    model: Any
    tokenizer: Any
    folders: tuple[Path, ...]
    from_bundled: bool
    notes: tuple[str, ...] = ()


def locate(rest: str) -> Path:
    """Find the folder of a model; a model of the hub is downloaded into the hub cache.

    Args:
        rest: ``smollm2`` (the bundled model), a folder, or a hub name such as ``HuggingFaceTB/SmolLM2-360M-Instruct``.
            A folder named ``smollm2`` is written ``./smollm2``.

    Raises:
        ModelNotFound: there is no such model, or it cannot be downloaded.
    """
    if rest == BUNDLED:
        return bundled_path()
    folder = Path(rest).expanduser()
    if folder.is_dir():
        if not _is_model_folder(folder):
            raise ModelNotFound(
                f"{rest!r} is a folder without config.json or adapter_config.json; give a folder that "
                "`sandbox train` or `save_pretrained` wrote"
            )
        return folder
    if folder.is_absolute() or rest.startswith((".", "~")) or rest.count("/") != 1:
        raise ModelNotFound(
            f"{rest!r} is not a folder, nor the name of a model on the hub such as "
            f"HuggingFaceTB/SmolLM2-360M-Instruct, nor the bundled {BUNDLED!r}"
        )
    return _from_hub(rest)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    def fetch(*weights: str) -> Path:
        # Subfolders of a repository contain other formats of the same weights.
        return Path(snapshot_download(name, allow_patterns=[*_HUB_FILES, *weights], ignore_patterns=["*/*"]))

    try:
        with quiet():
            folder = fetch("*.safetensors")
            return folder if any(folder.glob("*.safetensors")) else fetch("*.bin")
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelNotFound(
            f"{name!r} is not a folder and cannot be downloaded from the model hub: {reason}. "
            f"Without a network, use the bundled {BUNDLED!r} or a folder: hf:./path"
        ) from error


def load(rest: str, *, device: str, dtype: str, merge: bool = True, attn_implementation: str | None = None) -> Loaded:
    """Load the model and the tokenizer of an ``hf:`` URI.

    Args:
        rest: The part of the URI after ``hf:``.
        device: Device name of torch: ``cpu``, ``cuda:0``.
        dtype: Name of a floating-point type of torch, for example ``float32``.
        merge: Merge an adapter into the weights of its base, which makes generation faster.
        attn_implementation: Attention of transformers; None for its choice.

    Raises:
        ModelNotFound: the model does not exist, or is not a causal language model.
    """
    chain = adapter_chain(locate(rest))
    with loading(rest):
        tokenizer = load_tokenizer(chain)
        model = _load_chain(chain, device, dtype, merge, attn_implementation)
        notes = fit_tokenizer(tokenizer, model, chain)
    return Loaded(model, tokenizer, tuple(chain), is_from_bundled(chain), notes)


def load_shared(
    rest: str, owner: object, *, device: str, dtype: str, attn_implementation: str | None = None
) -> tuple[Loaded, SharedBase | None, str | None]:
    """Load the model of an ``hf:`` URI on a base that is shared in memory.

    Args:
        rest: The part of the URI after ``hf:``.
        owner: The object that uses it; its adapter is removed with it.
        device: Device name of torch.
        dtype: Name of a floating-point type of torch.
        attn_implementation: Attention of transformers.

    Returns:
        The model, the shared base, and the name of the adapter on it. An adapter that cannot share a base is loaded alone.

    Raises:
        ModelNotFound: the model does not exist, or is not a causal language model.
    """
    chain = adapter_chain(locate(rest))
    base, last = chain[: max(1, len(chain) - 1)], chain[1:][-1:]

    def make() -> Any:
        return _load_chain(base, device, dtype, True, attn_implementation)

    key = (tuple(str(folder.resolve()) for folder in base), fingerprint(base), device, dtype, attn_implementation)
    with loading(rest):
        tokenizer = load_tokenizer(chain)
        shared = shared_base(key, make)
        name = shared.add(last[0], owner) if last else None
        notes = fit_tokenizer(tokenizer, shared.model, chain)
    if last and name is None:
        alone = load(rest, device=device, dtype=dtype, merge=False, attn_implementation=attn_implementation)
        return alone, None, None
    return Loaded(shared.model, tokenizer, tuple(chain), is_from_bundled(chain), notes), shared, name


def base_of(rest: str) -> str:
    """The base of a model: its root base with all adapters but the last; the model itself if it has none.

    Raises:
        ModelNotFound: the model does not exist.
    """
    chain = adapter_chain(locate(rest))
    return "+".join(str(folder.resolve()) for folder in chain[: max(1, len(chain) - 1)])


@contextmanager
def loading(rest: str) -> Iterator[None]:
    """Load without library output, and turn errors into ModelNotFound.

    Raises:
        ModelNotFound: a library raised an error that the files of a model can cause.
    """
    from safetensors import SafetensorError

    with quiet():
        try:
            yield
        except (
            OSError, ValueError, KeyError, RuntimeError, ImportError, EOFError, UnpicklingError, SafetensorError,
        ) as error:  # fmt: skip
            lines = str(error).strip().splitlines() or [type(error).__name__]
            # The first line of some errors only announces the next.
            reason = " ".join(line.strip() for line in (lines[:2] if lines[0].endswith(":") else lines[:1]))
            raise ModelNotFound(f"{rest!r} cannot be loaded as a causal language model: {reason}") from error


def load_tokenizer(chain: Sequence[Path]) -> Any:
    """Load the tokenizer of the last folder that contains one, after a check of all files.

    Raises:
        ModelNotFound: no folder contains one, or a file is missing or damaged.
    """
    from transformers import AutoTokenizer

    for each in chain:
        check_files(each)
    folder = _with_tokenizer(chain)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ModelNotFound(
            f"{folder} has no tokenizer: expected one of {', '.join(_TOKENIZERS)}. Copy or download it from the model that the "
            "weights are of"
        )
    return AutoTokenizer.from_pretrained(folder)


def fit_tokenizer(tokenizer: Any, model: Any, chain: Sequence[Path]) -> tuple[str, ...]:
    """Name the end token of a tokenizer that names none, and check that the tokenizer fits the model.

    Args:
        tokenizer: The tokenizer; it is modified.
        model: The model.
        chain: Folders of the base and its adapters.

    Returns:
        What is done otherwise than the files say, one line each.

    Raises:
        ModelNotFound: its prompts contain tokens that the model has no embedding of.
    """
    folder, notes = _with_tokenizer(chain), []
    if tokenizer.eos_token is None:
        end, where = end_of_turn(tokenizer), "its chat template"
        if not end:
            said = getattr(model.generation_config, "eos_token_id", None)
            first = said[0] if isinstance(said, list) and said else said
            end, where = (
                tokenizer.convert_ids_to_tokens(first) if isinstance(first, int) else "",
                "its generation_config.json",
            )
        if end:
            tokenizer.eos_token = end
            notes.append(f"the tokenizer of {folder} names no end token; replies end with {end!r}, as in {where}")
        else:
            notes.append(
                f"the tokenizer of {folder} names no end token, so that replies end at their longest and none is learnt; set "
                "eos_token in its tokenizer_config.json"
            )
    check_vocabulary(tokenizer, model, folder)
    if not takes_system(tokenizer):
        notes.append(f"the chat template of {folder} takes no system messages: {PLAIN_ROLES}")
    return tuple(notes)


def adapter_chain(folder: Path) -> list[Path]:
    """Follow adapters to their base: the folder of the base, then the adapters in the order of training.

    Raises:
        ModelNotFound: the base of an adapter is missing, or adapters refer to each other in a cycle.
    """
    chain = [folder]
    while (config := chain[0] / "adapter_config.json").is_file():
        if len(chain) > _MAX_DEPTH:
            raise ModelNotFound(f"adapter {folder} has no base: its adapters refer to each other in a cycle")
        base = str(_read(config).get("base_model_name_or_path") or "").removeprefix("hf:")
        if not base:
            raise ModelNotFound(f"{config} names no base model (base_model_name_or_path)")
        try:
            chain.insert(0, _base_folder(chain[0], base))
        except ModelNotFound as error:
            raise ModelNotFound(f"the base of adapter {chain[0]} is missing: {error}") from error
    return chain


def _base_folder(adapter: Path, base: str) -> Path:
    """The base of an adapter; a relative path is resolved from the folder of the adapter, then the working directory."""
    if base == BUNDLED:
        return locate(base)
    beside = adapter / base
    if _is_model_folder(beside):
        return beside
    note = adapter / "training.json"
    if Path(base).is_absolute() and note.is_file():
        # Both may have been moved since the training, or the bundled model may be in another cache.
        moved = str(_read(note).get("base_folder") or "")
        if moved == BUNDLED:
            return locate(moved)
        if moved and _is_model_folder(adapter / moved):
            return adapter / moved
    return locate(base)


def hub_name(folder: Path) -> str | None:
    """The hub name of a folder in the hub cache; None for any other folder."""
    snapshots, repository = folder.parent, folder.parent.parent.name
    if snapshots.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/")
    return None


def _is_model_folder(folder: Path) -> bool:
    """Whether a folder contains a model or an adapter."""
    return (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()


def _load_chain(
    chain: Sequence[Path], device: str, dtype: str, merge: bool, attn_implementation: str | None = None
) -> Any:
    """Load a base and its adapters in evaluation mode, and check that they are whole and fit each other."""
    import torch
    from transformers import AutoModelForCausalLM

    check_architecture(chain[0])
    given = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    model, found = AutoModelForCausalLM.from_pretrained(
        chain[0], dtype=getattr(torch, dtype), output_loading_info=True, **given
    )
    check_missing(chain[0], sorted(found["missing_keys"]))
    check_causal(model.to(device).eval(), chain[0])
    for number, adapter in enumerate(chain[1:], 2):
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
        check_adapter(model, adapter, "default")
        if merge or number < len(chain):
            # An adapter on an adapter was trained on the merged weights.
            model = model.merge_and_unload()
    return model.to(device).eval().requires_grad_(False)


def _with_tokenizer(chain: Sequence[Path]) -> Path:
    """The last folder that contains a tokenizer: training may have added tokens or a template."""
    for folder in reversed(chain):
        if any((folder / name).is_file() for name in ("tokenizer_config.json", *_TOKENIZERS)):
            return folder
    return chain[0]


def is_from_bundled(chain: list[Path]) -> bool:
    """Whether a model was trained from the bundled one, through adapters or merged weights."""
    base = chain[0]
    for _ in range(_MAX_DEPTH):
        if base.resolve() == converted_folder().resolve():
            return True
        note = base / "training.json"
        if not note.is_file():
            return False
        rest = str(_read(note).get("base") or "").removeprefix("hf:").removeprefix("vllm:")
        if rest == BUNDLED:
            return True
        if not Path(rest).is_dir():
            return False
        base = adapter_chain(Path(rest))[0]
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{path} cannot be read as JSON: {error}") from error
