from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import BrokenPlugin, DataFileError, ModelNotFound, SettingsError, UnknownPlugin
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.models.catalog import load_model
from sandbox.models.scripted import ScriptedModel


def ask(text: str, **fields: Any) -> Request:
    return Request((Message("system", "You are Ann."), Message("user", text)), **fields)


def test_it_is_a_language_model(scripted_lm: Callable[..., Any]) -> None:
    lm = scripted_lm(["a"])
    assert isinstance(lm, LanguageModel)
    assert lm.default_rater == "lm"


def test_a_queue_gives_its_replies_in_order_and_ends_with_an_error(scripted_lm: Callable[..., Any]) -> None:
    lm = scripted_lm(["one", {"text": " two "}])
    first, second, third = lm.generate([ask("a"), ask("b"), ask("how do you do?")])
    assert (first.text, second.text) == ("one", "two")
    assert third.error == "the script ended after 2 replies; the request ends 'how do you do?'"
    assert [r.messages[-1].content for r in lm.history] == ["a", "b", "how do you do?"]


def test_a_list_answers_by_the_request_alone() -> None:
    """12 requests among 5 replies: in any order each gets its own, and more than one reply is drawn."""
    lm = ScriptedModel(replies=list("abcde"))
    requests = [ask("q", seed=s) for s in range(12)]
    together = lm.generate(requests)
    assert lm.generate(requests[::-1]) == together[::-1]
    assert len({r.text for r in together}) > 2


def test_a_table_answers_by_what_is_found_first() -> None:
    lm = ScriptedModel(
        replies=[
            {"match": "Rating:$", "text": "5"},
            {"match": "(?i)lie", "text": "Do not."},
            {"match": "Ann", "text": "I am Ann."},
        ]
    )
    requests = [ask("May I LIE?"), ask("Rate it.", prefix="Rating:"), ask("Who are you?")]
    assert [r.text for r in lm.generate(requests)] == ["Do not.", "5", "I am Ann."]
    [nothing] = ScriptedModel(replies=[{"match": "x", "text": "y"}]).generate([ask("hello")])
    assert nothing.error == "no line of the script matches the request; the request ends 'hello'"


def test_a_function_answers() -> None:
    def answer(request: Request) -> str | Reply:
        text = request.messages[-1].content
        return Reply("", error="no") if text == "fail" else text.upper()

    good, bad = ScriptedModel(replies=answer).generate([ask("hi"), ask("fail")])
    assert (good.text, bad.error) == ("HI", "no")


def test_choices_from_a_script(scripted_lm: Callable[..., Any]) -> None:
    """A line without probabilities is certain; 3 to 1 is 0.75 to 0.25, and the likelier is the text."""
    lm = scripted_lm(["b", {"choice_probs": {"a": 3, "b": 1}}, "c"])
    certain, weighed, wrong = lm.generate([ask("x", choices=("a", "b"))] * 3)
    assert (certain.text, certain.choice_probs) == ("b", {"a": 0.0, "b": 1.0})
    assert (weighed.text, weighed.choice_probs) == ("a", {"a": 0.75, "b": 0.25})
    assert wrong.error == "the scripted reply 'c' is none of a, b; the request ends 'x'"


def test_a_list_draws_only_what_is_a_choice() -> None:
    lm = ScriptedModel(replies=["words", "6", "more words"])
    replies = lm.generate([ask("x", choices=("5", "6"), seed=s) for s in range(10)])
    assert {r.text for r in replies} == {"6"}
    [none] = lm.generate([ask("x", choices=("7", "8"))])
    assert none.error == "no line of the script is one of the choices 7, 8; the request ends 'x'"


def test_a_scripted_failure_is_an_error(scripted_lm: Callable[..., Any]) -> None:
    [reply] = scripted_lm([{"error": "server down"}]).generate([ask("x")])
    assert reply.error == "server down; the request ends 'x'"
    assert (reply.text, reply.finish_reason) == ("", "error")


def test_made_up_replies_are_the_same_in_every_process() -> None:
    """The requests' hashes do not depend on the interpreter's own, which differ between processes."""
    code = (
        "from sandbox.models import load_model, Message, Request\n"
        "lm = load_model('scripted:')\n"
        "rs = [Request((Message('user', 'hi'),), seed=s, choices=c) for s in range(3) for c in ((), ('1', '2'))]\n"
        "import json; print(json.dumps([r.as_dict() for r in lm.generate(rs)]))"
    )
    out = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert out[0] == out[1]
    said = json.loads(out[0])
    assert len({r["text"] for r in said if r["choice_probs"] is None}) == 3
    assert sum(said[1]["choice_probs"].values()) == pytest.approx(1.0)


