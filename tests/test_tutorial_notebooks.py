"""Notebooks made of tutorials: what stands in them, those that are kept, and one run by a real kernel."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "examples" / "notebooks"
NAMES = sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md"))
SiteModule = Callable[[str], Any]

PAGE = """# T

See [raters](../raters.md#values), [the next](look.md), [all](../trainers/index.md) and [Mesa](https://mesa.test).

```python title="own.txt"
some words
```

```sh
# Both are run.
sandbox ls \\
    protocols   # of all packages
sandbox ls raters
ls
```

```sh
pip install x
```

```python
from pathlib import Path

print(Path("own.txt").read_text() * 2)
Path("p.png").write_bytes(b"png")
```

<!-- picture: p.png: A "picture" -->
"""


def sources(made: Any) -> list[str]:
    return [cell.source for cell in made.cells[2:]]


def without_output(page: str, site: SiteModule) -> Any:
    return site("notebooks").notebook([(piece, "") for piece in site("pieces").pieces(page)], "t")


@pytest.mark.needs_torch  # the site's own packages come with it
def test_outputs_and_pictures_are_those_of_the_page(docs_site: SiteModule) -> None:
    site = docs_site("tutorials")
    shown = site.run_page(PAGE, "t")
    page, _ = site.as_page(shown, "t")
    made = docs_site("notebooks").notebook([(one.piece, one.output) for one in shown], "t")
    outputs = [output for cell in made.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.text for output in outputs if output.output_type == "stream"]
    assert texts == [f"{text}\n" for text in re.findall(r"\{ \.text \.output \}\n(.*?)\n```", page, re.DOTALL)]
    assert "back_scatter" in texts[0]
    assert texts[1] == "some words\nsome words\n"
    [picture] = [output for output in outputs if output.output_type == "display_data"]
    assert base64.b64decode(picture.data["image/png"]) == b"png"
    assert picture.metadata["image/png"]["alt"] == 'A "picture"'


def test_pieces_become_cells(docs_site: SiteModule) -> None:
    """Commands that the build does not run are a comment beside those that it runs, and stay Markdown alone."""
    made = without_output(PAGE, docs_site)
    assert [cell.cell_type for cell in made.cells] == [
        "code", "code", "markdown", "code", "code", "markdown", "code", "code",
    ]  # fmt: skip
    [prose, file, commands, not_run, code, picture] = sources(made)
    assert prose.startswith("# T\n\nSee [raters](")
    assert file == "%%writefile own.txt\nsome words"
    assert commands == "# Both are run.\n!sandbox ls protocols   # of all packages\n!sandbox ls raters\n# ls"
    assert not_run == "```sh\npip install x\n```"
    assert code.startswith("from pathlib import Path\n")
    assert picture.endswith('Image("p.png", width=480, alt="A \\"picture\\"")')


def test_a_shell_gets_the_command_that_the_page_prints(docs_site: SiteModule) -> None:
    """IPython puts values in the place of {names} and $names; here none may be replaced, known or not."""
    formatter = pytest.importorskip("IPython.utils.text").DollarFormatter()
    command = "sandbox run x --set 'prompts.answer={question}' --label \"$HOME ${who} $question\" --cost $5"
    [line] = sources(without_output(f"```sh\n{command}\n```\n", docs_site))
    assert formatter.vformat(line.removeprefix("!"), (), {"question": "taken", "HOME": "taken", "who": 1}) == command


def test_links_lead_from_the_notebook(docs_site: SiteModule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the checkout as long as the repository has no address, else to it."""
    notebooks = docs_site("notebooks")
    monkeypatch.setattr(notebooks, "repository", lambda: None)
    made = without_output(PAGE, docs_site)
    rest = "all (trainers/index.html of the site) and [Mesa](https://mesa.test)."
    assert f"[raters](../../docs/raters.md#values), [the next](look.ipynb), {rest}" in sources(made)[0]
    assert "%pip install --quiet -c ../../constraints.txt -e ../..\n" in made.cells[0].source
    assert notebooks.colab("look") is None
    monkeypatch.setattr(notebooks, "repository", lambda: "https://github.com/o/r")
    made = without_output(PAGE, docs_site)
    at = "https://github.com/o/r/blob/main"
    assert (
        f"[raters]({at}/docs/raters.md#values), [the next]({at}/examples/notebooks/look.ipynb), {rest}"
        in sources(made)[0]
    )
    assert made.cells[0].source.startswith("%pip install --quiet git+https://github.com/o/r\n")
    assert notebooks.colab("look") == (
        "https://colab.research.google.com/github/o/r/blob/main/examples/notebooks/look.ipynb"
    )
    monkeypatch.setattr(notebooks, "repository", lambda: "https://forge.test/o/r")
    assert notebooks.colab("look") is None


@pytest.mark.needs_torch
def test_a_page_offers_colab_where_the_repository_is_on_github(
    docs_site: SiteModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = docs_site("tutorials")
    monkeypatch.setattr(pages, "colab", lambda name: None)
    download = '[Download the notebook](look.ipynb){ download="look.ipynb" }'
    assert pages._offers("look") == f"{download} · in a checkout: `examples/notebooks/look.ipynb`"
    monkeypatch.setattr(pages, "colab", lambda name: f"https://colab.test/{name}")
    assert pages._offers("look") == f"{download} · [Open in Colab](https://colab.test/look)"


def test_the_address_is_that_of_pyproject(
    docs_site: SiteModule, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notebooks = docs_site("notebooks")
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert notebooks.repository() is None
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/o/r.git/"\n')
    assert notebooks.repository() == "https://github.com/o/r"
    (tmp_path / "README.md").write_text("Nothing.\n")
    with pytest.raises(ValueError, match="README.md has no lines"):
        notebooks._install()


def test_no_other_notebooks_are_kept() -> None:
    assert sorted(path.name for path in KEPT.glob("*.ipynb")) == [f"{name}.ipynb" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_kept_notebooks_are_made_of_the_tutorials(name: str, docs_site: SiteModule) -> None:
    kept = (KEPT / f"{name}.ipynb").read_text(encoding="utf-8")
    assert kept == docs_site("notebooks").without_outputs(name), "run `make notebooks`"
    links = [target for cell in json.loads(kept)["cells"] if cell["cell_type"] == "markdown"
             for target in re.findall(r"\]\(([^)#]+)", "".join(cell["source"]))]  # fmt: skip
    assert [target for target in links if "://" not in target and not (KEPT / target).exists()] == []


@pytest.mark.slow
def test_a_kernel_runs_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells but the first, which installs: without an error, and without the movements of a bar's cursor."""
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # a kernel need not be in an activated environment
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    cells = json.loads((KEPT / "first_society.ipynb").read_text(encoding="utf-8"))["cells"]
    _, *codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    codes.append('run.plot("grid")')
    heard: list[Any] = []
    os.makedirs(tmp_path / "here")
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path / "here"))
    try:
        for code in codes:
            reply = client.execute_interactive(code, timeout=120, output_hook=lambda message: heard.append(message))
            assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    text = "".join(one["content"]["text"] for one in heard if one["msg_type"] == "stream")
    assert "runs/first: 18 interactions in 2 rounds, 0 failed" in text
    assert "runs/first: 27 interactions in 3 rounds, 0 failed" in text
    assert "\x1b[1A" not in text
    [page, figure] = [one["content"] for one in heard if "image/png" in one["content"].get("data", {})]
    assert page["metadata"]["image/png"]["width"] == 480
    assert "Figure" in figure["data"]["text/plain"]
    assert list((tmp_path / "here").iterdir()) == []
