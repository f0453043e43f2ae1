from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sandbox.embedders.base import CachedEmbedder, load_embedder
from sandbox.embedders.bert import BertEncoder
from sandbox.embedders.hashing import HashingEmbedder
from sandbox.errors import ModelNotFound, SettingsError, UnknownPlugin
from sandbox.models.local.bundled import minilm_path

TEXTS = ["May I lie to my friends?", "May I lie to a friend?", "Taxes rise in spring.", "", "?!", "你好吗"]


class Counting:
    """Gives a text the vector (length, 1), and counts what it was asked for."""

    name, dim = "counting", 2

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        return np.array([[len(t), 1] for t in texts], np.float32)


def test_hashed_vectors_have_length_one_whatever_the_text() -> None:
    vectors = HashingEmbedder().embed(TEXTS)
    assert vectors.shape == (6, 256)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-6)


def test_texts_with_common_words_are_near_each_other() -> None:
    """The first two share may, i, lie and to, and the letters of friend; the third shares no word with them."""
    vectors = HashingEmbedder().embed(TEXTS)
    assert vectors[0] @ vectors[1] > 0.6
    assert abs(vectors[0] @ vectors[2]) < 0.3


def test_hashed_vectors_are_the_same_in_every_process_and_batch() -> None:
    code = f"from sandbox.embedders.hashing import HashingEmbedder as H; print(H().embed({TEXTS!r}).tobytes().hex())"
    out = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("1", "2")
    }
    one_by_one = np.vstack([HashingEmbedder().embed([t]) for t in TEXTS])
    assert out == {one_by_one.tobytes().hex()}


def test_case_and_punctuation_do_not_count() -> None:
    vectors = HashingEmbedder().embed(["May I lie?", "may i LIE"])
    assert (vectors[0] == vectors[1]).all()


def test_each_distinct_text_is_embedded_once() -> None:
    inner = Counting()
    cached = CachedEmbedder(inner)
    assert (cached.name, cached.dim) == ("counting", 2)
    assert cached.embed(["a", "bb", "a"])[:, 0].tolist() == [1, 2, 1]
    assert cached.embed(["ccc", "bb"])[:, 0].tolist() == [3, 2]
    assert cached.embed([]).shape == (0, 2)
    assert inner.asked == [["a", "bb"], ["ccc"]]


def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    """Room for two: a and bb; a is asked for again; ccc drives out bb; a is still known, bb is not."""
    inner = Counting()
    cached = CachedEmbedder(inner, size=2)
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        cached.embed([text])
    assert inner.asked == [["a"], ["bb"], ["ccc"], ["bb"]]


def test_more_texts_at_once_than_are_remembered() -> None:
    assert CachedEmbedder(Counting(), size=1).embed(["a", "bb", "a"])[:, 0].tolist() == [1, 2, 1]


def test_what_is_given_out_may_be_changed() -> None:
    cached = CachedEmbedder(Counting())
    cached.embed(["a"])[:] = 7
    cached.embed(["a"])[:] = 8
    assert cached.embed(["a"]).tolist() == [[1, 1]]


def test_embedders_are_found_by_name() -> None:
    found = load_embedder("hashing", dim=64)
    assert (found.name, found.dim) == ("hashing:64", 64)
    assert load_embedder(found) is found
    with pytest.raises(UnknownPlugin, match=r"no embedder named 'hashng'\. Did you mean 'hashing'"):
        load_embedder("hashng")
    with pytest.raises(SettingsError, match=r"embedder 'hashing' has no setting 'dims'\. Did you mean 'dim'"):
        load_embedder("hashing", dims=3)


@pytest.mark.parametrize("make", [lambda: HashingEmbedder(dim=0), lambda: CachedEmbedder(Counting(), size=0)])
def test_invalid_sizes_are_refused(make: object) -> None:
    with pytest.raises(SettingsError, match="must be at least 1"):
        make()  # type: ignore[operator]


@pytest.mark.slow
def test_minilm_knows_meanings_and_gives_a_text_one_vector_in_any_company() -> None:
    """Paraphrases are nearer than texts on other things; in double precision the company changes no bit."""
    embedder = load_embedder("minilm").inner  # type: ignore[attr-defined]
    assert load_embedder("minilm").inner._model is embedder._model  # type: ignore[attr-defined]
    vectors = embedder.embed([*TEXTS, "Is it fine to tell untruths to people I like?", "word " * 300])
    assert vectors.shape == (8, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(8), abs=1e-6)
    assert vectors[0] @ vectors[6] > vectors[0] @ vectors[2] + 0.3
    for text, vector in zip(TEXTS, vectors, strict=False):
        assert (embedder.embed([text])[0] == vector).all()
    assert embedder.embed([]).shape == (0, 384)


@pytest.mark.slow
def test_vectors_of_minilm_are_those_of_sentence_transformers_bit_for_bit() -> None:
    """Texts of all lengths, scripts and oddities, in batches with and without padding."""
    from sentence_transformers import SentenceTransformer

    odd = [
        "  two  spaces ",
        "[CLS] [MASK]",
        "I\u0307stanbul \u1e9e",
        "e\u0301 a\x00b\u200d c",
        "ＦＵＬＬ width",
        "😀 👩‍👩‍👧",
        "\ttab\r\n",
    ]
    texts = [*TEXTS, *odd, *("word " * n + "end" for n in (3, 40, 300))]
    for dtype, batch_size in (("float64", 5), ("float32", 32), ("bfloat16", 3)):
        library = SentenceTransformer(str(minilm_path()), model_kwargs={"dtype": dtype}, device="cpu")
        theirs = library.encode(texts, batch_size=batch_size, show_progress_bar=False, normalize_embeddings=True)
        ours = BertEncoder(minilm_path(), dtype).encode(texts, batch_size)
        assert (ours == theirs.astype(np.float32)).all()


@pytest.mark.needs_torch
def test_minilm_loads_neither_transformers_nor_sentence_transformers() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("on a GPU, sentence-transformers embeds")
    code = (
        "import sys\nfrom sandbox.embedders.base import load_embedder\nload_embedder('minilm').embed(['a'])\n"
        "print({'transformers', 'sentence_transformers', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"


@pytest.mark.needs_torch
def test_damaged_weights_of_an_embedder_are_named(tiny_lm_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    folder = Path(shutil.copytree(tiny_lm_path, tmp_path / "sentences"))
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ModelNotFound, match=r"model\.safetensors cannot be read as weights: it is incomplete"):
        load_embedder(f"minilm:{folder}")
