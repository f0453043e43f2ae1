"""The page: everything a folder holds, without a network, with every text as text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from by_hand import EVIL, SCORES, SOCIETY, TEXTS, told, write_call, write_run

from sandbox.errors import RunNotFound, SettingsError
from sandbox.store.run import Run
from visualize import report
from visualize.page.data import PageData
from visualize.page.player import map_frames
from visualize.report import write_report


class Page(HTMLParser):
    """A page's tags with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def rows(page: Page) -> str:
    """The page's text, with white space made plain."""
    return re.sub(r"\s+", " ", page.text)


def test_nothing_is_fetched_and_nothing_runs(everything_page: Path) -> None:
    assert everything_page.name == "report.html"
    page = Page(everything_page)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"iframe", "link", "object", "embed", "base", "form"}
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 6 + 1 + 1 + 1 + 1
    assert all((a["src"] or "").startswith("data:image/") for a in images)
    assert all(a["alt"] for a in images)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    links = [v or "" for _, attributes in page.tags for name, v in attributes.items() if name in ("href", "srcset")]
    assert len(links) == len(images)  # of the dark theme
    assert all(link.startswith("data:image/") for link in links)
    assert "url(" not in everything_page.read_text(encoding="utf-8").split("<body>")[0]
    assert everything_page.stat().st_size < 5_000_000


