"""Scenes, maps and stores: views that are not copies, do not dangle and can not be written; searches as the program's."""
import gc
import os
import sqlite3
import unittest

import nearmiss as nm
import numpy as np
from support import Folder, child, program


class Scenes(unittest.TestCase):
    def setUp(self):
        self.scene = nm.simulate(nm.builtin("junction_signal:density=20", 3), 2, seed=5).scene

    def test_arrays_are_views(self):
        s = self.scene
        for name in ("x", "y", "z", "heading", "vx", "vy", "valid"):
            array = getattr(s, name)
            self.assertEqual(array.shape, (s.track_count, s.step_count))
            self.assertFalse(array.flags.writeable)
            with self.assertRaises(ValueError):
                array[0, 0] = 1
            with self.assertRaises(ValueError):
                array.flags.writeable = True
            self.assertTrue(np.shares_memory(array, getattr(s, name)))
        self.assertEqual(s.x.ctypes.data, s._raw.x)  # the library's memory itself
        self.assertEqual(s.valid.dtype, np.bool_)
        self.assertEqual(s.step_count, 21)

    def test_arrays_keep_the_scene(self):
        x, lanes, centre = self.scene.x, self.scene.map.lanes, self.scene.map.centre
        before = x.copy(), lanes["length"].copy(), centre.copy()
        del self.scene
        gc.collect()
        junk = [nm.builtin("highway:density=30", i) for i in range(20)]  # memory that was freed would be used again
        self.assertTrue(np.array_equal(x, before[0]) and np.array_equal(centre, before[2]))
        self.assertTrue(np.array_equal(lanes["length"], before[1]))
        del junk

    def test_a_map_outlives_its_scene(self):
        road = self.scene.map
        del self.scene
        gc.collect()
        self.assertGreater(len(road.polylines()), 5)

    def test_states_make_sense(self):
        s = self.scene
        both = s.valid[:, 1:] & s.valid[:, :-1]
        moved = np.hypot(np.diff(s.x), np.diff(s.y))[both]
        speed = np.hypot(s.vx, s.vy)[:, 1:][both]
        self.assertLess(np.abs(moved / s.dt - speed).max(), 1.5)
        self.assertTrue((s.x[~s.valid] == 0).all())
        self.assertEqual(s.tracks["flags"][s.ego] & 2, 2)
        self.assertEqual(nm.AGENT_TYPES[s.types[s.ego]], "car")

    def test_map_fits_together(self):
        m = self.scene.map
        for i in range(len(m.lanes)):
            line, (left, right) = m.lane(i), m.borders(i)
            self.assertEqual(line.shape, left.shape)
            length = np.hypot(*np.diff(line, axis=0).T).sum()
            self.assertAlmostEqual(length, m.lanes[i]["length"], delta=0.01)
            self.assertLess(np.abs((left + right) / 2 - line).max(), 0.5)
            for after in m.successors(i):
                self.assertLess(np.hypot(*(m.lane(int(after))[0] - line[-1])), 0.5)
        low, high = m.bounds
        self.assertTrue((m.centre >= low - 0.01).all() and (m.centre <= high + 0.01).all())
        self.assertGreater(len(m.signals), 0)
        self.assertIn(self.scene.signal(0, 5), nm.SIGNAL_STATES)
        with self.assertRaises(IndexError):
            self.scene.signal(len(m.signals), 0)
        self.assertGreater(len(m.areas), 0)
        self.assertGreater(len(m.stop_lines), 0)

    def test_provenance_and_hash(self):
        p = self.scene.provenance
        self.assertEqual((p["source"], p["seed"]), ("simulate", 5))
        self.assertEqual(p["parent"], nm.builtin("junction_signal:density=20", 3).hash)
        self.assertEqual(p["parameters"]["steps"], 20)

    def test_resample(self):
        half = self.scene.resample(0.2)
        self.assertEqual(half.step_count, 11)
        self.assertTrue(np.array_equal(half.x[:, 3][half.valid[:, 3]], self.scene.x[:, 6][half.valid[:, 3]]))
        with self.assertRaises(nm.Error) as caught:
            self.scene.resample(-1)
        self.assertEqual(caught.exception.code, "NM_E_ARGUMENT")

    def test_bad_road(self):
        with self.assertRaisesRegex(nm.Error, "highway"):
            nm.builtin("motorway")


