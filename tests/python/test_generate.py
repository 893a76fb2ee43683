"""Corner cases from Python are those of `nearmiss generate`."""
import pathlib
import signal
import sqlite3
import unittest

import nearmiss as nm
from support import Folder, child, program


class Generate(Folder, unittest.TestCase):
    def test_the_programs_set(self):
        path = str(self.folder / "theirs.db")
        program("generate", "--kind", "cut_in", "--kind", "hard_brake", "--param", "gap=3:9", "--count", "3", "--seed", "5",
                "--map", "all", "--store", path)
        ours = nm.generate(["cut_in", "hard_brake"], 3, seed=5, params={"gap": (3, 9)})
        with nm.open(path) as store:
            theirs = [store.scene(i) for i in store.ids]
            about = [store.generated(int(i)) for i in store.ids]
        self.assertEqual([c.scene.hash for c in ours], [s.hash for s in theirs])
        self.assertEqual([(c.kind, c.severity, c.achieved) for c in ours],
                         [(a["kind"], a["severity"], a["achieved"]) for a in about])

    def test_the_same_for_any_number_of_threads(self):
        sets = [nm.generate("rear_end", 3, seed=2, maps="highway:density=15", threads=t) for t in (1, 2)]
        self.assertEqual([c.scene.hash for c in sets[0]], [c.scene.hash for c in sets[1]])
        self.assertNotEqual(sets[0][0].scene.hash, sets[0][1].scene.hash)

    def test_into_a_store(self):
        path = self.folder / "mine.db"
        asked = dict(seed=3, maps="highway:density=15", severity="collision", params={"gap": 6.0})
        rounds = []
        with nm.open(path, "a") as store:
            made = nm.generate("cut_in", 2, into=store, progress=lambda kept, hours: rounds.append(kept), **asked)
            self.assertEqual(len(made), 2)
            self.assertEqual(made.ids, store.ids.tolist())
            for case in made:
                self.assertEqual((case.kind, case.severity, case.generator), ("cut_in", "collision", "manoeuvre"))
                self.assertAlmostEqual(case.achieved["gap"], 6.0, delta=0.5)
                self.assertIn("cut_in", [nm.KINDS[k] for k in case.events["kind"]])
                self.assertTrue((case.scene.tracks["flags"] & 16).any())  # an adversary
            self.assertGreater(len(rounds), 0)
            again = nm.generate("cut_in", 2, into=store, **asked)  # finished: nothing to do
            self.assertEqual(again.ids, made.ids)
            more = nm.generate("cut_in", 2, into=store, **{**asked, "seed": 4})
            self.assertEqual(len(store), 4)
            self.assertFalse(set(more.ids) & set(made.ids))
        by_path = nm.generate("cut_in", 2, into=path, **asked)
        self.assertEqual(by_path.ids, made.ids)
        self.assertEqual(sum(y["kept"] for y in by_path.yields), 2)

    def test_from_scenes(self):
        source = nm.simulate(nm.builtin("highway:density=20", 1), 5, seed=1).scene
        made = nm.generate("hard_brake", 2, scenes=[source])
        self.assertTrue(all(c.scene.provenance["parent"] == source.hash for c in made))
        self.assertTrue(all(c.scene.map.hash == source.map.hash for c in made))

    def test_kinds(self):
        table = nm.kinds()
        self.assertIn("cut_in", table)
        self.assertNotIn("near_miss", table)  # an outcome, no manoeuvre
        self.assertEqual(table["cut_in"]["params"]["gap"]["unit"], "m")
        low, high = table["cut_in"]["params"]["gap"]["bounds"]
        self.assertLess(low, high)

    def test_all_kinds_that_a_road_can_hold(self):
        made = nm.generate("all", 1, maps="highway:lanes=2,density=15", severity="near_miss", seed=1)
        kinds = {c.kind for c in made}
        self.assertIn("cut_in", kinds)
        self.assertNotIn("unprotected_left_turn", {y["kind"] for y in made.yields})
        self.assertTrue(all(c.severity == "near_miss" for c in made))

    def test_refusals(self):
        cases = ((ValueError, dict(kinds="cutin")), (ValueError, dict(kinds="cut_in", severity="bad")),
                 (ValueError, dict(kinds="cut_in", params={"gapp": 3})), (ValueError, dict(kinds="cut_in", count=0)),
                 (ValueError, dict(kinds="cut_in", generator="magic")),
                 (nm.Error, dict(kinds="cut_in", generator="diffusion", model="/no/such.safetensors")),
                 (ValueError, dict(kinds="cut_in", maps=[], scenes=[])), (ValueError, dict(kinds="cut_in", sampling="x")),
                 (nm.Error, dict(kinds="cut_in", params={"gap": (5, 3)})), (nm.Error, dict(kinds="near_miss")),
                 (nm.Error, dict(kinds="red_light_runner", maps="highway")), (nm.Error, dict(kinds="cut_in", seconds=1000)))
        for error, arguments in cases:
            with self.assertRaises(error, msg=str(arguments)):
                nm.generate(**{"count": 1, **arguments})

    def test_mine_has_nothing_to_do(self):
        path = str(self.folder / "mined.db")
        nm.generate("cut_in", 2, seed=1, maps="highway:density=15", into=path)
        done = program("mine", "--store", path)
        self.assertEqual((done["scenes_mined"], done["scenes_mined_before"]), (0, 2))

    def test_diffusion_with_the_weights_that_come_along(self):
        path = self.folder / "d.db"
        asked = dict(kinds="cut_in", count=1, seed=1, generator="diffusion", maps="highway:density=15", into=path)
        made = nm.generate(**asked)
        self.assertEqual([c.generator for c in made], ["diffusion"])
        copy = self.folder / "copy.safetensors"  # the same weights in another place make the same set
        copy.write_bytes(pathlib.Path(nm.shipped_model()).read_bytes())
        self.assertEqual(nm.generate(**asked, model=copy).ids, made.ids)
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM generation").fetchone()[0], 1)

    def test_weights_that_are_not_there(self):
        code = "import nearmiss as nm; nm.generate('cut_in', 1, generator='diffusion')"
        done = child(code, NEARMISS_MODEL="/no/such.safetensors")
        self.assertIn("/no/such.safetensors", done.stderr)
        self.assertIn("nearmiss._abi.Error", done.stderr)

    def test_a_callback_may_not_use_the_store(self):
        with nm.open(self.folder / "busy.db", "a") as store:
            for seed, use in enumerate((lambda *_: len(store), lambda *_: store.close())):
                with self.assertRaisesRegex(nm.Error, "calling back"):
                    nm.generate("cut_in", 2, seed=seed, maps="highway:density=15", into=store, progress=use)
            self.assertGreaterEqual(len(store), 0)  # and it is good for more

    def test_interrupts_come_through(self):
        def progress(kept, hours):
            signal.raise_signal(signal.SIGINT)

        with self.assertRaises(KeyboardInterrupt):
            nm.generate("cut_in", 500, maps="highway:density=15", progress=progress)

        def broken(kept, hours):
            raise RuntimeError("mine")

        with self.assertRaisesRegex(RuntimeError, "mine"):
            nm.generate("cut_in", 500, maps="highway:density=15", progress=broken)

    def test_memory_and_store_hold_the_same(self):
        asked = dict(seed=9, maps="highway:density=15")
        in_memory = nm.generate("tailgate", 2, **asked)
        with nm.open(self.folder / "t.db", "a") as store:
            stored = nm.generate("tailgate", 2, into=store, **asked)
            for a, b in zip(in_memory, stored):
                self.assertEqual(a.scene.hash, b.scene.hash)
                self.assertEqual(a.events.tobytes(), b.events.tobytes())
                self.assertIsNone(a.id)
        with sqlite3.connect(f"file:{self.folder / 't.db'}?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM generation WHERE finished_utc IS NULL").fetchone()[0], 0)


if __name__ == "__main__":
    unittest.main()
