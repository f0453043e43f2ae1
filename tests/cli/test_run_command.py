"""``sandbox run`` and ``sandbox measure`` as they are typed: what they print, where they stop, and how they end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import networkx as nx
import pytest
from in_process import SCRIPTED, Sandbox, society

from sandbox.store.run import open_run


def test_a_run_leaves_a_folder_with_measures(sandbox: Sandbox, run_dir: Path) -> None:
    """Without ``--out`` it is runs/value_alignment-1; the same as what the world itself makes."""
    ended = society(sandbox, "--rounds", 3, "--json")
    assert ended.code == 0
    said = ended.said
    run = open_run("runs/value_alignment-1")
    assert run.interactions() == open_run(run_dir).interactions()
    measures = json.loads((run.path / "measures.json").read_text(encoding="utf-8"))
    assert {k: said[k] for k in ("run", "interactions", "failed", "rounds", "calls", "stopped")} == {
        "run": "runs/value_alignment-1", "interactions": 27, "failed": 0, "rounds": 3, "calls": 306, "stopped": False
    }  # fmt: skip
    for name in ("alignment", "engagement"):
        assert said[name] == pytest.approx(measures[name]["value"])
        assert measures[name]["low"] < measures[name]["value"] < measures[name]["high"]
    assert run.manifest["command"].startswith("sandbox run value_alignment --model scripted:")


def test_a_run_tells_of_its_rounds(sandbox: Sandbox) -> None:
    ended = society(sandbox, "--rounds", 2, "--out", "a")
    lines = ended.out.splitlines()
    assert lines[0].startswith("round 1 of 2: ")
    assert "_low" not in ended.out
    assert lines[-2] == "a: 18 interactions in 2 rounds, 0 failed, 204 calls. Plot it with: sandbox plot a"
    assert lines[-1].startswith("note: no agent recalled a remembered answer: none lies within recall_distance=0.3")


def test_every_option_reaches_the_society(sandbox: Sandbox, tmp_path: Path) -> None:
    script = tmp_path / "bad.jsonl"
    script.write_text('{"match": "Rate ", "text": "1"}\n{"match": ".", "text": "Whatever."}\n')
    nx.write_edgelist(nx.cycle_graph(6), tmp_path / "ring.edgelist")
    ended = sandbox(
        "run", "value_alignment", "--model", f"good=scripted:,bad=scripted:{script}", "--observer", "scripted:",
        "--rater", "lm", "--population", "good=0.5,bad=0.5", "--protocol", "back_scatter", "--neighborhood",
        "ring.edgelist", "--hears", "both", "--radius", 1, "--seed", 3, "--in-flight", 2, "--rounds", 1, "--out", "a", "--set",
        "embedder=hashing", "--set", "score_only=yes", "--set", "max-tokens=9", "--json",
    )  # fmt: skip
    assert (ended.code, ended.said["interactions"]) == (0, 6)
    run = open_run("a")
    assert sorted(run.agents()["label"]) == ["bad"] * 3 + ["good"] * 3
    assert set(run.agents()["model"][run.agents()["label"] == "bad"]) == {f"scripted:{script}"}
    assert {i.draft for i in run.interactions() if i.label == "bad"} == {"Whatever."}
    assert {len(i.feedback) for i in run.interactions()} == {2}
    manifest = run.manifest
    assert manifest["models"]["agents"]["dealt"] == {"good": "scripted:", "bad": f"scripted:{script}"}
    assert manifest["models"]["observer"]["uri"] == "scripted:"
    assert (manifest["seed"], manifest["settings"]["score_only"], manifest["settings"]["max_tokens"]) == (3, True, 9)
    assert {name: manifest["network"][name] for name in ("nodes", "links", "directed", "weights", "attributes")} == {
        "nodes": 6, "links": 6, "directed": True, "weights": None, "attributes": []
    }  # fmt: skip


def test_models_are_dealt_by_shares(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"text": "Whatever."}\n{"text": "1"}\n')
    ended = sandbox("run", "value_alignment", "--model", "scripted:=0.75,scripted:b.jsonl=0.25", "--set",
                    "embedder=hashing", "--size", 4, "--rounds", 1, "--out", "a", "--json")  # fmt: skip
    assert ended.code == 0
    assert open_run("a").agents()["model"].value_counts().to_dict() == {"scripted:": 12, "scripted:b.jsonl": 4}
    again = sandbox("run", "value_alignment", "--model", "scripted:=0.5,scripted:b.jsonl=0.5", "--set",
                    "embedder=hashing", "--size", 4, "--rounds", 2, "--out", "a", "--resume")  # fmt: skip
    assert again.code == 2
    assert "a holds another run: models.agents.dealt.scripted: was 0.75, now 0.5" in again.err


# -- caps ------------------------------------------------------------------------------------------------------------


def test_a_cap_stops_says_so_and_can_be_gone_on_from(sandbox: Sandbox, run_dir: Path) -> None:
    """A run that a cap stopped did what it was told: it ends with 0."""
    ended = society(sandbox, "--rounds", 3, "--max-calls", 150, "--out", "a")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].startswith("round 1 of 3: ")
    assert lines[1] == (
        "stopped by --max-calls 150 in round 2 of 3; all recorded interactions are complete. Resume with --resume --out a "
        "and a higher cap"
    )
    assert lines[2].startswith("a: 13 interactions in 1 round, 0 failed, ")
    stopped = society(sandbox, "--rounds", 3, "--max-tokens", 10_000, "--out", "b", "--json")
    assert (stopped.code, stopped.said["stopped"]) == (0, True)
    done = society(sandbox, "--rounds", 3, "--resume", "--out", "a", "--json")
    assert (done.said["stopped"], done.said["interactions"], done.said["calls"]) == (False, 27, 306)
    assert open_run("a").interactions() == open_run(run_dir).interactions()


def test_a_cap_of_nothing_is_refused(sandbox: Sandbox) -> None:
    ended = society(sandbox, "--max-calls", 0)
    assert ended.code == 2
    assert "Invalid value for '--max-calls'" in ended.err
    assert not Path("runs").exists()


def test_a_branch_goes_on_with_the_agents_of_its_run(sandbox: Sandbox) -> None:
    """All bad, in places drawn by the first seed: under another seed and model they are the same, as they were after one
    round; population need not be said again, and cannot be another."""
    origin = ("--population", "all_bad", "--set", "agents=6", "--set", "movement=0.5", "--set", "reviewers=2")
    society(sandbox, *origin, "--rounds", 2, "--out", "first")
    Path("other.jsonl").write_text('{"match": "Rate ", "text": "7"}\n{"match": ".", "text": "Something else."}\n')
    settings = (*origin[2:], "--from", "first@1", "--rounds", 3, "--seed", 9, "--model", "scripted:other.jsonl")
    ended = society(sandbox, *settings, "--out", "branch", "--json")
    assert (ended.code, ended.said["rounds"]) == (0, 3)
    first, branch = open_run("first"), open_run("branch")
    assert branch.interactions(0) == first.interactions(0)
    assert {i.draft for i in branch.interactions(1)} == {"Something else."}
    assert {i.label for i in branch.interactions()} == {"bad"}
    for r in (0, 1):
        assert branch.positions(r).equals(first.positions(r))
    assert set(branch.agents()["model"]) == {"scripted:other.jsonl"}
    assert set(first.agents()["model"]) == {"scripted:"}
    assert (branch.manifest["from"], branch.manifest["birth_seed"], branch.manifest["seed"]) == ("first@1", 0, 9)
    # Its own calls are counted, not those it took over: six agents of two rounds, whose calls they made.
    own = sum(2 + 4 + 2 * len(i.feedback) for r in (1, 2) for i in branch.interactions(r))
    assert ended.said["calls"] <= own
    again = society(sandbox, *settings[:-4], "--rounds", 4, "--seed", 9, "--model", "scripted:other.jsonl", "--out",
                    "branch", "--resume", "--json")  # fmt: skip
    assert (again.code, again.said["rounds"]) == (0, 4)
    other = society(sandbox, *settings, "--population", "all_good", "--out", "x")
    assert other.code == 2
    assert other.err == (
        "SettingsError: first has the population 'all_bad', and a branch keeps its agents; leave out "
        "population='all_good'\n"
    )


@pytest.mark.parametrize(
    ("branch", "words"),
    [
        ("first", "--from takes RUN@ROUNDS, for example runs/first@2; found 'first'"),
        ("first@2", "first has 1 complete rounds; --from first@2 asks for 2"),
        (
            "first@1",
            "--rounds 1 leaves no new round: it is the total, of which first@1 has 1; give at least --rounds 2",
        ),
        ("nowhere@1", "nowhere is not a run: it does not exist. Make one with: sandbox run SCENARIO --out nowhere"),
    ],
)
def test_a_branch_of_nothing_is_refused(sandbox: Sandbox, branch: str, words: str) -> None:
    society(sandbox, "--rounds", 1, "--out", "first")
    ended = society(sandbox, "--from", branch, "--rounds", 1, "--out", "x")
    assert ended.code == 2
    assert ended.err.partition(": ")[2] == words + "\n"
    assert not Path("x").exists()


def test_a_killed_command_goes_on_with_resume(sandbox: Sandbox, tmp_path: Path) -> None:
    """The whole program, killed by the system in its second round, then resumed by the same command and ``--resume``."""
    path = tmp_path / "slow.py"
    path.write_text(
        "import time\nfrom sandbox.protocols.back_scatter import back_scatter\n\n\n"
        "def protocol(agent, question, world):\n    time.sleep(0.02)\n"
        "    return (yield from back_scatter(agent, question, world))\n"
    )
    arguments = ["run", "value_alignment", *SCRIPTED, "--size", "3", "--rounds", "4", "--protocol", str(path), "--out"]
    assert sandbox(*arguments, tmp_path / "whole", "--json").code == 0
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "sandbox", *arguments, str(killed)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    ) as process:
        n, deadline = 0, time.monotonic() + 60
        while n < 12 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
            if (killed / "manifest.json").exists():
                with sqlite3.connect(killed / "run.sqlite") as db:
                    [n] = db.execute("SELECT COUNT(*) FROM interactions").fetchone()
        process.kill()
    assert process.returncode == -signal.SIGKILL
    refused = sandbox(*arguments, killed)
    assert refused.code == 2
    assert refused.err == (
        f"RunExists: {killed} already holds a run; add --resume to continue it, or choose another --out\n"
    )
    assert sandbox(*arguments, killed, "--resume", "--json").code == 0
    assert open_run(killed).interactions() == open_run(tmp_path / "whole").interactions()
    assert open_run(killed).metrics() == open_run(tmp_path / "whole").metrics()


def test_a_run_is_replayed(sandbox: Sandbox, run_dir: Path) -> None:
    ended = sandbox("run", "value_alignment", "--model", f"replay:{run_dir}", "--size", 3, "--rounds", 3, "--out", "again",
                    "--json")  # fmt: skip
    assert (ended.code, ended.said["interactions"]) == (0, 27)
    assert open_run("again").interactions() == open_run(run_dir).interactions()
    more = sandbox(
        "run", "value_alignment", "--model", f"replay:{run_dir}", "--size", 3, "--rounds", 4, "--out", "more"
    )
    assert more.code == 2
    assert more.err.splitlines()[-1].startswith(f"ReplayMiss: {run_dir} contains no embedding of ")
    assert more.err.endswith("replay with the scenario, seed and settings of its manifest\n")


# -- measure ---------------------------------------------------------------------------------------------------------


def test_a_run_is_measured(sandbox: Sandbox, run_dir: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(run_dir, tmp_path / "copy")
    said = sandbox("measure", copy, "--by", "question", "--resamples", 200, "--json").said
    assert said == json.loads((copy / "measures.json").read_text(encoding="utf-8"))
    assert said["about"] == {"by": "question", "units": 27, "level": 0.95, "resamples": 200, "tolerance": 0.1}
    ended = sandbox("measure", "copy")
    assert ended.out.startswith("copy: 27 interactions in 3 rounds, 0 failed")
    for name in ("alignment", "consensus", "polarisation", "assortativity", "rounds_to_front", "influence_gini"):
        assert name in ended.out
    wrong = sandbox("measure", copy, "--by", "round")
    assert (wrong.code, wrong.err) == (2, "SettingsError: --by 'round' is not one of agent, question\n")
    nothing = sandbox("measure", "nowhere")
    assert nothing.code == 2
    assert nothing.err.startswith("RunNotFound: nowhere is not a run")


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "reviewrs=2"], "SettingsError: scenario 'value_alignment' has no setting 'reviewrs'."),
        (["--set", "reviewers"], "SettingsError: --set takes KEY=VALUE; found 'reviewers'"),
        (["--population", "half_hlaf"], "ScenarioError: population 'half_hlaf' is not one of all_good"),
        (["--protocol", "back_scater"], "UnknownPlugin: no protocol named 'back_scater'. Did you mean 'back_scatter'?"),
        (["--neighborhood", "net.graphml"], "DataFileError: network 'net.graphml' cannot be read: No such file"),
        (["--neighborhood", "more"], "ScenarioError: this society cannot be set up:\n  neighborhood='more' must be"),
        (["--model", "good=scripted:,bad"], "ScenarioError: language models are given as LABEL=URI,LABEL=URI or"),
        (["--model", "good=scripted:"], "ScenarioError: agents labelled bad have no language model"),
        (["--set", "audience=global", "--set", "reviewers=9"], "ScenarioError: this society cannot be set up:\n"
         "  audience 'global' needs 9 reviewers per agent but there are only 8 others; use reviewers=8 or fewer, a "
         "larger --size, or audience=local"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_written(
    sandbox: Sandbox, tmp_path: Path, arguments: list[str], words: str
) -> None:
    ended = society(sandbox, *arguments)
    assert ended.code == 2
    assert ended.err.startswith(words)
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom sandbox.world import World\n"
        "world = World('value_alignment', model='scripted:', embedder='hashing', size=3, out=sys.argv[1])\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        ended = society(sandbox, "--out", tmp_path / "a", "--resume")
        assert ended.code == 2
        assert ended.err == (
            f"RunLocked: another process is writing to {tmp_path / 'a'}; wait for it, or choose another --out\n"
        )
        other.kill()
    assert society(sandbox, "--out", tmp_path / "a", "--resume", "--rounds", 1, "--json").code == 0


def test_help_answers_at_once_and_names_the_options() -> None:
    """Nothing heavy is imported before it is needed: without torch, mesa and pandas in the process."""
    code = (
        "import sys\nsys.argv = ['sandbox', 'run', '--help']\nfrom sandbox.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'transformers', 'mesa', 'pandas', 'numpy', 'openai', 'matplotlib'} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    for option in ("--protocol", "--from", "--max-calls", "--max-tokens", "--dry-run", "--neighborhood", "--resume"):
        assert option in ended.stdout


def test_copies_and_settings_of_models_are_told_on_the_command_line(sandbox: Sandbox) -> None:
    """Two copies in processes leave the record of one; a setting goes to the models, and an unknown one names its like."""
    words = ["run", "value_alignment", *SCRIPTED, "--size", "2", "--rounds", "1", "--json", "--out"]
    assert sandbox(*words, "one").code == 0
    assert sandbox(*words, "two", "--replicas", "2").code == 0
    assert open_run("one").interactions() == open_run("two").interactions()
    assert sandbox(*words, "three", "--set", "model.faults=1").said["failed"] == 4
    assert sandbox(*words, "three", "--resume").said["failed"] == 0
    for wrong, message in (
        (("--set", "model.fault=1"), "model has no setting 'fault'. Did you mean 'faults'?"),
        (("--set", "modle.faults=1"), "no settings modle.* Did you mean 'model'?"),
        (("--engine", "rai"), "engine='rai' is not one of processes, ray. Did you mean 'ray'?"),
        (("--max-cost", "1"), "no model has prices"),
    ):
        refused = sandbox(*words, "four", *wrong)
        assert refused.code == 2
        assert message in refused.err
        assert not Path("four").exists()


def test_a_run_in_which_everything_failed_says_why_and_exits_with_1(sandbox: Sandbox) -> None:
    Path("none.jsonl").write_text('{"match": "no such words", "text": "x"}\n', encoding="utf-8")
    words = ("run", "value_alignment", "--size", 2, "--rounds", 1, "--model", "scripted:none.jsonl", "--out", "r")
    ended = sandbox(*words, "--set", "embedder=hashing")
    assert ended.code == 1
    assert "failed: " in ended.out
    assert "of 4 interactions: " in ended.out
    assert "--resume" in ended.out
    ended = sandbox(*words, "--set", "embedder=hashing", "--resume", "--json")
    assert ended.code == 1
    assert sum(failure["n"] for failure in ended.said["failures"]) <= ended.said["failed"] == 4


def test_ratings_that_could_not_be_read_are_counted(sandbox: Sandbox) -> None:
    Path("talk.jsonl").write_text('{"match": ".", "text": "Quite good, I suppose."}\n', encoding="utf-8")
    words = ("run", "value_alignment", "--size", 2, "--rounds", 1, "--model", "scripted:talk.jsonl", "--rater", "lm")
    ended = sandbox(*words, "--set", "embedder=hashing", "--out", "r")
    assert ended.code == 0
    assert "ratings that could not be read: " in ended.out


def test_a_round_without_measures_ends_its_line(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "quiet.py").write_text(
        "from sandbox import Scenario\n\n\ndef say(agent, question, world):\n    said = yield agent.answer(question)\n"
        "    return world.interaction(agent, question, draft=said.text)\n\n\n"
        "scenario = Scenario(questions=['Tea?'], population={'one': 1.0}, protocol=say)\n"
    )
    ended = sandbox("run", "./quiet.py", *SCRIPTED, "--size", "2", "--rounds", "1")
    assert (ended.code, "round 1 of 1\n" in ended.err + ended.out) == (0, True)
