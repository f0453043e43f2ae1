"""The benchmark runs our side of the comparison, and leaves out what cannot be installed, with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.peer_societies.environments import NotInstalled, Peer, environment

PEERS = Path(__file__).parent / "peers.py"


def test_our_side_makes_no_call_too_many(tmp_path: Path) -> None:
    """A draft, three reviews and a revision are five calls. 4 agents need 20 for a round. Killed after some of these, a run
    makes no more again than can be under way: k of each agent, 12."""
    out, page = tmp_path / "found.json", tmp_path / "page.md"
    page.write_text("<!-- peers -->\n<!-- /peers -->\n", encoding="utf-8")
    options = ["--quick", "--agents", "4", "--rounds", "1", "--delay", "0.3", "--peers", ""]
    command = [sys.executable, str(PEERS), *options, "--json", str(out)]
    subprocess.run([*command, "--markdown", str(page)], timeout=120, check=True)
    said = json.loads(out.read_text(encoding="utf-8"))
    [(name, ours)] = said["peers"].items()
    assert (name, ours["calls_each"], said["skipped"]) == ("social-sandbox", 5.0, {})
    [kill] = ours["kills"]
    assert 1 <= kill["before"] <= 20
    assert kill["after"] == 20 + kill["twice"] - kill["before"]
    assert 0 <= kill["twice"] <= 12
    assert 0 <= kill["under_way"] <= 12
    _, head, _, row, *_ = page.read_text(encoding="utf-8").split("\n")
    assert head.startswith("| framework | calls an interaction | interactions/s | of ours |")
    assert row.startswith("| Social Sandbox (")
    assert row.endswith(f" | {kill['twice']} of {kill['before']} ({kill['under_way']}) |")


def test_what_cannot_be_installed_says_why(tmp_path: Path) -> None:
    """A folder that is no package: refused without a registry being asked."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    absent = Peer("none", "None", "none.py", version, ("./no-such-folder",))
    with pytest.raises(NotInstalled, match=r"\./no-such-folder cannot be installed: .*no-such-folder"):
        environment(absent, tmp_path)
    with pytest.raises(NotInstalled, match=r"there is no Python 3\.99"):
        environment(Peer("none", "None", "none.py", "3.99", ("nothing",)), tmp_path)


def test_a_peer_that_is_not_there_is_refused() -> None:
    ended = subprocess.run([sys.executable, str(PEERS), "--peers", "mesa"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "no peers mesa; there are mesa-llm, mesa-llm-plans, concordia, oasis" in ended.stderr
