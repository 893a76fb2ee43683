"""The examples of docs/python.md, run as they stand, in their order and in an empty folder."""
import contextlib
import io
import os
import pathlib
import re
import tempfile
import unittest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "python.md"


class Docs(unittest.TestCase):
    def test_examples(self):
        text = DOCS.read_text()
        blocks = [(text[: m.start()].count("\n") + 2, m.group(1)) for m in re.finditer(r"```python\n(.*?)```", text, re.S)]
        self.assertGreaterEqual(len(blocks), 6)
        names, printed = {"__name__": "docs"}, io.StringIO()
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                for line, code in blocks:
                    with self.subTest(line=line), contextlib.redirect_stdout(printed):
                        exec(compile("\n" * (line - 1) + code, str(DOCS), "exec"), names)
            finally:
                os.chdir(before)
        words = printed.getvalue()
        for expected in ("cut_in", "failed", "not today", "NM_E_NOT_FOUND missing.db", "[2, 2], not [3, 2]", "2 scenes in 2 files"):
            self.assertIn(expected, words)

    def test_tables_name_what_there_is(self):
        import nearmiss as nm

        with nm.VectorEnv("highway", num_envs=1) as env:
            rows = dict(re.findall(r"^\| `(\w+)` \| (?:[^|]*)\| (.*) \|$", DOCS.read_text(), re.M))
            self.assertEqual(set(rows), set(env.layout))
            for block, columns in rows.items():
                named = [re.sub(r"\(.*?\)", "", c).strip() for c in columns.split(",")]
                self.assertEqual(named, env.layout[block]["columns"])


if __name__ == "__main__":
    unittest.main()
