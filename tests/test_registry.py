"""Plugins by name, by path and by module; and how the text of ``--set`` becomes settings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

from sandbox import registry
from sandbox.errors import BrokenPlugin, SettingsError, UnknownPlugin
from sandbox.typed_settings import above, at_least, between, make_settings, setting_faults


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points of scenarios, to be filled; what was looked up before is forgotten before and after."""
    entries: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: [e for e in entries if e.group == group])
    registry._entries.cache_clear()
    yield entries
    registry._entries.cache_clear()


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "sandbox.scenarios")


def test_built_ins_are_found_and_named_by_their_package() -> None:
    names = {kind: {p.name for p in registry.plugins(kind)} for kind in registry.KINDS}
    assert names["scenarios"] >= {"value_alignment"}
    assert names["models"] >= {"hf", "openai", "scripted", "replay"}
    assert names["raters"] >= {"lm", "values", "reward", "replay"}
    assert names["trainers"] >= {"sft", "dpo", "stable_alignment"}
    assert {p.package for kind in registry.KINDS for p in registry.plugins(kind)} >= {"social-sandbox"}


def test_a_summary_is_read_without_importing_the_plugin(
    installed: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "never_imported.py").write_text(
        'raise RuntimeError\n\n\ndef scenario():\n    """What it is for.\n\n    More."""\n', encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = registry.Plugin("scenarios", "mine", "never_imported:scenario", "mine")
    assert registry.summary(plugin) == "What it is for."
    assert registry.summary(registry.Plugin("scenarios", "gone", "no_such_module_at_all:x", "gone")) == ""


def test_a_name_whose_file_is_here_is_told_the_path(
    installed: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pledge.py").write_text("scenario = None\n", encoding="utf-8")
    with pytest.raises(UnknownPlugin, match=r"no scenario named 'pledge'\. Did you mean the file \./pledge\.py\? Inst"):
        registry.load("scenarios", "pledge")


def test_an_unknown_name_is_told_the_nearest_and_all(installed: list[EntryPoint]) -> None:
    installed += [entry("value_alignment", "a:b"), entry("jury", "c:d")]
    with pytest.raises(UnknownPlugin) as caught:
        registry.load("scenarios", "value_alignmnt")
    assert str(caught.value) == (
        "no scenario named 'value_alignmnt'. Did you mean 'value_alignment'? Installed: jury, value_alignment"
    )


def test_a_plugin_that_cannot_be_imported_is_named_with_what_went_wrong(installed: list[EntryPoint]) -> None:
    installed.append(entry("mine", "no_such_module_at_all:scenario"))
    with pytest.raises(BrokenPlugin) as caught:
        registry.load("scenarios", "mine")
    assert str(caught.value) == (
        "scenario 'mine' of package an unknown package cannot be imported (no_such_module_at_all:scenario): "
        "ModuleNotFoundError: No module named 'no_such_module_at_all'"
    )


def test_a_name_that_two_packages_claim_is_refused(installed: list[EntryPoint]) -> None:
    installed += [entry("mine", "a:scenario"), entry("mine", "b:scenario")]
    with pytest.raises(BrokenPlugin, match=r"scenario 'mine' is declared twice: by .* \(a:scenario\) and by .* \(b:s"):
        registry.plugins("scenarios")


def test_the_same_entry_point_seen_twice_is_one_plugin(installed: list[EntryPoint]) -> None:
    """An editable install and a wheel of the same package may both be on the path."""
    installed += [entry("mine", "a:scenario"), entry("mine", "a:scenario")]
    assert [p.name for p in registry.plugins("scenarios")] == ["mine"]


def test_a_path_gives_its_object_and_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"scenario = {folder!r}\nother = 7\n", encoding="utf-8")
    assert registry.load("scenarios", str(tmp_path / "one" / "mine.py")) == "one"
    assert registry.load("scenarios", str(tmp_path / "two" / "mine.py")) == "two"
    assert registry.load("scenarios", f"{tmp_path / 'one' / 'mine.py'}:other") == 7


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./no/such.py", "scenario file 'no/such.py' does not exist; give the path of a Python file"),
        ("no_such_module_at_all:x", "module 'no_such_module_at_all' cannot be imported: ModuleNotFoundError"),
        ("sandbox.errors:UnknownPlugn", "sandbox.errors has no 'UnknownPlugn'. Did you mean 'UnknownPlugin'?"),
    ],
)
def test_what_is_not_there_is_said(name: str, words: str) -> None:
    with pytest.raises((UnknownPlugin, BrokenPlugin)) as caught:
        registry.load("scenarios", name)
    assert words in str(caught.value)


