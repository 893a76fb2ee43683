"""Type hints: the package itself, and a program whose types are wrong where it says so, under mypy --strict."""
import os
import pathlib
import subprocess
import sys
import unittest

from support import PYTHON, Folder


class Types(Folder, unittest.TestCase):
    def test_strict(self):
        if subprocess.run([sys.executable, "-c", "import mypy"], capture_output=True).returncode != 0:
            self.skipTest("mypy is not installed")
        program = '''
import typing

import numpy as np
import numpy.typing
import nearmiss as nm

class Careful:
    def plan(self, seen: nm.Observation) -> nm.Control:
        return nm.Control(-1.0 if seen.ego.speed > 3 else 0.5)

cases: nm.Cases = nm.generate("cut_in", count=1, params={"gap": (3, 8)})
gaps: list[float] = [case.achieved["gap"] for case in cases[:1]]
with nm.open("s.db") as store:
    first: nm.Hits = store.find(ttc=(None, 3))[:1]
    times: list[float] = [hit.min_ttc for hit in first]
    scenes: list[nm.Scene] = store.scenes(kind="cut_in")
    left, right = scenes[0].map.borders(0)
    array: np.typing.NDArray[typing.Any] = left - scenes[0].map.centre
with nm.VectorEnv(scenes, num_envs=8) as env:
    observations, info = env.reset(seed=1)
    rewards: np.typing.NDArray[typing.Any] = env.step(np.zeros((8, 2)))[1]
scores: list[float] = [episode.score for episode in nm.evaluate(Careful(), scenes)]
nm.simulate("highway")  # wrong
nm.open(3)  # wrong
cases[0].gap  # wrong
'''
        path = self.folder / "program.py"
        path.write_text(program)
        cache = pathlib.Path(os.environ["NEARMISS_LIBRARY"]).resolve().parent / "mypy_cache"  # NumPy's types take long
        done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), str(path), str(PYTHON / "nearmiss")],
                              capture_output=True, text=True, env={**os.environ, "MYPYPATH": str(PYTHON)})
        found = [int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line]
        wrong = [i + 1 for i, line in enumerate(program.splitlines()) if line.endswith("# wrong")]
        self.assertEqual(found, wrong, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
