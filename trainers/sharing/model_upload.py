"""A trained model's folder as an upload: weights, tokenizer, settings, and a card with all that is known of it."""

from __future__ import annotations

import fnmatch
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.data_files import is_hub_name
from sandbox.errors import PushError, SandboxError
from sandbox.models.catalog import WEIGHTS_HERE, resolve
from sandbox.models.local.bundled import BUNDLED, converted_folder
from sandbox.models.local.loading import adapter_chain, hub_name, locate
from sandbox.models.local.model_card import BUNDLED_ON_HUB, GENERATED, CardFacts, model_card
from trainers.base import trainer_line
from trainers.config_file import CONFIG, TrainingConfig, read_config
from trainers.sharing.evaluations import evaluation_of
from trainers.sharing.local_paths import clean_json, cleaned_file, without_local_paths
from trainers.sharing.sources import source_facts, source_lines
from trainers.sharing.upload import CARD, Upload, UploadFile

ADAPTER = "adapter_config.json"
# Checkpoints, logs and pickles stay here.
_PUSHED = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", ADAPTER, "tokenizer*", "*.jinja",
    "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "spiece.model", "sentencepiece*",
    "training.json", CONFIG, "Modelfile", "LICENSE*", CARD,
)  # fmt: skip


@dataclass(frozen=True)
class _Base:
    """The base of a model: its name on the hub, and whether it is the bundled one."""

    name: str | None
    bundled: bool = False


def model_upload(folder: Path, repo: str, *, licence: str | None = None, base: str | None = None) -> Upload:
    """Collect what is pushed of a model's folder.

    Args:
        folder: Written by ``sandbox train`` or ``sandbox export-model``.
        repo: ``OWNER/NAME``.
        licence: Identifier of its licence.
        base: Name of its base on the hub, if that is a local folder.

    Raises:
        PushError: its weights are missing, or it is an adapter on a base that is on no hub.
    """
    names = sorted(path.name for path in folder.iterdir())
    kept = [name for name in names if _is_pushed(name) and (folder / name).is_file()]
    if not any(name.endswith(".safetensors") for name in kept):
        raise PushError(f"{folder} has no weights (*.safetensors); push the folder that `sandbox train` wrote")
    about, config = _read(folder / "training.json"), _read(folder / ADAPTER)
    root = _base(folder, about, bool(config), base)
    notes: list[str] = []
    files = []
    for name in kept:
        if name != CARD:
            files.append(_file(folder, name, root if config else None, about))
    if changed := [file.name for file in files if isinstance(file.content, bytes)]:
        notes.append(f"changed for the hub, paths of this machine made relative or left out: {', '.join(changed)}")
    if left := [name for name in names if name not in kept and not name.startswith(".")]:
        notes.append(f"left out: {', '.join(left)}")
    evaluation, more = evaluation_of(folder)
    card, said = _card(folder, repo, about, config, root, evaluation, licence)
    return Upload("model", [UploadFile(CARD, card.encode()), *files], [*notes, *more, *said])


def _is_pushed(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _PUSHED)