class Stores(Folder, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = str(cls.folder / "s.db")
        program("simulate", "--map", "junction_all_way:density=60", "--planner", "constant_velocity", "--agents", "constant_velocity", "--count", "3",
                "--seed", "7", "--store", cls.path)
        program("mine", "--store", cls.path)

    def test_find_is_the_programs(self):
        with nm.open(self.path) as store:
            for arguments, conditions in ((["--kind", "collision"], {"kind": "collision"}),
                                          (["--where", "min_ttc_s < 1"], {"where": "min_ttc_s < 1"}),
                                          (["--ttc", "0:1.5"], {"ttc": (0, 1.5)}),
                                          (["--like", "1"], {"like": 1})):
                theirs = program("find", "--store", self.path, "--limit", "7", *arguments)
                ours = store.find(**conditions, limit=7)
                rows = next(v for v in theirs.values() if isinstance(v, list))
                self.assertGreater(len(rows), 0)
                self.assertEqual([(r["scene"], r["event"], r["kind"]) for r in rows], [(h.scene, h.event, h.kind) for h in ours])
                self.assertEqual(len(ours.array), len(ours))

    def test_numbers_are_the_files(self):
        with nm.open(self.path) as store, sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            hit = store.find(kind="collision", limit=1)[0]
            row = db.execute("SELECT critical_step, actor_track, min_distance_m, severity FROM events WHERE event = ?",
                             (hit.event,)).fetchone()
            self.assertEqual((hit.step, hit.actor), row[:2])
            self.assertAlmostEqual(hit.severity, row[3], places=6)
            self.assertEqual(len(store), db.execute("SELECT count(*) FROM scene").fetchone()[0])
            self.assertEqual(store.ids.tolist(), [r[0] for r in db.execute("SELECT id FROM scene ORDER BY id")])
            events = store.events(hit.scene)
            self.assertEqual(len(events), db.execute("SELECT count(*) FROM event WHERE scene = ?", (hit.scene,)).fetchone()[0])
            self.assertTrue((np.diff(events["severity"]) <= 0).all())

    def test_detectors_find_the_same(self):
        with nm.open(self.path) as store:
            stored = store.events(1)
            found = store.scene(1).events()
            self.assertEqual(sorted(stored["kind"].tolist()), sorted(found["kind"].tolist()))

    def test_put_and_get(self):
        path = str(self.folder / "put.db")
        with nm.open(self.path) as store:
            scene = store.scene(2)
        with nm.open(path, "a") as mine:
            id = mine.put(scene)
            self.assertEqual(mine.put(scene), id)  # not twice
            self.assertEqual(mine.scene(id).hash, scene.hash)
            self.assertTrue(np.array_equal(mine[id].x, scene.x))
            mine.delete(id)
            self.assertEqual(len(mine), 0)
        self.assertEqual(scene.x.shape[0], scene.track_count)  # its store is closed

    def test_bad_questions(self):
        with nm.open(self.path) as store:
            with self.assertRaises(ValueError):
                store.find(kind="cut-in")
            with self.assertRaises(nm.Error) as caught:
                store.find(where="DELETE FROM scene")
            self.assertEqual(caught.exception.code, "NM_E_ARGUMENT")
            with self.assertRaises(nm.Error) as caught:
                store.scene(999)
            self.assertEqual(caught.exception.code, "NM_E_NOT_FOUND")
            with self.assertRaises(nm.Error):
                store.put(store.scene(1).resample(0.2))  # opened for reading
            self.assertIsNone(store.generated(1))
        with self.assertRaises(ValueError):
            nm.open(self.path, "rw")

    def test_closed(self):
        store = nm.open(self.path)
        store.close()
        store.close()
        for use in (lambda: store.ids, lambda: store.find(), lambda: store.scene(1), lambda: len(store)):
            with self.assertRaisesRegex(nm.Error, "store is closed"):
                use()

    def test_fork(self):
        code = f"""
import os, sys, nearmiss as nm
store = nm.open({self.path!r}); writer = nm.open({self.path!r}, "w"); scene = store.scene(1); env = nm.VectorEnv(scene, 2, threads=2); env.reset(seed=1)
pid = os.fork()
if pid == 0:
    words = []
    for use in (lambda: writer.ids, lambda: env.reset(seed=1)):
        try: use()
        except nm.Error as error: words.append('fork' in str(error))
    ok = words == [True, True] and scene.x.sum() != 0 and len(store) == 3 and store.scene(1).hash == scene.hash
    store.close(); writer.close(); env.close()
    os._exit(0 if ok else 1)
status = os.waitpid(pid, 0)[1]
env.step([[0, 0], [0, 0]]); print(len(store), len(writer), status)
"""
        done = child(code)
        self.assertEqual(done.stdout.split(), ["3", "3", "0"], done.stderr)

    def test_threads_wait_for_each_other(self):
        import threading

        failures = []
        with nm.open(self.path) as store:
            def work():
                try:
                    for _ in range(30):
                        store.find(kind="collision", limit=3)
                        store.scene(1)
                except BaseException as problem:
                    failures.append(problem)

            threads = [threading.Thread(target=work) for _ in range(4)]
            [t.start() for t in threads]
            [t.join() for t in threads]
        self.assertEqual(failures, [])

    def test_export_in_all_formats(self):
        """With the real program; what is read back has the scenes' tracks."""
        readable = {"womd": "*.tfrecord", "commonroad": "*.xml", "csv": "*.csv", "nearmiss": "*.tfrecord"}
        with nm.open(self.path) as store:
            tracks = sorted(s.track_count for s in store)
            more = {"commonroad": ("--ego", "recorded"), "osi-complete": ("--limit", "1")}  # the ego, too; not 200 MB
            for name in ("womd", "womd-example", "osi", "osi-complete", "openscenario", "opendrive", "commonroad", "nearmiss", "csv"):
                out = self.folder / f"out {name}"
                count = 1 if name == "osi-complete" else len(store)
                self.assertIn(f"{count} scenes in", store.export(name, out, None, *more.get(name, ())), name)
                self.assertTrue((out / "manifest.json").exists() and (out / "SHA256SUMS").exists(), name)
                if name in readable:
                    again = self.folder / f"{name}.db"
                    program("import", *map(str, sorted(out.glob(readable[name]))), "--store", str(again))
                    with nm.open(again) as back:
                        self.assertEqual(sorted(s.track_count for s in back), tracks, name)
            with self.assertRaisesRegex(nm.Error, "holds an export"):
                store.export("csv", self.folder / "out csv")
            self.assertIn("scenes in 2 files", store.export("csv", self.folder / "out csv", None, "--overwrite", "--shards", "2"))

    def test_export_says_what_is_wrong(self):
        here = os.getcwd()
        os.chdir(self.folder)
        try:
            with nm.open(os.path.relpath(self.path)) as store:
                os.chdir("/")  # the store is the one that was opened
                self.assertIn("scenes in", store.export("csv", self.folder / "elsewhere"))
                for bad, words in ((("xls", "o"), "there is no format 'xls'"), (("csv", "o", "min_ttc_s <"), "--where"), (("csv", "o", ""), "--where")):
                    with self.assertRaisesRegex(nm.Error, words) as caught:
                        store.export(bad[0], self.folder / bad[1], *bad[2:])
                    self.assertEqual(caught.exception.code, "NM_E_ARGUMENT")
                    self.assertFalse((self.folder / "o").exists())
        finally:
            os.chdir(here)

    def test_numbers_and_texts_are_not_cut_off(self):
        with nm.open(self.path) as store:
            first = int(store.ids[0])
            for bad in (2**64 + first, first + 0.5, str(first), None):
                for use in (store.scene, store.events, store.generated, lambda id: store.find(like=id if id is not None else 0.5)):
                    with self.assertRaises(ValueError):
                        use(bad)
            with self.assertRaises(nm.Error):
                store.find(like=0)
            for bad in (dict(kind="cut_in\0x"), dict(where="1\0x"), dict(text="a\0b"), dict(where=1), dict(seconds=-1), dict(seconds=float("nan"))):
                with self.assertRaises(ValueError, msg=str(bad)):
                    store.find(**bad)
            with self.assertRaisesRegex(ValueError, "holds scenes"):
                store.put(5)
        with self.assertRaisesRegex(ValueError, "zero in it"):
            nm.open(str(self.path) + "\0x")
        with self.assertRaisesRegex(ValueError, "zero in it"):
            nm.builtin("highway\0x")


if __name__ == "__main__":
    unittest.main()
