"""What several tests need: the program, stores made by it, memory that is watched."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PYTHON = pathlib.Path(__file__).resolve().parents[2] / "python"


def program(*arguments: str) -> dict:
    """Runs `nearmiss ... --json` and returns its document."""
    done = subprocess.run([os.environ["NEARMISS_PROGRAM"], *arguments, "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.stderr}")
    return json.loads(done.stdout)


def child(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs Python code in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100,
                          env={**os.environ, **environment})


class Folder:
    """A temporary folder for a whole test class."""

    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls._folder.name)

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()
