"""The comparisons of tools/ablate.py, on numbers that can be worked out by hand."""
import importlib.util
import math
import pathlib
import unittest

PATH = pathlib.Path(__file__).resolve().parents[2] / "tools" / "ablate.py"
_spec = importlib.util.spec_from_file_location("ablate", PATH)
ablate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ablate)


def result(groups, low, high, task="free", name="displacement_m"):
    """What `score` keeps of a task: one score, of groups of one part."""
    row = {n: {"value": None} for n in ablate.SCORES + ablate.STABILITY}
    parts = [[list(g)] for g in groups]
    row[name] = {"value": ablate.ratio(parts, range(len(parts))), "low": low, "high": high}
    row["by_group"] = {name: parts}
    return {task: row}


class Ratio(unittest.TestCase):
    def test_mean_over_parts_of_ratios_of_sums(self):
        groups = [[[1.0, 1.0], [4.0, 2.0]], [[3.0, 1.0], [0.0, 0.0]]]
        self.assertEqual(ablate.ratio(groups, [0, 1]), (4.0 / 2.0 + 4.0 / 2.0) / 2.0)
        self.assertEqual(ablate.ratio(groups, [1, 1]), 3.0)  # a part that counts nothing is left out
        self.assertTrue(math.isnan(ablate.ratio([[[0.0, 0.0]]], [0])))


class Difference(unittest.TestCase):
    def test_groups_are_drawn_alike(self):
        """Every group better by 1, as wide as they differ: there is no doubt about it."""
        theirs = [[[x, 1.0]] for x in (1.0, 5.0, 20.0)]
        found = ablate.difference([[[x - 1.0, 1.0]] for ((x, _),) in theirs], theirs)
        for name in ("value", "low", "high"):
            self.assertAlmostEqual(found[name], -1.0, msg=name)

    def test_one_of_two_groups(self):
        found = ablate.difference([[[2.0, 1.0]], [[1.0, 1.0]]], [[[1.0, 1.0]], [[1.0, 1.0]]])
        self.assertEqual((found["value"], found["low"], found["high"]), (0.5, 0.0, 1.0))

    def test_one_group_says_nothing(self):
        self.assertIsNone(ablate.difference([[[2.0, 1.0]], [[0.0, 0.0]]], [[[1.0, 1.0]], [[0.0, 0.0]]]))


class Compare(unittest.TestCase):
    theirs = result([(1.0, 1.0), (3.0, 1.0)], 1.0, 3.0)

    def test_inside_or_better_is_within(self):
        for groups in ([(3.0, 1.0), (3.0, 1.0)], [(0.0, 1.0), (0.0, 1.0)]):
            self.assertEqual(ablate.compare(result(groups, 0, 0), self.theirs)["outside"], [])

    def test_worse_than_the_interval_is_named(self):
        self.assertEqual(ablate.compare(result([(3.1, 1.0), (3.1, 1.0)], 0, 0), self.theirs)["outside"],
                         ["free displacement_m"])

    def test_realism_is_worse_when_it_is_less(self):
        def realism(value):
            row = result([(1.0, 1.0), (1.0, 1.0)], 1.0, 1.0)
            row["free"]["realism"] = {"meta": {"value": value, "low": 0.7, "high": 0.8}}
            row["free"]["by_group"]["realism"] = [[[value, 1.0]], [[value, 1.0]]]
            return row
        self.assertEqual(ablate.compare(realism(0.69), realism(0.75))["outside"], ["free realism"])
        self.assertEqual(ablate.compare(realism(0.9), realism(0.75))["outside"], [])

    def test_one_group_is_not_judged(self):
        found = ablate.compare(result([(9.0, 1.0)], 9.0, 9.0), result([(1.0, 1.0)], 1.0, 1.0))
        self.assertEqual((found["outside"], found["alone"], found["paired"]), ([], ["free displacement_m"], {}))

    def test_a_task_that_one_does_not_know(self):
        goal = result([(1.0, 1.0), (1.0, 1.0)], 1.0, 1.0, task="goal")
        self.assertEqual(ablate.compare(goal, self.theirs), {"outside": [], "paired": {}, "alone": []})


class Rows(unittest.TestCase):
    def test_rows_come_after_what_they_are_compared_with(self):
        seen = set()
        for row in ablate.ROWS:
            self.assertTrue(row.against is None or row.against in seen, row.name)
            self.assertNotIn(row.name, seen)
            self.assertTrue(row.model.startswith("shipped") or row.stage, row.name)
            seen.add(row.name)

    def test_table(self):
        """A difference that has no doubt gets its sign, and what is worse its name."""
        off, on = ablate.Row("off", "nothing", against=None), ablate.Row("on", "something")
        results = {"off": result([(1.0, 1.0), (3.0, 1.0)], 1.0, 3.0), "on": result([(4.0, 1.0), (6.0, 1.0)], 4.0, 6.0)}
        results["on"]["comparison"] = ablate.compare(results["on"], results["off"])
        lines = ablate.table("towns", [off, on], results, {"off": 0.5, "on": 0.1})
        line = next(line for line in lines if line.startswith("| on"))
        self.assertIn("5.00 (4.00, 6.00) *+", line)
        self.assertTrue(line.endswith("| 0.1000 | 5.00 | not: free displacement_m |"), line)


if __name__ == "__main__":
    unittest.main()
