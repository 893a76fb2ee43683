"""Planners in Python: what they see, what becomes of their answers and of their exceptions."""
import gc
import signal
import threading
import unittest

import nearmiss as nm
import numpy as np


def recorded(seed=3, seconds=5):
    return nm.simulate(nm.builtin("highway:lanes=3,density=20", seed), seconds, seed=seed).scene


def straight(seen):
    """Keeps velocity: a trajectory of two points."""
    p, v = seen.ego.rear_axle, seen.ego.speed
    end = (p.x + 2 * v * np.cos(p.heading), p.y + 2 * v * np.sin(p.heading))
    return np.array([[0, *p, v], [2, *end, p.heading, v]])


class Planners(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scene = recorded()

    def test_same_as_the_built_in_one(self):
        """constant_velocity in C and in Python drive the same, to rounding."""
        ours = nm.evaluate(straight, self.scene, perfect=True, keep=True)[0]
        theirs = nm.evaluate("constant_velocity", self.scene, perfect=True, keep=True)[0]
        self.assertEqual((ours.outcome, theirs.outcome), ("done", "done"))
        self.assertEqual(ours.ego_track, theirs.ego_track)
        self.assertLess(np.abs(ours.scene.x - theirs.scene.x)[ours.ego_track].max(), 0.05)
        self.assertAlmostEqual(ours.score, theirs.score, places=2)
        self.assertEqual(ours.metrics.keys(), theirs.metrics.keys())
        self.assertIn("no_ego_at_fault_collisions", ours.metrics)
        self.assertIn("sweep_ttc_s", ours.danger)
        self.assertFalse(any(np.isnan(value) for value in ours.danger.values()))

    def test_repeats(self):
        one, two = (nm.evaluate(straight, self.scene, keep=True)[0] for _ in range(2))
        self.assertEqual(one.scene.hash, two.scene.hash)
        self.assertEqual(one.score, two.score)

    def test_observation(self):
        checks = []
        scene = self.scene

        def look(seen):
            e = seen.ego
            step = seen.step
            checks.append(step)
            if step == 0:
                at = scene.ego, 0
                self.assertAlmostEqual(e.box_centre.x, scene.x[at], places=3)
                self.assertAlmostEqual(e.box_centre.heading, scene.heading[at], places=5)
                others = [k for k in range(scene.track_count) if scene.valid[k, 0] and k != scene.ego]
                self.assertEqual(seen.agents.track.tolist(), others)
                self.assertTrue(np.allclose(seen.agents.history.x[:, -1], scene.x[others, 0], atol=1e-4))
                self.assertEqual(seen.agents.type.tolist(), scene.types[others].tolist())
                self.assertFalse(seen.agents.track.flags.writeable)
                self.assertEqual(seen.agents.history.x.shape, (len(others), 5))
                self.assertEqual(seen.ego_history.x.shape, (1, 5))
                lane = seen.map.lanes[0]
                line = seen.map.centre[lane["first_point"]: lane["first_point"] + lane["point_count"]]
                self.assertTrue(np.allclose(line, scene.map.lane(int(lane["id"]))))
                self.assertGreater(len(seen.route.points), 10)
                self.assertLess(np.abs(np.hypot(*np.diff(seen.route.points, axis=0).T)[:-1] - 1).max(), 0.05)
                self.assertGreater(seen.route.goal, 0)
                self.assertIn("count", dir(seen.agents.__class__) + list(seen.agents.__dict__))
                with self.assertRaises(AttributeError):
                    seen.agents.colour
            dx = e.box_centre.x - e.rear_axle.x
            self.assertAlmostEqual(abs(dx), e.rear_axle_to_box_centre * abs(np.cos(e.rear_axle.heading)), places=2)
            return nm.Control(0.0)

        episode = nm.evaluate(look, scene, history=5, map_radius=150)[0]
        self.assertEqual(episode.reason, "")
        self.assertEqual(checks, list(range(len(checks))))
        self.assertGreater(len(checks), 30)

    def test_what_is_kept_does_not_dangle(self):
        kept = []

        def keep(seen):
            kept.append((seen, seen.agents.history.x, seen.map.centre, seen.route))
            return nm.Control(0.0)

        nm.evaluate(keep, self.scene)
        gc.collect()
        seen, x, centre, route = kept[0]
        self.assertTrue(np.isfinite(x).all() and np.isfinite(centre).all())  # outdated, never gone
        with self.assertRaisesRegex(nm.Error, "is gone"):
            route.points  # was never read
        with self.assertRaisesRegex(nm.Error, "is gone"):
            seen.agents.length

    def test_exceptions_cost_their_scene_only(self):
        def moody(seen):
            if seen.step == 7 and moody.calls == 0:
                moody.calls += 1
                return {}["nothing"]
            return nm.Control(0.0)

        moody.calls = 0
        first, second = nm.evaluate(moody, [self.scene, self.scene])
        self.assertEqual((first.outcome, second.outcome), ("failed", "done"))
        self.assertIn("KeyError: 'nothing' (test_planner.py:", first.reason)
        self.assertIn("step 7", first.reason)
        self.assertIn("Traceback (most recent call last)", first.traceback)
        self.assertEqual(first.score, 0.0)
        self.assertIsNone(second.traceback)

    def test_objects(self):
        calls = []

        class Mine:
            def begin(self, scenario):
                calls.append(("begin", scenario["ego_track"], scenario["step_count"]))

            def plan(self, seen):
                return nm.Control(-1.0, curvature=0.0)

            def end(self):
                calls.append("end")

        nm.evaluate(Mine(), [self.scene, self.scene], seconds=2)
        self.assertEqual(calls, [("begin", self.scene.ego, 20), "end"] * 2)

        class Bad(Mine):
            def begin(self, scenario):
                raise ValueError("no road")

        self.assertIn("no road", nm.evaluate(Bad(), self.scene)[0].reason)

    def test_answers_that_make_no_sense(self):
        nan = float("nan")
        for answer, words in ((None, "a planner answers with"), (np.zeros((1, 5)), "a planner answers with"),
                              (np.zeros((600, 5)), "a planner answers with"), (np.zeros((3, 4)), "a planner answers with"),
                              (nm.Control(nan), "planner"), (nm.Control(0, 0, 0), "not both"), ("left", "could not convert"),
                              (np.zeros((3, 5)), "planner")):
            episode = nm.evaluate(lambda seen: answer, self.scene)[0]
            self.assertEqual(episode.outcome, "failed")
            self.assertIn(words, episode.reason)

    def test_steering(self):
        episode = nm.evaluate(lambda seen: nm.Control(0.0, steering_rate=0.02), self.scene, keep=True)[0]
        ego = episode.scene.y[episode.ego_track][episode.scene.valid[episode.ego_track]]
        self.assertGreater(ego[-1] - ego[0], 1.0)  # to the left of a road to the east

    def test_interrupts_come_through(self):
        def slow(seen):
            if seen.step == 3:
                signal.raise_signal(signal.SIGINT)
            return nm.Control(0.0)

        with self.assertRaises(KeyboardInterrupt):
            nm.evaluate(slow, [self.scene, self.scene])

        def by_itself(*_):  # a signal that comes while a built-in planner drives is seen by the library's question
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, by_itself)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with self.assertRaises(KeyboardInterrupt):
                nm.evaluate("pdm", [self.scene] * 100000)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        def leave(seen):
            raise SystemExit(3)

        with self.assertRaises(SystemExit):
            nm.evaluate(leave, self.scene)

    def test_unfit_scenes(self):
        episode = nm.evaluate(straight, nm.builtin("highway", 1))[0]  # one step: nothing recorded to drive along
        self.assertEqual(episode.outcome, "unfit")
        self.assertIsNone(episode.traceback)

    def test_two_threads(self):
        results, alone = [None, None], nm.evaluate(straight, self.scene)[0].score

        def work(i):
            results[i] = nm.evaluate(straight, [self.scene] * 2)[1].score

        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(results, [alone, alone])

    def test_refusals(self):
        for bad in (lambda: nm.evaluate(3, self.scene), lambda: nm.evaluate(straight, self.scene, agents="nobody"),
                    lambda: nm.evaluate(straight, self.scene, agents="nexus"),
                    lambda: nm.evaluate(straight, self.scene, history=0)):
            with self.assertRaises(ValueError):
                bad()
        with self.assertRaises(nm.Error) as caught:
            nm.evaluate("no_such_planner", self.scene)
        self.assertEqual(caught.exception.code, "NM_E_NOT_FOUND")
        with self.assertRaises(nm.Error):
            nm.evaluate(straight, self.scene, seconds=1e9)


if __name__ == "__main__":
    unittest.main()
