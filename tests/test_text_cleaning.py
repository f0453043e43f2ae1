"""Text made safe for UTF-8, terminals, XML and spreadsheets."""

from __future__ import annotations

import json

import pytest

from sandbox.text_cleaning import plain_cell, printable, without_control_characters, without_surrogates


def test_halves_of_characters_are_replaced_and_whole_ones_kept() -> None:
    assert without_surrogates("half \ud83d, whole \U0001f600, é") == "half \ufffd, whole \U0001f600, é"


def test_control_characters_are_shown_as_escapes() -> None:
    assert printable("\x1b]0;OWNED\x07\tx\r\ny\rz\n") == "\\x1b]0;OWNED\\x07\tx\ny\\x0dz\n"
    assert printable("\x9b2J \u202egnp.exe") == "\\u009b2J \\u202egnp.exe"


def test_printed_json_keeps_its_value() -> None:
    value = {"text": "\x1b[2J \x7f \x9b \u202e é \U0001f600"}
    shown = printable(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert "\x9b" not in shown


def test_characters_that_xml_forbids_are_left_out() -> None:
    assert without_control_characters("a\x07b\x00\ud83d\uffffc\td\U0001f600") == "abc\td\U0001f600"


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\t=1", "\r=1"])
def test_a_formula_begins_with_an_apostrophe(text: str) -> None:
    assert plain_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["-1.5", "+2e3", "a=b", "", 1.5, None, -2])
def test_numbers_and_plain_texts_are_unchanged(value: object) -> None:
    assert plain_cell(value) is value
