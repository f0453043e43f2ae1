"""Checks that the files of a model folder are there and whole, before a library reads them.

Knows no models: it reads headers, sizes and indices only.
"""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.errors import ModelNotFound
from sandbox.models.local.fingerprint import weight_files

_POINTER = b"version https://git-lfs.github.com/spec/"
_SHORTEST_HEADER, _LONGEST_HEADER = 2, 100_000_000  # bytes, by the format's definition
_INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def check_files(folder: Path) -> None:
    """Refuse a model or adapter folder with missing, replaced or truncated files.

    Args:
        folder: A folder with ``config.json`` or ``adapter_config.json``.

    Raises:
        ModelNotFound: names the file, what is wrong with it, and what to do.
    """
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.stat().st_size < 1024 and file.read_bytes().startswith(_POINTER):
            raise ModelNotFound(
                f"{file} is a Git LFS pointer and not the file itself; run `git lfs install && git lfs pull` in the "
                "repository it was cloned from, or download the model again"
            )
    _check_shards(folder)
    files = weight_files(folder)
    if not files:
        expected = "adapter_model" if (folder / "adapter_config.json").is_file() else "model"
        raise ModelNotFound(
            f"{folder} has no weights: expected {expected}.safetensors, found "
            f"{', '.join(sorted(file.name for file in folder.iterdir())) or 'nothing'}. Copy or download the weights too"
        )
    for file in files:
        fault = _fault(file)
        if fault is not None:
            raise ModelNotFound(f"{file} cannot be read as weights: {fault}; copy or download it again")


def _check_shards(folder: Path) -> None:
    for name in _INDICES:
        index = folder / name
        if not index.is_file() or (folder / "model.safetensors").is_file():
            continue
        try:
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelNotFound(f"{index} cannot be read as an index of weights: {error}; download it again") from error
        missing = [shard for shard in shards if not (folder / str(shard)).is_file()]
        if missing:
            raise ModelNotFound(
                f"{folder} lacks {len(missing)} of {len(shards)} files of weights that {name} names: "
                f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}; copy or download them too"
            )


def _fault(file: Path) -> str | None:
    """What is wrong with a file of weights; None if nothing is. Of pickled files only the first bytes are known."""
    size = file.stat().st_size
    if size == 0:
        return "it is empty"
    with file.open("rb") as stream:
        start = stream.read(8)
        if file.suffix != ".safetensors":
            if not file.name.startswith(("pytorch_model", "adapter_model", "model")):
                return None
            return None if start[:2] == b"PK" or start[:1] == b"\x80" else "it is not a file that torch wrote"
        length = int.from_bytes(start, "little")
        if size < 8 or not _SHORTEST_HEADER <= length <= _LONGEST_HEADER:
            return "it is not a safetensors file"
        if size < 8 + length:
            return f"it is incomplete, {size} bytes"
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return "its header is damaged"
    return None if size == whole else f"it is {'incomplete' if size < whole else 'too long'}, {size} of {whole} bytes"
