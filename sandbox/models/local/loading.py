"""Finds and loads what an ``hf:`` URI names: the bundled model, a folder, a hub name, or an adapter on any of these.

Knows how to load; knows nothing of requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound
from sandbox.models.local.adapters import SharedBase, shared_base
from sandbox.models.local.bundled import BUNDLED, bundled_path, converted_folder
from sandbox.models.local.fingerprint import fingerprint
from sandbox.models.local.quiet import quiet

_HUB_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
# A folder trained from a folder trained from a folder ...: enough for any evolution, and a circle is noticed.
_MAX_DEPTH = 64


@dataclass(frozen=True)
class Loaded:
    """A model ready to be run.

    Attributes:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        folders: Where its weights came from: the base's folder first, then its adapters'.
        from_bundled: Whether it is the bundled model, or was trained from it.
    """

    model: Any
    tokenizer: Any
    folders: tuple[Path, ...]
    from_bundled: bool


def locate(rest: str) -> Path:
    """The folder of what stands after ``hf:``; a hub name is downloaded into the hub's own cache.

    Args:
        rest: ``smollm2`` (the bundled model), a folder, or a hub name such as ``HuggingFaceTB/SmolLM2-360M-Instruct``.
            A folder that is itself called ``smollm2`` is written ``./smollm2``.

    Raises:
        ModelNotFound: it is none of these, or cannot be had.
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
        # Folders inside a repository hold other formats of the same weights.
        return Path(snapshot_download(name, allow_patterns=[*_HUB_FILES, *weights], ignore_patterns=["*/*"]))

    try:
        with quiet():
            folder = fetch("*.safetensors")
            return folder if any(folder.glob("*.safetensors")) else fetch("*.bin")
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelNotFound(
            f"{name!r} is not a folder here and cannot be had from the model hub: {reason}. "
            f"Without a network, use the bundled {BUNDLED!r} or a folder: hf:./path"
        ) from error


def load(rest: str, *, device: str, dtype: str, merge: bool = True, attn_implementation: str | None = None) -> Loaded:
    """Load the model and the tokenizer that an ``hf:`` URI names.

    Args:
        rest: What stands after ``hf:``.
        device: As torch names it: ``cpu``, ``cuda:0``.
        dtype: A floating-point type by its name in torch, as ``float32``.
        merge: Fold an adapter into its base's weights, which makes generation faster; else it runs beside them.
        attn_implementation: As transformers names it; None leaves the choice to it.

    Raises:
        ModelNotFound: it is not there, or is no causal language model.
    """
    chain = adapter_chain(locate(rest))
    with _loading(rest):
        tokenizer = _tokenizer(chain)
        model = _load_chain(chain, dtype, merge, attn_implementation)
    model.to(device).eval().requires_grad_(False)
    return Loaded(model, tokenizer, tuple(chain), _is_from_bundled(chain))


def load_shared(
    rest: str, owner: object, *, device: str, dtype: str, attn_implementation: str | None = None
) -> tuple[Loaded, SharedBase | None, str | None]:
    """Load what an ``hf:`` URI names onto the base that others of its kind use already, if any do.

    Args:
        rest: What stands after ``hf:``.
        owner: Who speaks through it; its adapter goes with it.
        device: As torch names it.
        dtype: A floating-point type by its name in torch.
        attn_implementation: As transformers names it.

    Returns:
        The model, the base that it shares, and the adapter's name there. An adapter that cannot be shared stands alone.

    Raises:
        ModelNotFound: it is not there, or is no causal language model.
    """
    chain = adapter_chain(locate(rest))
    base, last = chain[: max(1, len(chain) - 1)], chain[1:][-1:]

    def make() -> Any:
        return _load_chain(base, dtype, True, attn_implementation).to(device).eval().requires_grad_(False)

    key = (tuple(str(folder.resolve()) for folder in base), fingerprint(base), device, dtype, attn_implementation)
    with _loading(rest):
        tokenizer = _tokenizer(chain)
        shared = shared_base(key, make)
        name = shared.add(last[0], owner) if last else None
    if last and name is None:
        alone = load(rest, device=device, dtype=dtype, merge=False, attn_implementation=attn_implementation)
        return alone, None, None
    return Loaded(shared.model, tokenizer, tuple(chain), _is_from_bundled(chain)), shared, name


def base_of(rest: str) -> str:
    """What a model's weights stand on: its base, and all adapters but the last; of a model without adapters itself.

    Raises:
        ModelNotFound: it is not there.
    """
    chain = adapter_chain(locate(rest))
    return "+".join(str(folder.resolve()) for folder in chain[: max(1, len(chain) - 1)])


@contextmanager
def _loading(rest: str) -> Iterator[None]:
    """Load quietly, and say what cannot be loaded."""
    with quiet():
        try:
            yield
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelNotFound(f"{rest!r} cannot be loaded as a causal language model: {reason}") from error


def _tokenizer(chain: list[Path]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(_with_tokenizer(chain))


def adapter_chain(folder: Path) -> list[Path]:
    """Follow adapters to their base: the base's folder first, then the adapters in the order they were learnt.

    Raises:
        ModelNotFound: an adapter's base is not to be found, or adapters name each other in a circle.
    """
    chain = [folder]
    while (config := chain[0] / "adapter_config.json").is_file():
        if len(chain) > _MAX_DEPTH:
            raise ModelNotFound(f"adapter {folder} has no base: its adapters name each other in a circle")
        base = str(_read(config).get("base_model_name_or_path") or "").removeprefix("hf:")
        if not base:
            raise ModelNotFound(f"{config} names no base model (base_model_name_or_path)")
        beside = chain[0] / base
        try:
            chain.insert(0, beside if _is_model_folder(beside) and base != BUNDLED else locate(base))
        except ModelNotFound as error:
            raise ModelNotFound(f"the base of adapter {chain[0]} is missing: {error}") from error
    return chain


def _is_model_folder(folder: Path) -> bool:
    """Whether a folder holds a model or an adapter."""
    return (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()


def _load_chain(chain: list[Path], dtype: str, merge: bool, attn_implementation: str | None = None) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    given = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    model = AutoModelForCausalLM.from_pretrained(chain[0], dtype=getattr(torch, dtype), **given)
    for number, adapter in enumerate(chain[1:], 2):
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
        if merge or number < len(chain):
            # What was learnt on top of an adapter was learnt on top of its merged weights.
            model = model.merge_and_unload()
    return model


def _with_tokenizer(chain: list[Path]) -> Path:
    """The last folder that brings a tokenizer: training may have added tokens or a template."""
    for folder in reversed(chain):
        if (folder / "tokenizer_config.json").is_file() or (folder / "tokenizer.json").is_file():
            return folder
    return chain[0]


def _is_from_bundled(chain: list[Path]) -> bool:
    """Whether a model goes back to the bundled one, over adapters and over merged weights alike."""
    base = chain[0]
    for _ in range(_MAX_DEPTH):
        if base.resolve() == converted_folder().resolve():
            return True
        note = base / "training.json"
        if not note.is_file():
            return False
        rest = str(_read(note).get("base") or "").removeprefix("hf:")
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
