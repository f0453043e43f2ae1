"""Virtual environments of the frameworks that are compared, each in a folder of its own, kept for the next time."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INSTALL_S = 3600


class NotInstalled(Exception):
    """A framework cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A framework, as one of the ways in which it can be used.

    Attributes:
        name: As ``--peers`` takes it.
        shown: Its name in the table.
        script: The file beside this one that runs it.
        python: Version of Python, for example ``3.12``; empty for the interpreter that runs the benchmark.
        requirements: What is installed; all of a framework's ways share an environment, by these.
        variables: Environment variables of its process.
        differs: What it does in another way than the rest, a sentence.
    """

    name: str
    shown: str
    script: str
    python: str = ""
    requirements: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    differs: str = ""


def find_python(version: str) -> str:
    """An interpreter of a version, from PATH or pyenv.

    Raises:
        NotInstalled: there is none.
    """
    pyenv = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    known = [shutil.which(f"python{version}"), *sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python"))]
    for program in filter(None, known):
        said = subprocess.run(
            [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
        )
        if said.stdout.strip() == version:
            return program
    raise NotInstalled(f"there is no Python {version}, neither python{version} on PATH nor one of pyenv")


def environment(peer: Peer, cache: Path) -> str:
    """Path of the interpreter of a peer's environment, which is made where it is not there yet.

    Raises:
        NotInstalled: it cannot be made.
    """
    folder = cache / (peer.requirements[0].split("==")[0].split("[")[0] + "-" + peer.python)
    python, mark = folder / "bin" / "python", folder / "requirements.json"
    if mark.exists() and json.loads(mark.read_text(encoding="utf-8")) == list(peer.requirements):
        return str(python)
    base = find_python(peer.python)
    shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / f"{folder.name}.log"
    for command in ([base, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *peer.requirements]):
        with log.open("w", encoding="utf-8") as written:
            try:
                ended = subprocess.run(command, stdout=written, stderr=subprocess.STDOUT, timeout=INSTALL_S)
            except subprocess.TimeoutExpired:
                raise NotInstalled(f"installing {' '.join(peer.requirements)} took more than {INSTALL_S} s") from None
        if ended.returncode:
            lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if "ERROR" in line]
            reason = lines[-1].removeprefix("ERROR: ") if lines else f"{command[0]} ended with {ended.returncode}"
            raise NotInstalled(f"{' '.join(peer.requirements)} cannot be installed: {reason} (see {log})")
    mark.write_text(json.dumps(list(peer.requirements)), encoding="utf-8")
    return str(python)
