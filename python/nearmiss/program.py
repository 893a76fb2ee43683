"""The program `nearmiss`, for what the library does not hold (pictures, films, exports)."""
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from typing import Optional

from ._abi import Error


def find() -> Optional[str]:
    """What NEARMISS_PROGRAM names; else the one of the build tree this package lies in; else the one on the path."""
    named = os.environ.get("NEARMISS_PROGRAM")
    if named:
        return named
    built = pathlib.Path(__file__).resolve().parents[2] / "build" / "release" / "tools" / "nearmiss"
    return str(built) if built.exists() else shutil.which("nearmiss")


def run(*arguments: str) -> str:
    """Runs it and returns its standard output; Error with what it wrote to standard error where it fails."""
    program = find()
    if program is None:
        raise Error("NM_E_NOT_FOUND", "the program nearmiss is not on the path; NEARMISS_PROGRAM names another place")
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace")
    except OSError as failure:
        raise Error("NM_E_IO", f"{program} can not be started: {failure.strerror}") from None
    if done.returncode != 0:
        words = done.stderr.strip() or f"exit status {done.returncode}"
        raise Error("NM_E_ARGUMENT" if done.returncode == 2 else "NM_E_IO", words)
    return done.stdout
