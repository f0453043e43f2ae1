"""The texts of a world: each is embedded once, and those of the scenario once on a machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sandbox.embedders.hashing import HashingEmbedder
from sandbox.memories.text_index import TextIndex

SCENARIO = [f"question {n} of the scenario" for n in range(20)]


class Counting:
    """The hashing embedder with a fingerprint; it keeps what it was asked."""

    fingerprint = "hashing for a test"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._inner = HashingEmbedder()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts."""
        self.asked += texts
        return self._inner.embed(texts)


def vectors(index: TextIndex) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(vector, np.float32) for _, vector in index.since(0)])


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))


def test_texts_of_the_scenario_are_embedded_once_on_a_machine() -> None:
    texts = ["first of all", SCENARIO[7], "in between", SCENARIO[3], SCENARIO[7]]
    plain = TextIndex(HashingEmbedder())
    assert plain.add(texts) == [0, 1, 2, 3, 1]
    for asked in (["first of all", *SCENARIO, "in between"], ["first of all", "in between"]):
        embedder = Counting()
        index = TextIndex(embedder, SCENARIO)
        assert index.add(texts[:1]) == [0]
        assert index.add(texts) == [0, 1, 2, 3, 1]
        assert sorted(embedder.asked) == sorted(asked)
        assert index.texts == plain.texts
        assert (vectors(index) == vectors(plain)).all()
        assert index.similarities(1) == pytest.approx(plain.similarities(1))


@pytest.mark.parametrize(("n", "has_fingerprint"), [(3, True), (20, False)])
def test_few_texts_and_those_of_unknown_embedders_are_not_kept(tmp_path: Path, n: int, has_fingerprint: bool) -> None:
    embedder = Counting()
    embedder.fingerprint = embedder.fingerprint if has_fingerprint else None  # type: ignore[assignment]
    index = TextIndex(embedder, SCENARIO[:n])
    index.add(SCENARIO[1:3])
    assert embedder.asked == SCENARIO[1:3]
    assert not (tmp_path / "cache").exists()
