"""Other processes, as data loaders start them: what can be pickled, what goes on after a fork, what says that it does not."""
import copy
import multiprocessing
import pickle
import threading
import time
import unittest

import nearmiss as nm
import numpy as np
from support import Folder, child


class Tracks:
    """A data set as for torch.utils.data.DataLoader."""

    def __init__(self, path):
        self.store = nm.open(path)
        self.ids = self.store.ids

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        scene = self.store.scene(self.ids[index])
        return float(scene.x.sum()), scene


def look(data, index):
    """In a worker."""
    return data[index]


def in_a_thread(data, results):
    results.put([data[i][0] for i in range(len(data))])


class Processes(Folder, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = str(cls.folder / "s.db")
        cls.cases = nm.generate("cut_in", 3, seed=1, maps="highway:density=15", into=cls.path)

    def test_workers(self):
        data = Tracks(self.path)
        sums = [data[i][0] for i in range(len(data))]
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(1, initializer=int) as pool:
                found = pool.starmap(look, [(data, i) for i in range(len(data))])
            self.assertEqual([s for s, _ in found], sums, method)
            self.assertEqual([scene.hash for _, scene in found], [c.scene.hash for c in self.cases], method)
        # forked while another thread is in the store: its lock is held for ever in the child
        results = multiprocessing.get_context("fork").Queue()
        with data.store._handle.lock:
            forked = multiprocessing.get_context("fork").Process(target=in_a_thread, args=(data, results))
            forked.start()
        self.assertEqual(results.get(timeout=60), sums)
        forked.join()
        self.assertEqual(forked.exitcode, 0)
        self.assertEqual(len(data.store), 3)  # and the parent's is its own

    def test_scenes_are_the_same(self):
        one, other = self.cases[0].scene, self.cases[1].scene
        back, second = pickle.loads(pickle.dumps([one, other]))
        self.assertEqual((back.hash, back.provenance, back.tags, back.ego), (one.hash, one.provenance, one.tags, one.ego))
        for name in ("x", "heading", "valid", "tracks"):
            self.assertEqual(getattr(back, name).tobytes(), getattr(one, name).tobytes())
        self.assertEqual(second.hash, other.hash)
        again = pickle.loads(pickle.dumps(one))
        self.assertEqual(again._raw.map, back._raw.map)  # scenes on one map share it, as before
        self.assertTrue(np.array_equal(pickle.loads(pickle.dumps(one.map)).centre, one.map.centre))
        self.assertIs(copy.deepcopy(one), one)  # it is constant
        self.assertIs(copy.copy(one.map), one.map)

    def test_bytes_that_are_none(self):
        good = pickle.dumps(self.cases[0].scene)
        make, (on, data) = self.cases[0].scene.__reduce__()
        for bad in (data[:-3], data[:40], b"", b"\xff" * len(data)):
            with self.assertRaises(nm.Error, msg=len(bad)):
                make(on, bad)
        with self.assertRaises(nm.Error):
            make(nm.builtin("junction_signal", 1).map, data)  # of another road
        with self.assertRaises(Exception):
            pickle.loads(good[:-10])

    def test_results(self):
        found = nm.open(self.path).find(limit=0)
        self.assertEqual(pickle.loads(pickle.dumps(found)).array.tobytes(), found.array.tobytes())
        again = pickle.loads(pickle.dumps(self.cases))
        self.assertEqual(([c.scene.hash for c in again], again.yields), ([c.scene.hash for c in self.cases], self.cases.yields))
        episode = nm.evaluate("idm", self.cases[0].scene, seconds=1, keep=True)[0]
        self.assertEqual(pickle.loads(pickle.dumps(episode)).scene.hash, episode.scene.hash)
        error = pickle.loads(pickle.dumps(nm.Error("NM_E_IO", "no", "a.db", 3)))
        self.assertEqual((error.code, error.message, error.input, error.line), ("NM_E_IO", "no", "a.db", 3))

    def test_what_can_not_be(self):
        closed = nm.open(self.path)
        closed.close()
        with nm.open(self.path, "w") as writer, nm.VectorEnv("highway", 1) as env:
            for thing in (writer, closed, env, nm.World(self.cases[0].scene)):
                for way in (pickle.dumps, copy.copy, copy.deepcopy):
                    with self.assertRaisesRegex(TypeError, "can neither be pickled nor copied: (open|make) it"):
                        way(thing)

    def test_slices(self):
        found = nm.open(self.path).find(limit=0)
        self.assertEqual([h.event for h in found[1:3]], [h.event for h in found][1:3])
        self.assertEqual([c.id for c in self.cases[::-1]], self.cases.ids[::-1])
        self.assertEqual(self.cases[np.int64(-1)].id, self.cases.ids[-1])
        for bad in ("a", 1.5, None):
            with self.assertRaises(ValueError):
                self.cases[bad]
            with self.assertRaises(ValueError):
                found[bad]

    def test_in(self):
        with nm.open(self.path) as store:
            self.assertTrue(self.cases.ids[0] in store and self.cases[0].scene in store and np.int64(self.cases.ids[1]) in store)
            for other in (0, 1 << 70, "1", None, nm.builtin("highway", 1)):
                self.assertNotIn(other, store)

    def test_interrupts_from_outside(self):
        """Ctrl-C while the library works: within a second or so, and the store is whole."""
        jobs = {"nm.generate('cut_in', 100000, maps='highway:density=15', into='c.db', threads=2)": "cases",
                "env.run(np.zeros((4, 2)), 1 << 31)": "steps"}
        for job, what in jobs.items():
            code = ("import os, signal, sys, threading, time, numpy as np, nearmiss as nm\n"
                    f"os.chdir({str(self.folder)!r}); env = nm.VectorEnv('highway', 4, threads=1); env.reset(seed=1)\n"
                    "def press():\n    time.sleep(0.3); began.append(time.time()); os.kill(os.getpid(), signal.SIGINT)\n"
                    "began = []; threading.Thread(target=press, daemon=True).start()\n"
                    f"try: {job}\n"
                    "except KeyboardInterrupt: print('stopped', time.time() - began[0] < 30)")
            self.assertEqual(child(code).stdout.split(), ["stopped", "True"], what)
        with nm.open(self.folder / "c.db") as store:
            self.assertTrue(all(store.generated(int(i)) for i in store.ids))

    def test_other_threads_go_on(self):
        """The GIL is released: a thread counts while one call lasts."""
        counted, over = [0], threading.Event()

        def count():
            while not over.wait(0.001):
                counted[0] += 1

        with nm.VectorEnv("junction_signal:density=30", 16, threads=1) as env:
            env.reset(seed=0)
            thread = threading.Thread(target=count)
            thread.start()
            try:
                began = time.perf_counter()
                env.run(np.zeros((16, 2)), 1500)
                lasted, ticks = time.perf_counter() - began, counted[0]
            finally:
                over.set()
                thread.join()
        self.assertGreater(ticks, 3, f"in {lasted:.2f} s")


if __name__ == "__main__":
    unittest.main()
