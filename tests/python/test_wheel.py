"""The wheel, made without network, unpacked into a folder as pip does, and used from there."""
import base64
import csv
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
import zipfile

from support import PYTHON, Folder, child


class Wheel(Folder, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wheel = cls.make("one", "--library", os.environ["NEARMISS_LIBRARY"])

    @classmethod
    def make(cls, out, *more):
        command = [sys.executable, str(PYTHON / "make_wheel.py"), "--version", "0.1.0", "--out", str(cls.folder / out), *more]
        return pathlib.Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())

    def test_name_and_bytes(self):
        self.assertRegex(self.wheel.name, r"^nearmiss-0\.1\.0-py3-none-linux_\w+\.whl$")
        small = self.folder / "small"  # packing the library again would take seconds
        small.write_bytes(bytes(range(256)) * 64)
        twins = [self.make(out, "--library", str(small), "--weights", str(small)).read_bytes() for out in ("two", "three")]
        self.assertEqual(*twins)

    def test_record(self):
        with zipfile.ZipFile(self.wheel) as archive:
            names = archive.namelist()
            rows = list(csv.reader(archive.read("nearmiss-0.1.0.dist-info/RECORD").decode().splitlines()))
            self.assertEqual([r[0] for r in rows], names)
            for name, digest, size in rows[:-1]:
                data = archive.read(name)
                self.assertEqual(len(data), int(size))
                expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                self.assertEqual(digest, "sha256=" + expected)
            self.assertTrue({"nearmiss/__init__.py", "nearmiss/py.typed", "nearmiss/libnearmiss.so", "nearmiss/nearmiss.safetensors"} <= set(names))
            self.assertIn("Requires-Dist: numpy", archive.read("nearmiss-0.1.0.dist-info/METADATA").decode())

    def test_works_where_it_is_unpacked(self):
        site = self.folder / "site"
        with zipfile.ZipFile(self.wheel) as archive:
            archive.extractall(site)
        code = ("import nearmiss as nm, sys; from nearmiss._abi import abi; print(abi.path);"
                "print(nm.shipped_model()); print(nm.simulate(nm.builtin('highway', 1), 1).stats['agents'] > 0);"
                "print(len(nm.generate('cut_in', 1, seed=1, generator='diffusion', maps='highway:density=15')))")
        done = child(code, PYTHONPATH=str(site), NEARMISS_LIBRARY="", NEARMISS_MODEL="")
        there = site.resolve() / "nearmiss"
        self.assertEqual(done.stdout.split(), [str(there / "libnearmiss.so"), str(there / "nearmiss.safetensors"), "True", "1"], done.stderr)


class Installed(Folder, unittest.TestCase):
    """`cmake --install` puts library and weights under a prefix; the package may lie anywhere."""

    def test_weights_beside_the_library(self):
        package, name = self.folder / "site" / "nearmiss", "nearmiss.safetensors"
        shutil.copytree(PYTHON / "nearmiss", package)
        share = self.folder / "prefix" / "share" / "nearmiss"
        share.mkdir(parents=True)
        code = f"""
import os, pathlib, nearmiss as nm
weights = pathlib.Path({str(share / name)!r})
weights.unlink(missing_ok=True)
try: nm.shipped_model()
except nm.Error as error: print(error)
weights.write_text("weights")
print(nm.shipped_model())
os.environ["NEARMISS_MODEL"] = "other"
print(nm.shipped_model())
"""
        for lib in ("lib", "lib/x86_64-linux-gnu"):
            library = self.folder / "prefix" / lib / "libnearmiss.so"
            library.parent.mkdir(exist_ok=True)
            shutil.copy(os.environ["NEARMISS_LIBRARY"], library)
            done = child(code, PYTHONPATH=str(package.parent), NEARMISS_LIBRARY=str(library), NEARMISS_MODEL="")
            self.assertEqual(done.stderr, "")
            missing, found, named = done.stdout.splitlines()
            self.assertIn("there are no weights", missing)
            self.assertIn(str(share.resolve() / name), missing)
            self.assertEqual((found, named), (str(share.resolve() / name), "other"))


class Bench(unittest.TestCase):
    def test_prints_the_ratio(self):
        import json

        done = subprocess.run([sys.executable, "-m", "nearmiss.bench", "--json", "--steps", "5", "--repeats", "1"],
                              capture_output=True, text=True)
        rows = json.loads(done.stdout)["rows"]
        self.assertGreater(rows["python_ratio"]["value"], 0.2)
        self.assertEqual(rows["agents.all"]["value"], 64)
        self.assertLess(rows["agents.all"]["value"] * 64, rows["c_agent_steps_per_s.all"]["value"])


if __name__ == "__main__":
    unittest.main()