def _read(path: Path) -> dict[str, Any]:
    """An object of JSON; empty if there is none."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise PushError(f"{path} cannot be read as JSON: {error}") from error


def _base(folder: Path, about: Mapping[str, Any], is_adapter: bool, given: str | None) -> _Base:
    """The base of a model on the hub.

    Raises:
        PushError: it is an adapter, and its base is on no hub.
    """
    if given is not None:
        return _Base(given)
    try:
        if is_adapter:
            chain = adapter_chain(folder)[:-1]
        else:
            kind, rest = resolve(str(about["base"]))
            # Looked up where it is on this machine: nothing is downloaded.
            if rest == BUNDLED:
                return _Base(BUNDLED_ON_HUB, bundled=True)
            if is_hub_name(rest):
                return _Base(rest)
            chain = adapter_chain(locate(rest)) if kind in WEIGHTS_HERE and Path(rest).expanduser().is_dir() else []
    except (SandboxError, KeyError) as error:
        if is_adapter:
            raise PushError(f"{error}. Name the base on the hub with --base OWNER/NAME") from error
        return _Base(None)
    if chain and chain[0].resolve() == converted_folder().resolve():
        root = _Base(BUNDLED_ON_HUB, bundled=True)
    else:
        root = _Base(hub_name(chain[0]) if chain else None)
    if is_adapter and (root.name is None or len(chain) > 1):
        raise PushError(
            f"{folder} is an adapter on {without_local_paths(str(chain[-1]))}, which is a folder of this machine: others could "
            f"not load it. Push full weights: sandbox export-model hf:{shlex.quote(str(folder))} --out MERGED, then sandbox "
            "push MERGED; or push the base first, and name it with --base OWNER/NAME"
        )
    return root


def _file(folder: Path, name: str, root: _Base | None, about: Mapping[str, Any]) -> UploadFile:
    """A file as it is pushed: bytes where it differs from the one in the folder."""
    path = folder / name
    content = cleaned_file(path, near=folder.parent)
    if root is not None and name == ADAPTER:
        changed = {**_read(path), "base_model_name_or_path": root.name}
        if changed != _read(path):
            content = (json.dumps(changed, ensure_ascii=False, indent=2) + "\n").encode()
    if name == "training.json":
        # It says where the base lies beside the model.
        beside = about.get("base_folder")
        moved = None if isinstance(beside, str) and beside.startswith((".", "/", "~")) else beside
        if moved != beside or content is not None:
            cleaned = clean_json(dict(about), lambda text: without_local_paths(text, near=folder.parent))
            content = (json.dumps({**cleaned, "base_folder": moved}, ensure_ascii=False, indent=1) + "\n").encode()
    return UploadFile(name, path if content is None else content)


def _card(
    folder: Path,
    repo: str,
    about: Mapping[str, Any],
    config: Mapping[str, Any],
    root: _Base,
    evaluation: str,
    licence: str | None,
) -> tuple[str, list[str]]:
    """The text of the card, and remarks; the owner's own where there is one."""
    own = folder / CARD
    if own.is_file() and GENERATED not in (text := own.read_text(encoding="utf-8")):
        if licence is not None:
            raise PushError(
                f"{own} is your own text: set `license: {licence}` at its head, or remove the file, instead of --license"
            )
        return without_local_paths(text, near=folder.parent), [f"{CARD}: your own text, as it is in the folder"]
    told = read_config(folder / CONFIG) if (folder / CONFIG).is_file() else TrainingConfig()
    facts = source_facts(told.rows)
    scores = any(
        "SequenceClassification" in str(one) for one in _read(folder / "config.json").get("architectures") or ()
    )

    def clean(text: str) -> str:
        return without_local_paths(text, near=folder.parent)

    made = CardFacts(
        method=trainer_line(str(about.get("trainer") or "")),
        sources=[clean(line) for line in source_lines(facts)],
        datasets=[one["name"].partition(":")[0] for one in facts if one["kind"] == "dataset"],
        repeat="sandbox train --config train.yaml --out models/again" if told.rows else None,
        evaluation=clean(evaluation),
        weaknesses=_weaknesses(about, facts, root),
        licence=licence,
        scores=scores,
        on_hub=True,
    )
    card = model_card(
        repo.partition("/")[2], repo, clean_json(dict(about), clean), base=root.name, bundled=root.bundled,
        adapter=root.name if config else None, rank=int(config.get("r") or 0), facts=made,
    )  # fmt: skip
    return card, []


def _weaknesses(about: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], root: _Base) -> list[str]:
    """What is known to limit a model, from its facts alone."""
    found, rows = [], about.get("rows") or {}
    if "rows" in rows:
        asked = f" about {rows['questions']:,} questions" if "questions" in rows else ""
        found.append(f"It learnt from {rows['rows']:,} rows{asked}; on other subjects expect the answers of its base.")
    if facts and all(one["kind"] == "run" for one in facts):
        found.append("The ratings that it learnt from are those of the raters named above; people gave none of them.")
    if root.bundled:
        found.append(
            "Its base has 135 million parameters: it is weak at facts, arithmetic, code and long texts. It was trained on the "
            "quantised weights that come with Social Sandbox (4 bits); on those of the hub it answers slightly differently."
        )
    return found
