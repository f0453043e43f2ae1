"""Parts that need torch or its companions say so in one message where these are not installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import load_model
from sandbox.embedders.base import load_embedder
from sandbox.errors import ToolNotFound, require_packages
from sandbox.raters.base import load_rater
from trainers import load_trainer, ranked_rows

PARTS: dict[str, tuple[Callable[[], Any], str]] = {
    "model": (
        lambda: load_model("hf:smollm2", top_k=3),
        "model 'hf:smollm2' needs torch, transformers, which are not installed. Install with: pip install torch transformers",
    ),
    "embedder": (
        lambda: load_embedder("minilm"),
        "a sentence embedder (the default; embedder=hashing needs none) needs torch, tokenizers, safetensors, which are not "
        "installed. Install with: pip install torch tokenizers safetensors",
    ),
    "other embedder": (
        lambda: load_embedder("minilm:./mine"),
        "a sentence embedder (the default; embedder=hashing needs none) needs torch, sentence_transformers, which are not "
        "installed. Install with: pip install torch sentence-transformers",
    ),
    "rater": (
        lambda: load_rater("reward:nowhere", embedder=None),
        "rater 'reward:nowhere' needs torch, transformers, which are not installed. Install with: pip install torch "
        "transformers",
    ),
    "trainer": (
        lambda: load_trainer("sft").train([], base="smollm2", out=Path("nowhere")),  # type: ignore[arg-type]
        "trainer 'sft' needs torch, transformers, trl, peft, datasets, accelerate, which are not installed. Install with: "
        "pip install torch transformers trl peft datasets accelerate",
    ),
}  # fmt: skip


@pytest.fixture
def _without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds no module of a name that ``sys.modules`` maps to None."""
    for name in (
        "torch",
        "transformers",
        "trl",
        "peft",
        "datasets",
        "accelerate",
        "sentence_transformers",
        "tokenizers",
        "safetensors",
    ):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("_without")
@pytest.mark.parametrize("part", PARTS)
def test_a_part_names_what_it_needs(part: str) -> None:
    use, message = PARTS[part]
    with pytest.raises(ToolNotFound) as error:
        use()
    assert str(error.value) == message


@pytest.mark.usefixtures("_without")
def test_rows_need_datasets(run_dir: Path) -> None:
    with pytest.raises(ToolNotFound, match="^a dataset of rows needs datasets, which is not installed"):
        ranked_rows(run_dir)


def test_what_is_installed_is_not_asked_for() -> None:
    require_packages("this test", "pytest", "json")
