from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.errors import ModelNotFound
from sandbox.models.local.fingerprint import cache_dir, file_sha256, fingerprint, weight_files

# sha256sum of the three bytes "abc" (FIPS 180-2, appendix B.1).
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_where_it_was_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("SANDBOX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "social-sandbox"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "social-sandbox"


def test_a_cache_that_cannot_be_made_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelNotFound, match="set SANDBOX_CACHE to a writable folder"):
        cache_dir()


def test_a_file_is_hashed_again_only_when_size_or_time_differ(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    assert file_sha256(path) == ABC
    time = path.stat().st_mtime_ns
    path.write_bytes(b"abd")
    os.utime(path, ns=(time, time))
    assert file_sha256(path) == ABC  # the same size and time: the note is believed
    os.utime(path, ns=(time + 1, time + 1))
    assert file_sha256(path) != ABC


def test_a_damaged_note_is_no_harm(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    file_sha256(path)
    for note in (cache / "digests").iterdir():
        note.write_text('{"seen": ', encoding="utf-8")
    assert file_sha256(path) == ABC


def test_weights_are_told_from_what_trainers_leave_beside_them(tmp_path: Path) -> None:
    for name in ("model-00001.safetensors", "model-00002.safetensors", "training_args.bin", "config.json"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in weight_files(tmp_path)] == ["model-00001.safetensors", "model-00002.safetensors"]
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "old" / "optimizer.bin").write_bytes(b"x")
    assert [p.name for p in weight_files(tmp_path / "old")] == ["pytorch_model.bin"]


def test_a_fingerprint_is_of_weights_and_their_order_not_of_places(cache: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, content in zip(folders, (b"1", b"2", b"1"), strict=True):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(content)
    a, b, c = folders
    assert fingerprint([a]) == fingerprint([c]) != fingerprint([b])
    assert fingerprint([a, b]) != fingerprint([b, a])
    (c / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert fingerprint([a]) == fingerprint([c])
