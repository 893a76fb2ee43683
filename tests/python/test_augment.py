"""The statistics of tools/augment.py, on numbers that can be worked out by hand."""
import argparse
import contextlib
import importlib.util
import io
import math
import os
import pathlib
import random
import sqlite3
import unittest
from unittest import mock

from support import Folder

PATH = pathlib.Path(__file__).resolve().parents[2] / "tools" / "augment.py"
_spec = importlib.util.spec_from_file_location("augment", PATH)
augment = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(augment)


@contextlib.contextmanager
def inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Statistics(unittest.TestCase):
    def compare(self, base, other, groups):
        return augment.compare(base, other, groups, random.Random(1))

    def test_the_same_everywhere(self):
        """Every scene better by 0.1: whatever is drawn, the difference is."""
        base = [{1: 0.5, 2: 0.5, 3: 0.5}] * 2
        found = self.compare(base, [{x: v + 0.1 for x, v in one.items()} for one in base], [[1, 2], [3]])
        for name, value in (("difference", 0.1), ("low", 0.1), ("high", 0.1), ("gain", 0.2), ("gain_low", 0.2), ("gain_high", 0.2)):
            self.assertAlmostEqual(found[name], value, msg=name)

    def test_groups_are_drawn_whole(self):
        """One of two groups is better by 1, the other the same: a quarter of the draws have only the one."""
        base = [{1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}]
        found = self.compare(base, [{1: 2.0, 2: 2.0, 3: 1.0, 4: 1.0}], [[1, 2], [3, 4]])
        self.assertEqual((found["difference"], found["low"], found["high"]), (0.5, 0.0, 1.0))

    def test_seeds_are_drawn(self):
        base = [{1: 1.0}, {1: 1.0}]
        found = self.compare(base, [{1: 1.0}, {1: 2.0}], [[1]])
        self.assertEqual((found["difference"], found["low"], found["high"]), (0.5, 0.0, 1.0))

    def test_only_what_both_drove_counts(self):
        """A good scene that only one of them could be driven in is nobody's advantage, nor is an empty group."""
        base = [{1: 0.5, 2: 0.5}, {1: 0.5}]
        found = self.compare(base, [{1: 0.5, 3: 1.0}, {1: 0.5, 2: 1.0, 3: 1.0}], [[1], [2], [3]])
        self.assertEqual((found["difference"], found["low"], found["high"], found["gain"]), (0.0, 0.0, 0.0, 0.0))
        self.assertTrue(math.isnan(self.compare([{1: 1.0}], [{2: 1.0}], [[1], [2]])["difference"]))

    def test_nothing_gains_on_zero(self):
        found = self.compare([{1: 0.0}], [{1: 0.5}], [[1]])
        self.assertEqual(found["difference"], 0.5)
        self.assertTrue(math.isnan(found["gain"]) and math.isnan(found["gain_low"]))


class Files(Folder, unittest.TestCase):
    def test_places_are_groups(self):
        with inside(self.folder):
            with sqlite3.connect("s.db") as database:
                database.execute("CREATE TABLE scene (id INTEGER, scene_name TEXT, file TEXT)")
                database.executemany("INSERT INTO scene VALUES (?, ?, ?)", [
                    (1, "USA_Peach-4_1_T-1", "a"), (2, "USA_Peach-4_12_T-1", "b"), (3, "USA_Peach-1_1_T-1", "c"),
                    (4, None, "USA_Peach-4_3_T-1.xml")])
            database.close()
            self.assertEqual(sorted(augment.groups_of("s")), [[1, 2, 4], [3]])

    def test_a_part_is_made_again(self):
        path = str(self.folder / "x.db")
        pathlib.Path(path + ".part").write_text("half")
        pathlib.Path(path + ".part-wal").write_text("half")
        made = []

        def make(part):
            self.assertFalse(pathlib.Path(part).exists() or pathlib.Path(part + "-wal").exists())
            made.append(part)
            pathlib.Path(part).write_text("whole")

        augment.finish(path, make)
        augment.finish(path, make)
        self.assertEqual((len(made), pathlib.Path(path).read_text()), (1, "whole"))

    def test_shares(self):
        for mix, weights in ((0, [1]), (3, [0.75, 0.25])):
            self.assertEqual([x["weight"] for x in augment.configuration(mix, 1, 10, 0.25)["data"]], weights)

    def test_a_folder_belongs_to_its_options(self):
        with inside(self.folder):
            options = argparse.Namespace(steps=10, share=0.5, development=False)
            self.assertTrue(augment.belongs(options) and augment.belongs(options))
            options.development = True
            self.assertFalse(augment.belongs(options))

    def test_what_is_held_back_is_not_trained_on(self):
        names = ["USA_Lanker-2_1_T-1", "USA_Lanker-1_2_T-1", "USA_US101-3_1_T-1", "USA_US101-30_1_T-1"]
        left = []
        with inside(self.folder):
            for matching in (True, False):
                with sqlite3.connect("s.db") as database:
                    database.execute("DROP TABLE IF EXISTS scene")
                    database.execute("CREATE TABLE scene (scene_name TEXT)")
                    database.executemany("INSERT INTO scene VALUES (?)", [(name,) for name in names])
                database.close()
                augment.keep("s.db", augment.DEVELOPMENT_PLACES, matching)
                with sqlite3.connect("s.db") as database:
                    left.append([row[0] for row in database.execute("SELECT scene_name FROM scene")])
                database.close()
        self.assertEqual(left, [[names[0], names[2]], [names[1], names[3]]])

    def test_arguments(self):
        for more, words in ((["--mixes", "3,x"], "--mixes wants"), (["--seeds", "0"], "at least 1"), (["--mixes", "-3"], "at least 0"),
                            (["--share", "1"], "between 0 and 1"),
                            ([], "has no ngsim-train.tar.xz")):
            said = io.StringIO()
            arguments = ["augment.py", str(self.folder), str(self.folder / "out"), *more]
            with mock.patch("sys.argv", arguments), contextlib.redirect_stderr(said), self.assertRaises(SystemExit):
                augment.main()
            self.assertIn(words, said.getvalue())
            self.assertFalse((self.folder / "out").exists())


if __name__ == "__main__":
    unittest.main()
