"""``examples/10_figures.py``, with a scripted model in the bundled one's place."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def test_the_pictures_of_readme_are_drawn(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "examples" / "10_figures.py"
    spec = importlib.util.spec_from_file_location("figures_example", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(tmp_path / "run", tmp_path / "docs", model="scripted:", rounds=1, embedder="hashing")
    assert [p.name for p in found] == ["society.png", "social_graph.png", "ratings.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in found)
