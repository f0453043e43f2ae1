"""What importing costs: nothing heavy before it is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "sentence_transformers", "matplotlib", "openai", "ray",
         "solara", "pandas", "sklearn")  # fmt: skip
ROOT = Path(__file__).parent.parent
PUBLIC = {"sandbox", "sandbox.errors", "sandbox.testing", "trainers"}
AUTHORED = [
    *sorted((ROOT / "scenarios").glob("*.py")),
    *sorted((ROOT / "sandbox" / "cli" / "skeletons").glob("*.tmpl")),
    *sorted((ROOT / "examples").glob("[0-9]*.py")),
]


@pytest.mark.parametrize("module", ["sandbox", "sandbox.cli.main", "trainers", "scenarios.value_alignment"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_help_and_lists_load_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom sandbox.cli.main import app\n"
        "for words in (['--help'], ['run', '--help'], ['train', '--help'], ['ls'], ['ls', '--json']):\n"
        "    assert CliRunner().invoke(app, words).exit_code == 0, words\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import sandbox

    assert [name for name in sandbox.__all__ if getattr(sandbox, name, None) is None] == []
    with pytest.raises(AttributeError, match="module 'sandbox' has no attribute 'Wrld'"):
        _ = sandbox.Wrld


@pytest.mark.parametrize("path", AUTHORED, ids=lambda path: path.name)
def test_what_authors_copy_imports_public_names_only(path: Path) -> None:
    """Scenarios, starter packages and numbered examples; pictures have no public face and are left out."""
    found = re.findall(
        r"^\s*(?:from|import) ((?:sandbox|trainers)[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(found) <= PUBLIC


@pytest.mark.parametrize("kind", ["raters", "embedders", "memories"])
def test_contracts_are_found_in_the_folder_of_their_kind(kind: str) -> None:
    folder = import_module(f"sandbox.{kind}")
    assert all(
        getattr(folder, name).__name__ == name for name in folder._HOMES if not name.startswith(("Probe", "Sentence"))
    )
    with pytest.raises(AttributeError, match=f"module 'sandbox.{kind}' has no attribute 'Nothing'"):
        _ = folder.Nothing
