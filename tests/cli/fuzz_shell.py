"""A shell that the fuzz of all commands types into: runs commands in this process, and collects what ended badly."""

from __future__ import annotations

import io
import shlex
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from sandbox.cli.main import main

LONGEST_S = 60  # of one command; the usual ones take a tenth of a second
TOGETHER = ("run", "sweep", "compare")  # may end with 1: everything failed
SCENARIO = 'from sandbox import Scenario\nscenario = Scenario("two", ["Is it so?", "Or so?"])\n'
SMALL = "--model scripted: --rater lm --size 2 --rounds 1 --set embedder=hashing --set prior_memories=0"
JUNK = [
    "", " ", "0", "-1", "1", "2", "3.5", "nan", "inf", "-inf", "1e999", "9" * 30, "0x10", "1_0", "٣", "true", "None",
    "null", "[]", "{}", '{"a": [1]}', "a=b", "=", ",", ",,", ";", ":", "::", "@", "é", "日本", "\udcff", "a\nb",
    "a\tb", "x" * 300, "%s", "{0}", "{question}", "'", '"', "good=0.5,bad=0.5", "good=2", "good=nan,bad=1",
    "column:", "column:x", "hf:", "hf:./none", "openai:", "openai:m@", "openai:m@nowhere",
    "openai:m@http://127.0.0.1:9/v1", "scripted:none.jsonl", "scripted:./none.py", "scripted:/dev/null", "reward:",
    "reward:./none", "values", "probe", "lm", "hashing", "none.csv", "none.graphml", "/dev/null", "two.py",
    "./two.py", "two.py/x", "./two.py:nothing", "json:loads", "no.module:x", "value_alignment", "smollm", "*",
    "$HOME",
]  # fmt: skip


class Shell:
    """Runs commands in this process, and collects what ended badly."""

    def __init__(self) -> None:
        self.bad: list[str] = []
        self.n = 0

    def __call__(self, *arguments: str, about: str = "") -> Any:
        """Run a command, and note it if it did not end as it should; return its exit code."""
        out, err = io.StringIO(), io.StringIO()
        code: Any = 0
        before = sys.argv, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        sys.argv = ["sandbox", *arguments]
        signal.alarm(LONGEST_S)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as ended:
            code = ended.code
        except BaseException as error:
            code = repr(error)
        finally:
            signal.alarm(0)
            sys.argv = before[0]
            signal.signal(signal.SIGINT, before[1])
            signal.signal(signal.SIGTERM, before[2])
        self.n += 1
        said = out.getvalue() + err.getvalue()
        lines = [line for line in err.getvalue().splitlines() if line.strip()]
        is_well = code in (0, 2) or (code == 1 and arguments[0] in TOGETHER)
        is_clear = code != 2 or (bool(lines) and len(lines[-1]) > 10)
        if not is_well or not is_clear or "Traceback" in said or "This is a bug" in said:
            tail = " / ".join(lines[-3:])[-500:]
            self.bad.append(f"{code}: {shlex.join(arguments)!a} {about[:300]!a}\n    {tail!a}")
        return code

    def end(self, at_least: int) -> None:
        """All inputs ended well, and there were as many as the test claims; nothing hidden is left."""
        assert not self.bad, f"{len(self.bad)} of {self.n}:\n" + "\n".join(self.bad)
        assert self.n >= at_least
        assert list(Path().rglob(".*.draft")) == []
