"""Windows has no fcntl: the package is imported, and files and folders are written, without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "fcntl":
            raise ModuleNotFoundError("No module named 'fcntl'", name="fcntl")


sys.modules.pop("fcntl", None)
sys.meta_path.insert(0, Missing())
from pathlib import Path
from sandbox import World, open_run
from sandbox.folders import draft_folder, whole_file

left = Path(".a.txt-abcd1234.draft")
left.mkdir()
with whole_file(Path("a.txt")) as fresh:
    fresh.write_text("whole")
World("value_alignment", model="scripted:", rater="lm", embedder="hashing", size=2, out="run").run(rounds=1)
print(Path("a.txt").read_text(), left.is_dir(), len(open_run("run").interactions()), "fcntl" in sys.modules)
"""


def test_a_society_runs_and_drafts_of_others_are_left_alone(tmp_path: Path) -> None:
    # filelock is asked for its own locks, which here need the module that it would not use on Windows.
    soft = "import filelock\nfilelock.FileLock = filelock.SoftFileLock\n"
    done = subprocess.run(
        [sys.executable, "-c", soft + PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("whole True 4 False\n", "")
