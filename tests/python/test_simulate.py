"""Rollouts and worlds: the same bits as the program's."""
import unittest

import nearmiss as nm
import numpy as np
from support import Folder, program

ROAD = "junction_signal:density=30"


class Simulate(Folder, unittest.TestCase):
    def test_rollouts_are_the_programs(self):
        theirs = program("simulate", "--map", ROAD, "--seconds", "6", "--seed", "11", "--count", "3", "--no-save")["rows"]
        for k, row in enumerate(theirs):
            ours = nm.simulate(nm.builtin(ROAD, 11 + k), 6, seed=11 + k)
            self.assertEqual(f"{ours.hash:016x}", row["hash"])
            self.assertEqual(ours.stats["agents"], row["agents"])
            self.assertEqual(ours.stats["first_collision_step"], row["first_collision_step"])

    def test_scenes_are_the_programs(self):
        path = str(self.folder / "s.db")
        program("simulate", "--map", ROAD, "--seconds", "3", "--seed", "4", "--planner", "constant_velocity", "--store", path)
        with nm.open(path) as store:
            theirs = store.scene(1)
        ours = nm.simulate(nm.builtin(ROAD, 4), 3, seed=4, ego="constant_velocity").scene
        self.assertEqual(ours.hash, theirs.hash)
        for name in ("x", "y", "heading", "vx", "vy"):
            self.assertEqual(getattr(ours, name).tobytes(), getattr(theirs, name).tobytes())
        self.assertEqual(ours.provenance, theirs.provenance)

    def test_worlds_are_rollouts(self):
        road = nm.builtin(ROAD, 2)
        world = nm.World(road, seed=9)
        for _ in range(30):
            world.step()
        self.assertEqual(world.hash, nm.simulate(road, 3, seed=9, keep=False).hash)
        self.assertEqual(world.now, 30)
        self.assertEqual(world.track[world.slot_of[road.ego]], road.ego)
        world.reset(9)
        self.assertEqual(world.now, 0)

    def test_external(self):
        road = nm.builtin("highway:density=5", 2)
        world = nm.World(road, ego="external", seed=1)
        slot = lambda: world.slot_of[road.ego]  # noqa: E731
        x, y, heading = (float(getattr(world, n)[slot()]) for n in ("x", "y", "heading"))
        world.place(road.ego, x + 2.0, y, heading, 20.0)
        world.step()
        self.assertAlmostEqual(float(world.x[slot()]), x + 2.0, places=4)
        world.control(road.ego, -3.0, 0.0)
        before = float(world.speed[slot()])
        for _ in range(10):
            world.step()
        self.assertLess(float(world.speed[slot()]), before - 1.5)
        world.drive(road.ego, "idm")
        world.step()
        with self.assertRaises(IndexError):
            world.control(road.track_count, 0, 0)
        with self.assertRaises(ValueError):
            world.drive(0, "custom")

    def test_contacts(self):
        world = nm.World(nm.builtin("junction_all_way:lanes=2,density=60", 1), agents="constant_velocity",
                         ego="constant_velocity", seed=100)
        contacts = [world.step() for _ in range(60)]
        started = sum(int(c["started"].sum()) for c in contacts)
        self.assertGreater(started, 0)
        self.assertTrue(all((c["first"] < c["second"]).all() for c in contacts))
        self.assertGreater(world.stats["collided"], 0)

    def test_refusals(self):
        road = nm.builtin(ROAD, 1)
        for bad in (lambda: nm.simulate(road, agents="external"), lambda: nm.simulate(road, idm="mine"),
                    lambda: nm.World(road, ego="none"), lambda: nm.World(road, start_step=1), lambda: nm.simulate(road, seed=-1),
                    lambda: nm.simulate(road, float("nan")), lambda: nm.builtin(ROAD, 1 << 64), lambda: nm.builtin(ROAD, 0.5)):
            with self.assertRaises(ValueError):
                bad()
        with self.assertRaises(nm.Error):
            nm.simulate(road, 0.0)

    def test_views_of_a_world_do_not_dangle(self):
        x = nm.World(nm.builtin(ROAD, 1)).x
        self.assertTrue(np.isfinite(x).all())


if __name__ == "__main__":
    unittest.main()
