"""Paths of this machine, taken out of what is pushed."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sandbox.errors import PushError
from sandbox.models.local.fingerprint import cache_dir
from sandbox.models.remote.api_keys import scrubbed
from trainers.sharing.upload import UploadFile

_PART = r"[^\s/\\'\"`,;:()\[\]{}<>|*?$=]+"
# Of two names or more; not within a URL, a closing tag, or a relative path.
_PATH = re.compile(rf"(?<![\w.<~/\\-])(?:[A-Za-z]:(?:[/\\]{_PART})*[/\\]|~?(?:/{_PART})*/)({_PART})/?")
_USER = re.compile(r"(?<=://)[^/\s@]+@")
# Files of more bytes are weights or data.
_TEXT_BYTES = 32_000_000
# Written by transformers; its pieces of words are no paths.
_NO_TEXT = {"tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json"}


def without_local_paths(text: str, *, near: Path | None = None) -> str:
    """Shorten absolute paths in a text to what they have in common with no machine, and remove keys and passwords of URLs.

    Args:
        text: The text.
        near: A folder; paths below it or below the working directory become relative, all others their last name.
    """
    for folder in sorted({Path.cwd(), *([near.resolve()] if near else [])}, key=lambda one: -len(one.parts)):
        if len(folder.parts) > 1:
            text = re.sub(rf"{re.escape(str(folder))}[/\\]", "", text)
    return _USER.sub("", scrubbed(_PATH.sub(_last_name, text)))


def _last_name(found: re.Match[str]) -> str:
    whole = found.group(0)
    # "/b" may be anything; "/a/b" and "~/b" are paths.
    is_path = whole[0] != "/" or whole.rstrip("/").count("/") > 1
    return found.group(1) if is_path else whole


def clean_json(value: Any, clean: Callable[[str], str]) -> Any:
    """A JSON value with its texts cleaned; chat templates stay as they are."""
    if isinstance(value, dict):
        return {k: v if k == "chat_template" else clean_json(v, clean) for k, v in value.items()}
    if isinstance(value, list):
        return [clean_json(one, clean) for one in value]
    return clean(value) if isinstance(value, str) else value


def cleaned_file(path: Path, *, near: Path) -> bytes | None:
    """The content of a JSON or YAML file without local paths; None if there are none in it, or it is none of these."""
    if path.name in _NO_TEXT or path.suffix not in (".json", ".yaml", ".yml") or path.stat().st_size > _TEXT_BYTES:
        return None
    text = path.read_text(encoding="utf-8", errors="replace")

    def clean(one: str) -> str:
        return without_local_paths(one, near=near)

    if path.suffix != ".json":
        return None if clean(text) == text else clean(text).encode()
    try:
        found = json.loads(text)
    except ValueError:
        return None
    cleaned = clean_json(found, clean)
    return None if cleaned == found else (json.dumps(cleaned, ensure_ascii=False, indent=1) + "\n").encode()


def machine_folders(source: Path) -> list[str]:
    """Folders of this machine that no text on a hub may name: home, working directory, source, cache and others."""
    places = {
        Path.home(),
        Path.cwd(),
        source.resolve().parent,
        cache_dir(),
        Path(tempfile.gettempdir()),
        Path(sys.prefix),
    }
    # Names of one part, such as /tmp, stand in many texts.
    return [f"{place}/" for place in sorted(places) if len(place.parts) > 2 or place == Path.home() != Path("/")]


def check_no_local_paths(files: Iterable[UploadFile], source: Path) -> None:
    """Refuse an upload whose texts name folders of this machine.

    Raises:
        PushError: names the file and the path.
    """
    folders = machine_folders(source)
    for file in files:
        if Path(file.name).name in _NO_TEXT or file.size > _TEXT_BYTES:
            continue
        content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        if found := next((folder for folder in folders if folder in text), None):
            start = text.index(found)
            shown = re.split(r"[\s\"'`,;]", text[start : start + 120], maxsplit=1)[0]
            line = text.count("\n", 0, start) + 1
            raise PushError(
                f"{file.name}, line {line}, holds {shown!r}, a path of this machine; remove it from {source} and push again"
            )