def test_a_file_without_the_object_says_what_it_defines_and_not_what_it_imports(tmp_path: Path) -> None:
    path = tmp_path / "loans.py"
    path.write_text(
        "import math\nfrom sandbox import Scenario\n\n\ndef lending():\n    return Scenario(questions=['?'])\n"
    )
    with pytest.raises(BrokenPlugin) as caught:
        registry.load("scenarios", str(path))
    assert str(caught.value) == (
        f"{path} has no 'scenario'. It defines lending: name one as {path}:lending, or call it scenario."
    )


def test_a_file_that_fails_is_named_and_not_left_half_imported(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(
        BrokenPlugin, match=r"mine\.py cannot be imported: ZeroDivisionError: division by zero at mine.py:1"
    ):
        registry.load("scenarios", str(path))
    path.write_text("scenario = 3\n", encoding="utf-8")
    assert registry.load("scenarios", str(path)) == 3


def test_a_misspelt_argument_in_a_file_is_named_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from sandbox import Scenario\n\nscenario = Scenario(questions=['Why?'], rewards={})\n", encoding="utf-8"
    )
    with pytest.raises(BrokenPlugin, match=r"keyword argument 'rewards' at mine.py:3\. Did you mean 'reward'\?"):
        registry.load("scenarios", str(path))


@dataclass(frozen=True)
class Settings:
    n: Annotated[int, at_least(1)] = 1
    share: Annotated[float | None, between(0, 1, "[)")] = 0.5
    on: bool = False
    names: tuple[str, ...] = ()
    radius: int | None = None
    mode: Literal["fast", "slow"] = "fast"
    where: Path = Path(".")


def test_text_becomes_the_settings_own_types() -> None:
    text = {"n": "3", "share": "1e-3", "on": "Yes", "names": "a, b,", "radius": "none", "mode": "slow", "where": "x/y"}
    assert make_settings("it", Settings, text) == Settings(3, 1e-3, True, ("a", "b"), None, "slow", Path("x/y"))
    assert make_settings("it", Settings, {"radius": "4", "on": "off"}) == Settings(radius=4)
    assert make_settings("it", Settings, {"n": 2}).n == 2


def test_ranges_and_choices_are_checked_where_they_are_declared() -> None:
    """[0, 1) takes 0 and not 1; a whole number may be numpy's; None only where the type has it; NaN and infinity never."""
    assert setting_faults(Settings(n=np.int64(3), share=0.0, radius=None)) == []
    assert setting_faults(Settings(share=None)) == []
    wrong = Settings(n=None, share=1.0, mode="fats")  # type: ignore[arg-type]
    assert setting_faults(wrong) == [
        "n=None must be a whole number, at least 1",
        "share=1.0 must be in [0, 1)",
        "mode='fats' is not one of fast, slow. Did you mean 'fast'?",
    ]
    assert [x in above(0) for x in (0, 1e-9, math.inf, math.nan)] == [False, True, False, False]
    assert [x in between(0, 1, "(]") for x in (0, 0.5, 1, math.nan)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n": "three"}, "it: n='three' is not a whole number"),
        ({"share": "x"}, "it: share='x' is not a number"),
        ({"on": "maybe"}, "it: on='maybe' is not true or false"),
        ({"mode": "fats"}, "it: mode='fats' is not one of fast, slow. Did you mean 'fast'?"),
        ({"radius": "x"}, "it: radius='x' is not a whole number"),
        (
            {"nn": "1", "n": "0", "share": "x"},
            "it: n=0 must be at least 1\nit: share='x' is not a number\nit has no setting 'nn'. Did you mean 'n'? Settings: "
            "mode, n, names, on, radius, share, where",
        ),
        (
            {"shar": "1", "zzz": "1"},
            "it has no setting 'shar'. Did you mean 'share'?\nit has no setting 'zzz'. Settings: mode, n, names, on, "
            "radius, share, where",
        ),
    ],
)
def test_what_cannot_be_a_setting_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings("it", Settings, given)
    assert str(caught.value) == words