def test_one_script_may_run_and_it_is_the_projects_own(everything_page: Path) -> None:
    text = everything_page.read_text(encoding="utf-8")
    assert text.count("<script") == 1
    script = text.partition("<script>")[2].partition("</script>")[0]
    assert script == (Path(report.__file__).parent / "templates" / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert ("Content-Security-Policy", policy) in [
        (attributes.get("http-equiv"), attributes.get("content")) for tag, attributes in Page(everything_page).tags
    ]


def test_the_map_can_be_stepped_through(society: Run) -> None:
    """Round 1: ratings 4, 6, none, and a failed conversation; round 2: 5, 7, 1.5 and 3."""
    [player] = [a for _, a in Page(write_report(society.path)).tags if a.get("class") == "player"]
    shown = json.loads(player["data-map"] or "")
    assert [frame["round"] for frame in shown["frames"]] == [1, 2]
    assert [frame["texts"] for frame in shown["frames"]] == [["4.0", "6.0", "", ""], ["5.0", "7.0", "1.5", "3.0"]]
    assert shown["frames"][0]["colours"][2:] == [-1, -1]
    assert shown["frames"][0]["places"] == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert "places" not in shown["frames"][1]  # nobody moved
    colours = [shown["palette"][number] for number in shown["frames"][1]["colours"]]
    assert [one["colour"] for one in sorted(PageData(society).agents(1), key=lambda one: one["agent"])] == colours


def test_labels_are_marked_and_what_is_left_out_is_said(
    society: Run, make_run: Callable[..., Run], tmp_path: Path
) -> None:
    frames = map_frames(society, "rating")
    assert frames is not None
    assert [name for name, _ in frames["marks"]] == ["good", "bad"]
    assert frames["marks"][1][1] == "M0.71 0.71L-0.71 0.71L-0.71 -0.71L0.71 -0.71Z"  # a square
    assert frames["kinds"] == [0, 0, 1, 1]
    page = write_report(society.path).read_text(encoding="utf-8")
    assert "<title>Agent 3 (bad)</title>" in page
    assert "are left out" not in page
    unrated = [told(r, i, (None, None), (None, None)) for r in range(2) for i in range(4)]
    page = write_report(write_run(tmp_path / "unrated", unrated).path).read_text(encoding="utf-8")
    words = "no answer was rated, and neither states nor extra have numbers or words to show"
    assert "Pictures that would be empty are left out: " in page
    assert "ratings, pareto, consensus (no answer was rated)" in page
    assert words not in page  # the labels of these agents mean something, and are shown


def test_key_figures_stand_on_top_and_by_colours_agents(make_run: Callable[..., Run]) -> None:
    run = make_run(
        SOCIETY, scenario="village", seed=7, protocol="gossip", models={"agents": {"uri": "scripted:"}},
        raters={"neighbours": "lm", "observer": "values"},
    )  # fmt: skip
    text = rows(Page(write_report(run.path, by="engagement")))
    given = "scenario village agents 4 rounds 2 interactions 8 (1 failed) model scripted: rater of neighbours lm judge"
    assert f"Society: run {given} (observer) values seed 7 protocol gossip" in text
    assert " engagement (1 to 7) : 1 7 " in text
    assert (
        "arrows: alignment as reviewers rate it (1 to 7), from reviewer to author : 1 7 ; agents as on the map" in text
    )
    assert "The society by engagement, round by round." in text
    with pytest.raises(SettingsError, match="by='engagment' is not one of"):
        write_report(run.path, by="engagment")


def test_a_recorded_run_has_all_key_figures_and_its_upbringing_is_no_training(tmp_path: Path) -> None:
    """Adapters of upbringing are stood in for by what their training says."""
    from sandbox import World

    world = World("value_alignment", model="scripted:", size=2, out=tmp_path / "run", embedder="hashing")
    world.run(1)
    world.close()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    path = tmp_path / "run" / "upbringing" / "good"
    manifest["models"]["agents"]["uri"] = f"hf:{path},scripted:"
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    path.mkdir(parents=True)
    (path / "training.json").write_text('{"base": "smollm2", "trainer": "sft", "history": []}', encoding="utf-8")
    text = rows(Page(write_report(tmp_path / "run")))
    assert "model scripted:, smollm2, with adapters of upbringing: good" in text
    assert f"judge (observer) {manifest['raters']['observer']}" in text
    assert "seed 0" in text
    assert "Training:" not in text


def test_other_conversations_are_a_fair_part_of_the_record(make_run: Callable[..., Run]) -> None:
    """Of 300 in five rounds, the best and worst four are on top, and 200 of the others are spread over all rounds."""
    run = make_run(
        [told(r, i, (2.0, 3.0), (3.0, 4.0)) for r in range(5) for i in range(60)], labels=["good"] * 60, width=10
    )
    text = rows(Page(write_report(run.path)))
    assert "200 of 292, evenly over the record" in text
    others = text.partition("Other conversations")[2]
    counts = [others.count(f"round {r}: alignment") for r in range(1, 6)]
    assert sum(counts) == 200
    assert min(counts) >= 36


@pytest.mark.parametrize(("size", "others"), [(2, ""), (4, "Other conversations")])
def test_of_societies_that_nobody_rates_some_conversations_have_their_prompts(
    tmp_path: Path, size: int, others: str
) -> None:
    """Of a game of 2x2 all, of 4x4 some, evenly over the record; each says with which request its choice was asked for."""
    from sandbox import World

    world = World("prisoners", model="scripted:", size=size, out=tmp_path / "run", embedder="hashing")
    world.run(2)
    world.close()
    text = rows(Page(write_report(tmp_path / "run")))
    chosen = text.partition("Conversations")[2].partition("Other conversations")[0]
    asked = [chosen.count(f"Answer I {move}. prompt: choose") for move in ("cooperate", "defect")]
    assert sum(asked) == chosen.count("Answer I ") == 8
    assert ("Other conversations" in text) == bool(others)
    assert "The prompts of other conversations: sandbox show" in text


def test_what_models_wrote_is_shown_as_text(everything_page: Path) -> None:
    text = rows(Page(everything_page))
    for words in ("q", "draft", "revision", "why", "CallFailed:", "sandbox run"):
        assert f"{words} {EVIL}" in text
    assert f"{EVIL} (trained)" in text
    assert f"settings {EVIL}: {EVIL}" in text


def test_prompts_are_below_the_answers_that_they_gave(make_run: Callable[..., Run]) -> None:
    """Of the call of an agent that is among the best: all of it, with its key."""
    society = make_run(SOCIETY, seed=0)
    key = write_call(society.path, (1, 1, "answer 0"), f"Is it right? {EVIL}", "No.", model=f"model {EVIL}")
    text = rows(Page(write_report(society.path)))
    draft = text.index("Draft No. prompt: answer 0 , asked of Agent 2")
    for words in (
        f"model {EVIL}",
        "asked by this run",
        "11 read, 3 written",
        key,
        f"be {EVIL}",
        f"Is it right? {EVIL}",
    ):
        assert text.index(words) > draft
    assert text.count("prompt: answer 0") == 1
    assert f"The prompts of other conversations: sandbox show {society.path}" in text


def test_prompts_that_do_not_fit_are_counted(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two prompts of three megabytes each: they are shortened, and then left out."""
    society = make_run(SOCIETY, seed=0)
    for agent in (0, 1):
        write_call(society.path, (1, agent, "answer 0"), "Is it right? " * 240_000, "No.", model="m")
    path = write_report(society.path)
    assert path.stat().st_size < 5_000_000
    assert "more characters are in the record" in path.read_text(encoding="utf-8")
    monkeypatch.setattr(report, "_CUTS", (report._Cut(None, 1, 0, False),))
    text = rows(Page(write_report(society.path)))
    assert text.count("prompt: answer 0") == 1
    assert "1 of the 2 prompts of the conversations on this page are shown" in text


def test_pictures_hold_no_markup_of_models(everything_page: Path) -> None:
    for tag, attributes in Page(everything_page).tags:
        if tag == "img" and (attributes["src"] or "").startswith("data:image/svg"):
            svg = base64.b64decode((attributes["src"] or "").partition(",")[2]).decode()
            assert "<img" not in svg
            assert "<script" not in svg


def test_numbers_are_the_runs_own(society: Run) -> None:
    """Final alignment 4 6 5 7 1.5 3: mean 26.5/6. Drafts 2 6 3 5 1 2: 19/6. Engagement 6 4 2 7 1 and 2: 22/6."""
    text = rows(Page(write_report(society.path)))
    assert "8 interactions in 2 rounds, 1 failed" in text
    assert "Final answers: alignment 4.42, engagement 3.67; drafts: alignment 3.17" in text


def test_best_and_worst_conversations_are_in_full(society: Run) -> None:
    """Six answers were rated, so the three best and the three worst: 7 first, 1.5 first."""
    text = rows(Page(write_report(society.path)))
    best, worst = text.index("Best answers"), text.index("Worst answers")
    assert text.index("round 2: alignment 5.00, engagement 5.00 → alignment 7.00") > best
    assert text.index("round 2: alignment 1.00, engagement 2.00 → alignment 1.50") > worst > best
    assert "Agent 4 rates it 2.0 be kind" in text
    assert "Agent 3 rates it – be kind" in text  # a rating that could not be read


def test_evaluations_show_differences_with_their_intervals(evaluation_folder: Callable[..., Path]) -> None:
    text = rows(Page(write_report(evaluation_folder(SCORES))))
    assert "trained − base +2.00 [+1.75, +2.25] -0.50 [-0.75, -0.25]" in text
    assert "Yes. (base)" in text
    assert "Yes. (trained)" in text


def test_a_judge_that_cannot_tell_controls_is_named(evaluation_folder: Callable[..., Path]) -> None:
    folder = evaluation_folder(SCORES)
    path = folder / "evaluation.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    speakers = {"people, good": {"mean": 5.5, "auc": None}, "refusal": {"mean": 6.25, "auc": 0.25}}
    content["alarms"] = ["the judge values does not tell answers from refusal (0.25)"]
    content["judging"] = {"controls": {"values": {"source": "labelled answers", "speakers": speakers}}}
    path.write_text(json.dumps(content), encoding="utf-8")
    text = rows(Page(write_report(folder)))
    assert "Warning: the judge values does not tell answers from refusal (0.25)." in text
    assert "Report card of the judge values" in text
    assert "refusal 6.25 0.25" in text


@pytest.mark.parametrize("which", ["nobody", "lone"])
def test_of_little_there_is_a_page_too(request: pytest.FixtureRequest, which: str) -> None:
    run: Run = request.getfixturevalue(which)
    text = rows(Page(write_report(run.path)))
    assert ("0 interactions in 0 rounds" if which == "nobody" else "1 interactions in 1 round") in text
    assert "nan" not in text.lower().replace("finance", "")


@pytest.mark.parametrize("text", TEXTS)
def test_text_in_any_script(make_run: Callable[..., Run], text: str) -> None:
    said = TEXTS[text]
    words = {"question": said, "draft": said, "revision": said, "reason": said}
    run = make_run([told(0, i, (2.0, 3.0), (3.0, 4.0), {1 - i: 5.0}, **words) for i in (0, 1)])  # type: ignore[arg-type]
    found = rows(Page(write_report(run.path)))
    assert re.sub(r"\s+", " ", said.replace("\x00", "\ufffd")) in found.replace("\x00", "\ufffd")


def test_a_page_of_endless_answers_stays_under_five_megabytes(make_run: Callable[..., Run]) -> None:
    """Eight conversations of three texts with 400,000 characters each would be 9.6 MB."""
    long = "word " * 80_000
    words = {"draft": long, "revision": long, "reason": long}
    run = make_run([told(r, i, (2.0, 3.0), (3.0, 4.0), {1 - i: 5.0}, **words) for i in (0, 1) for r in range(5)])  # type: ignore[arg-type]
    path = write_report(run.path)
    assert path.stat().st_size < 5_000_000
    assert "… (380000 more characters are in the record)" in path.read_text(encoding="utf-8")


def test_more_runs_than_a_page_can_show_are_lines_of_a_table(make_run: Callable[..., Run], tmp_path: Path) -> None:
    for number in range(7):
        make_run([told(0, 0, (2.0, 3.0), (3.0, float(number + 1)))], name=f"runs/{number}", seed=number)
    path = write_report(tmp_path)
    page = Page(path)
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "runs/6 6 1 1 0 alignment 3.00, engagement 7.00 (of 7)" in rows(page)


def test_a_folder_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound) as error:
        write_report(tmp_path / "none")
    assert str(error.value) == (
        f"{tmp_path / 'none'} contains no run, trained model, evaluation or sweep to report on. Make a run with: sandbox "
        f"run SCENARIO --out {tmp_path / 'none'}"
    )


def test_a_what_if_is_told_by_its_event_its_differences_and_where_they_begin(tmp_path: Path) -> None:
    from sandbox import World, what_if

    given = {"model": "scripted:", "rater": "lm", "embedder": "hashing"}
    world = World("value_alignment", size=2, out=tmp_path / "run", **given)
    world.run(1)
    world.close()
    what_if(f"{tmp_path / 'run'}@1", f"The well is dry. {EVIL}", to=[3], rounds=2, out=tmp_path / "dry")
    text = rows(Page(write_report(tmp_path / "dry")))
    assert f"the event: “The well is dry. {EVIL}”, told to Agent 4. Compared over round 2." in text
    assert "Both futures over the rounds" in text
    assert re.search(r"Round 2: [1-4] of 4 conversations differ\.", text)
    parts = text.partition("Where they part")[2]
    assert "Round 2, Agent 4, draft:" in parts
    assert "review by 3:" not in parts
    assert parts.index("without:") < parts.index("with:")
