from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest

from sandbox.errors import ModelNotFound, SettingsError, UnknownPlugin
from sandbox.models.catalog import full_uri, load_model, resolve
from sandbox.models.scripted import ScriptedModel


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("hf:./models/first", ("hf", "./models/first")),
        ("openai:NAME@http://host:8000/v1", ("openai", "NAME@http://host:8000/v1")),
        ("scripted:", ("scripted", "")),
        ("smollm2", ("hf", "smollm2")),
    ],
)
def test_a_uri_is_split_once_at_its_first_colon(uri: str, parts: tuple[str, str]) -> None:
    assert resolve(uri) == parts
    assert full_uri(uri) == ":".join(parts)


def test_an_unknown_alias_names_the_nearest_and_how_to_write_a_path(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve("smollm")
    assert str(caught.value) == (
        "no model named 'smollm'. Did you mean 'smollm2'? Known: smollm2. A folder or a hub name is written hf:PATH"
    )
    with pytest.raises(ModelNotFound, match=f"For a folder or a hub name write hf:{tmp_path}"):
        resolve(str(tmp_path))


def test_an_unknown_kind_names_the_nearest_and_what_a_uri_is() -> None:
    with pytest.raises(UnknownPlugin) as caught:
        load_model("scriptd:x")
    assert "no model named 'scriptd'. Did you mean 'scripted'?" in str(caught.value)
    assert "A model URI is kind:rest, for example hf:./folder; found 'scriptd:x'" in str(caught.value)


def test_a_model_passes_through_and_takes_no_settings() -> None:
    lm = ScriptedModel()
    assert load_model(lm) is lm
    with pytest.raises(SettingsError, match=r"settings \(delay_s\) were given for ScriptedModel"):
        load_model(lm, delay_s=1.0)


def test_settings_are_checked_and_read_as_their_types() -> None:
    lm = load_model("scripted:", in_order="yes", delay_s="0.5")
    assert isinstance(lm, ScriptedModel)
    assert (lm._in_order, lm._delay_s) == (True, 0.5)
    with pytest.raises(SettingsError) as caught:
        load_model("scripted:", delay="0.5")
    assert "model 'scripted' has no setting 'delay'. Did you mean 'delay_s'?" in str(caught.value)


def test_scripts_are_never_shared_for_each_has_its_history() -> None:
    assert load_model("scripted:") is not load_model("scripted:")


def test_the_same_weights_are_loaded_once_while_in_use(tiny_lm_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lm"
    shutil.copytree(tiny_lm_path, folder)
    lm = load_model(f"hf:{folder}")
    assert load_model(f"hf:{folder}") is lm
    assert load_model(f"hf:{folder}", max_batch=2) is not lm
    (folder / "training.json").write_text("{}", encoding="utf-8")  # the folder was written anew
    assert load_model(f"hf:{folder}") is not lm


def test_a_model_that_nobody_uses_is_let_go(tiny_lm_path: Path) -> None:
    from sandbox.models.catalog import _IN_USE

    lm = load_model(f"hf:{tiny_lm_path}", max_batch=7)
    kept = [key for key in _IN_USE if dict(key[3]) == {"max_batch": 7}]
    assert len(kept) == 1
    del lm
    gc.collect()
    assert kept[0] not in _IN_USE