def test_made_up_replies_keep_to_their_length() -> None:
    [long] = ScriptedModel().generate([ask("x")])
    [short] = ScriptedModel().generate([replace(ask("x"), max_tokens=3)])
    assert len(long.text.split()) > 3
    assert (len(short.text.split()), short.completion_tokens, short.finish_reason) == (3, 3, "length")


def test_a_file_is_read_and_its_content_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text('{"text": "one"}\n\n"two"\n', encoding="utf-8")
    lm = ScriptedModel(str(path), in_order=True)
    assert [r.text for r in lm.generate([ask("a"), ask("b")])] == ["one", "two"]
    assert lm.uri == f"scripted:{path}"
    assert lm.fingerprint == ScriptedModel(replies=["one", "two"], in_order=True).fingerprint
    assert lm.fingerprint != ScriptedModel(replies=["one", "three"], in_order=True).fingerprint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "contains no replies"),
        ("not json", "line 1 is not JSON"),
        ('{"txt": "x"}', "1 has an unknown field 'txt'. Did you mean 'text'?"),
        ("[1]", "expected a text, or an object"),
        ('{"match": "x"}', "has neither 'text' nor 'choice_probs' nor 'error'"),
        ('{"text": 3}', "line 1: 'text' is 3; expected a text"),
        ('{"match": 3, "text": "a"}', "line 1: 'match' is 3; expected a text"),
        ('{"choice_probs": [1]}', "line 1: 'choice_probs' is [1]; expected an object of choices with numbers"),
        ('{"choice_probs": {"a": "1"}}', "line 1: 'choice_probs' is {'a': '1'}; expected an object of choices with"),
        ('{"match": "(", "text": "x"}', "'(' is not a regular expression"),
        ('{"match": "x", "text": "y"}\n"z"', "either all lines must have 'match', or none"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataFileError) as caught:
        ScriptedModel(str(path))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ModelNotFound, match=r"script 'nowhere\.jsonl' does not exist"):
        ScriptedModel("nowhere.jsonl")


def test_a_delay_is_waited_for_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("sandbox.models.scripted.time.sleep", waited.append)
    ScriptedModel(replies=["a"], delay_s=0.05).generate([ask("x")] * 4)
    assert waited == [0.05]


def test_a_python_function_is_found_by_file_or_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "words_of_mine.py"
    path.write_text(
        "def reply(request):\n    return 'mine'\n\n\ndef other(request):\n    return 'other'\n\n\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = [f"scripted:{path}", f"scripted:{path}:other", "scripted:words_of_mine:other"]
    models = [load_model(uri) for uri in found]
    assert [m.generate([ask("x")])[0].text for m in models] == ["mine", "other", "other"]
    assert [m.uri for m in models] == found
    with pytest.raises(DataFileError, match="is a int; expected a function of a Request"):
        load_model(f"scripted:{path}:number")
    with pytest.raises(UnknownPlugin, match=r"script file 'nowhere\.py' does not exist"):
        load_model("scripted:nowhere.py")
    with pytest.raises(BrokenPlugin, match=r"has no 'othr'\. Did you mean 'other'"):
        load_model(f"scripted:{path}:othr")


def test_faults_come_and_go_and_are_the_same_each_time() -> None:
    """Half of 400 calls fail, within three standard deviations (10 each); asked again, half of those still do."""
    requests = [ask(f"q{n}") for n in range(400)]
    one, two = (load_model("scripted:", faults="0.5") for _ in range(2))
    first = one.generate(requests)
    assert first == two.generate(requests)
    failed = [request for request, reply in zip(requests, first, strict=True) if reply.error]
    assert 170 <= len(failed) <= 230
    assert all("a simulated fault" in str(reply.error) for reply in first if reply.error)
    assert 0 < sum(reply.error is not None for reply in one.generate(failed)) < len(failed)
    with pytest.raises(SettingsError, match=r"faults=2\.0 must be in 0\.\.1"):
        load_model("scripted:", faults=2.0)


def test_a_function_that_replies_with_no_text_is_told() -> None:
    with pytest.raises(BrokenPlugin, match=r"script '.*<lambda>' replied 3; expected a text or a Reply"):
        ScriptedModel(replies=lambda request: 3).generate([ask("x")])  # type: ignore[arg-type, return-value]


def test_a_function_without_its_name_is_refused_with_the_way_to_give_it() -> None:
    with pytest.raises(SettingsError, match=r"got function; .* ScriptedModel\(replies=\.\.\.\)"):
        ScriptedModel(lambda request: "No.")  # type: ignore[arg-type]
