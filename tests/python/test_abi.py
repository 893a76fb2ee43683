"""The library's description of itself: complete, right, and a mismatch is an error by name."""
import ctypes
import ctypes.util
import os
import re
import unittest

import nearmiss as nm
from nearmiss import _abi
from support import PYTHON, child

HEADERS = PYTHON.parent


class Tables(unittest.TestCase):
    def test_every_structure_fits(self):
        for name in _abi.abi._raw:
            made = _abi.abi.structure(name)
            self.assertEqual(ctypes.sizeof(made), _abi.abi._raw[name].size, name)
            if _abi.abi._raw[name].field_count:
                self.assertEqual(_abi.abi.dtype(name).itemsize, _abi.abi._raw[name].size, name)

    def test_a_field_that_was_forgotten_is_seen(self):
        """A table without its fourth field: the fifth does not lie where it would."""
        library = _abi.Abi.__new__(_abi.Abi)
        library.__dict__.update(_abi.abi.__dict__, _structures={})
        raw = _abi.abi._raw["nm_world_view"]
        fields = (_abi._Field * (raw.field_count - 1))(*[f for i, f in enumerate(raw.fields[: raw.field_count]) if i != 3])
        changed = _abi._Type(raw.name, raw.size, raw.alignment, 0, raw.field_count - 1, fields)
        library._raw = {**_abi.abi._raw, "nm_world_view": changed}
        with self.assertRaisesRegex(ImportError, "nm_world_view.*lies at"):
            library.structure("nm_world_view")
        changed = _abi._Type(raw.name, raw.size + 8, raw.alignment, 0, raw.field_count, raw.fields)
        library._raw["nm_world_view"] = changed
        with self.assertRaisesRegex(ImportError, "nm_world_view has"):
            library.structure("nm_world_view")

    def test_fields_that_are_used_are_checked_by_name(self):
        library = _abi.Abi.__new__(_abi.Abi)
        library.__dict__.update(_abi.abi.__dict__, _structures={})
        raw = _abi.abi._raw["nm_hit"]
        fields = (_abi._Field * raw.field_count)(*raw.fields[: raw.field_count])
        fields[0].name = b"renamed"
        library._raw = {**_abi.abi._raw, "nm_hit": _abi._Type(raw.name, raw.size, 8, 0, raw.field_count, fields)}
        with self.assertRaisesRegex(ImportError, "nm_hit has no scene"):
            _abi._check(library)
        with self.assertRaisesRegex(ImportError, "has no nm_no_such_thing"):
            library.nm_no_such_thing

    def test_signatures_are_those_of_the_headers(self):
        """Read a second time here, out of the headers' text."""
        text = "".join(p.read_text() for f in ("base", "sim", "nexus", "scenarios") for p in (HEADERS / f).rglob("*.h"))
        text = re.sub(r"///[^\n]*|//[^\n]*", "", text)
        for name, function in _abi.abi._functions.items():
            found = re.search(r"NM_API\s+([\w\s*]+?)\b%s\(([^;]*?)\)\s*;" % name, text)
            self.assertIsNotNone(found, name)
            count = 0 if found.group(2).strip() == "void" else found.group(2).count(",") + 1
            arguments = function.arguments.decode().strip("()")
            self.assertEqual(0 if arguments == "void" else arguments.count(",") + 1, count, name)
            squeeze = lambda t: re.sub(r"\s+", "", t)  # noqa: E731
            self.assertEqual(squeeze(function.result.decode()), squeeze(found.group(1)), name)

    def test_every_function_that_is_called_is_there(self):
        called = set()
        for path in (PYTHON / "nearmiss").glob("*.py"):
            called |= set(re.findall(r"\babi\.(nm_\w+)|[\"'](nm_\w+)[\"']", path.read_text()))
        for name in {a or b for a, b in called}:
            if name == "nm_abi" or name == "nm_abi_version":
                continue
            getattr(_abi.abi, name)


class Loading(unittest.TestCase):
    def test_a_library_that_is_not_there(self):
        done = child("import nearmiss", NEARMISS_LIBRARY="/no/where.so")
        self.assertIn("libnearmiss.so was not found; looked at /no/where.so", done.stderr)

    def test_some_other_library(self):
        done = child("import nearmiss", NEARMISS_LIBRARY=ctypes.util.find_library("z") or "libz.so.1")
        self.assertRegex(done.stderr, "ImportError: .*(has no nm_abi_version|was not found)")

    def test_a_file_that_is_no_library(self):
        done = child("import nearmiss", NEARMISS_LIBRARY=os.path.abspath(__file__))
        self.assertIn("ImportError: can not load", done.stderr)

    def test_works_without_gymnasium(self):
        code = ("import sys; sys.modules['gymnasium'] = None\n"
                "import nearmiss as nm; e = nm.VectorEnv('highway', 2); e.reset(seed=1); e.step(e.action_space.sample());"
                "assert type(e.action_space).__module__ == 'nearmiss.vector_env'; print('fine')")
        self.assertIn("fine", child(code).stdout)


class Errors(unittest.TestCase):
    def test_error_says_where(self):
        with self.assertRaises(nm.Error) as caught:
            nm.open("/no/such/file.db")
        self.assertEqual(caught.exception.code, "NM_E_NOT_FOUND")
        self.assertEqual(caught.exception.input, "/no/such/file.db")

    def test_error_travels(self):
        import pickle

        error = pickle.loads(pickle.dumps(nm.Error("NM_E_FORMAT", "bad", "a.xml", 3)))
        self.assertEqual((error.code, error.line, str(error)), ("NM_E_FORMAT", 3, "a.xml:3: bad"))


if __name__ == "__main__":
    unittest.main()
