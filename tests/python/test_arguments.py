"""Arguments of a wrong type, shape or name: said by name, before the library sees them; and what users expect of objects."""
import math
import unittest

import nearmiss as nm
import numpy as np
from nearmiss._arguments import WrongType
from support import Folder, child

# What is none of: a number, a truth value, a name, a path, a sequence of scenes, a scene, a callable.
ANY = (object(), b"a", ("a", 1), {"a": 1}, np.zeros(3), 1.5)


class Wrong(Folder, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.road = nm.builtin("highway:density=10", 1)
        cls.path = str(cls.folder / "s.db")
        cls.store = nm.open(cls.path, "a")
        cls.store.put(nm.simulate(cls.road, 1).scene)

    @classmethod
    def tearDownClass(cls):
        cls.store.close()
        super().tearDownClass()

    def refused(self, use, what, *values):
        for value in values:
            with self.subTest(value=value):
                with self.assertRaises(ValueError) as caught:
                    use(value)
                self.assertIn(what, str(caught.exception))
                self.assertLess(len(str(caught.exception)), 400)
                if value is None or not isinstance(value, (int, float, str)):
                    self.assertIsInstance(caught.exception, TypeError)  # as Python calls it

    def test_numbers(self):
        world = nm.World(self.road, ego="external")
        places = {
            "seconds": (lambda v: nm.simulate(self.road, v), lambda v: self.store.find(seconds=v),
                        lambda v: nm.generate("cut_in", 1, seconds=v), lambda v: nm.evaluate("idm", self.road, seconds=v)),
            "severity": (lambda v: self.store.find(severity=v if v is not None else "x"),),
            "dt": (self.road.resample,), "acceleration": (lambda v: world.control(self.road.ego, v, 0),),
            "curvature": (lambda v: world.control(self.road.ego, 0, v),), "heading": (lambda v: world.place(self.road.ego, 0, 0, v, 0),),
            "goal_reward": (lambda v: nm.VectorEnv("highway", 1, goal_reward=v),), "hours": (lambda v: nm.generate("cut_in", 0, hours=v),),
            "deadline": (lambda v: nm.evaluate("idm", self.road, deadline=v),),
            "map_radius": (lambda v: nm.evaluate(print, self.road, map_radius=v),)}
        for what, uses in places.items():
            for use in uses:
                self.refused(use, what, None, "a", "1", math.nan, math.inf, *ANY[:5])

    def test_whole_numbers(self):
        places = {"seed": (lambda v: nm.VectorEnv("highway", 1, seed=v), lambda v: nm.builtin("highway", v)),
                  "num_envs": (lambda v: nm.VectorEnv("highway", v),), "count": (lambda v: nm.generate("cut_in", v),),
                  "traffic": (lambda v: nm.generate("cut_in", 1, traffic=v),), "limit": (lambda v: self.store.find(limit=v),),
                  "scene": (self.store.scene, self.store.delete), "lane": (self.road.map.lane, self.road.map.borders),
                  "signal": (lambda v: self.road.signal(v, 0),), "track": (lambda v: nm.World(self.road).drive(v, "idm"),)}
        for what, uses in places.items():
            for use in uses:
                self.refused(use, what, None, "a", *ANY)
        with nm.VectorEnv("highway", np.int64(1), seed=np.uint8(3)) as env:  # NumPy's are fine
            self.assertEqual(env.num_envs, 1)
        self.assertEqual(nm.VectorEnv("highway", True).num_envs, 1)

    def test_pairs(self):
        for name in ("ttc", "distance"):
            for bad in (1, 1.5, ("a", 1), (1,), (1, 2, 3), "ab", (math.nan, 1), (3, 1), object()):
                with self.assertRaisesRegex(ValueError, name, msg=str(bad)):
                    self.store.find(**{name: bad})
            self.store.find(**{name: (None, math.inf)})
        for bad in ((1, 2, 3), "a", ("a", 1), None, (1, math.nan)):
            with self.assertRaisesRegex(ValueError, "the range of gap", msg=str(bad)):
                nm.generate("cut_in", 1, params={"gap": bad})

    def test_truth_values(self):
        self.refused(lambda v: nm.VectorEnv("highway", 1, shuffle=v), "shuffle", None, "no", 2, *ANY)
        self.refused(lambda v: nm.VectorEnv("highway", 1, copy=v), "copy", None, "no", 2, *ANY)
        self.refused(lambda v: nm.simulate(self.road, 1, keep=v), "keep", None, "no", *ANY)
        self.refused(lambda v: nm.evaluate("idm", self.road, perfect=v), "perfect", None, "no", *ANY)

    def test_names(self):
        self.refused(lambda v: nm.open(self.path, v), "mode", None, 1, [], *ANY)
        self.refused(lambda v: nm.VectorEnv("highway", 1, control=v), "control", None, 1, [], *ANY)
        self.refused(lambda v: nm.VectorEnv("highway", 1, autoreset=v), "autoreset", None, 1, [], *ANY)
        self.refused(lambda v: nm.simulate(self.road, agents=v), "policy", None, 1, [], *ANY)
        self.refused(lambda v: nm.generate("cut_in", 1, severity=v or 0), "severity", None, 1, [], *ANY[:4])
        self.refused(lambda v: nm.generate("cut_in", 1, generator=v), "generator", None, 1, ["manoeuvre"], object())
        self.refused(lambda v: self.store.find(kind=v or 0), "kind", None, 1, [], *ANY[:4])
        self.refused(nm.builtin, "map", None, 1, [], "\udcff", *ANY)
        self.refused(lambda v: self.store.export(v, self.folder / "x"), "format", None, 1, *ANY)
        self.refused(lambda v: self.store.export("csv", self.folder / "x", None, v), "option 1", None, 1, *ANY)

    def test_paths(self):
        for use in (nm.open, lambda v: self.store.export("csv", v), lambda v: nm.generate("cut_in", 1, into=v if v is not None else 1)):
            self.refused(use, "path", None, 1, object(), 1.5, np.zeros(3), {"a": 1})

    def test_scenes(self):
        for use in (nm.simulate, nm.World, nm.detect):
            self.refused(use, "nearmiss.Scene", None, 1, "highway", [self.road], *ANY)
        for use in (lambda v: nm.evaluate("idm", v), lambda v: nm.generate("cut_in", 1, scenes=v if v is not None else 1), lambda v: nm.VectorEnv(v, 1)):
            self.refused(use, "scenes", None, 1, object(), [1], [self.road, None], np.zeros(3))
        self.refused(self.store.put, "scenes", None, 1, "a", object())
        self.refused(lambda v: nm.evaluate(v, self.road), "planner", None, 1, object(), [])

    def test_callables(self):
        self.refused(lambda v: nm.VectorEnv("highway", 1, reward=v), "reward", 1, "a", object())
        self.refused(lambda v: nm.generate("cut_in", 1, progress=v), "progress", 1, "a", object())

    def test_closed_stores_export_nothing(self):
        store = nm.open(self.path)
        store.close()
        with self.assertRaisesRegex(nm.Error, "store is closed"):
            store.export("csv", self.folder / "closed")

    def test_it_is_both(self):
        self.assertTrue(issubclass(WrongType, ValueError) and issubclass(WrongType, TypeError))


class Package(unittest.TestCase):
    def test_everything_is_said(self):
        for name in nm.__all__:
            thing = getattr(nm, name)
            self.assertIn(name, dir(nm))
            if not callable(thing):
                continue
            self.assertTrue(thing.__doc__ and not thing.__doc__.startswith(f"{name}("), name)
            for member, value in vars(thing).items() if isinstance(thing, type) else ():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    self.assertTrue(value.__doc__, f"{name}.{member}")

    def test_gymnasium_waits_until_it_is_used(self):
        done = child("import sys, nearmiss as nm; before = 'gymnasium' in sys.modules\n"
                     "from nearmiss import *; print(before, COLLIDED, VectorEnv('highway', 1).num_envs, nm.VectorEnv is VectorEnv)\n"
                     "try: nm.nothing\nexcept AttributeError as error: print(error)")
        self.assertEqual(done.stdout.splitlines(), ["False 1 1 True", "module 'nearmiss' has no attribute 'nothing'"], done.stderr)


if __name__ == "__main__":
    unittest.main()
