"""The vector environment from Python: Gymnasium's interface, arrays that stay, the program's bits."""
import gc
import threading
import unittest

import nearmiss as nm
import numpy as np
from support import Folder, program

try:
    import gymnasium
except ImportError:
    gymnasium = None

ROAD = "junction_signal:density=30"


class VectorEnv(unittest.TestCase):
    def test_worlds_are_the_programs(self):
        theirs = program("simulate", "--map", ROAD, "--seconds", "5", "--seed", "21", "--count", "4", "--no-save")["rows"]
        for threads in (1, 2):
            with nm.VectorEnv(ROAD, 4, seed=21, action="none", shuffle=False, end_off_road=False, end_on_collision=False,
                              threads=threads) as env:
                env.reset(seed=21)
                for _ in range(50):
                    env.step()
                self.assertEqual([f"{h:016x}" for h in env.hashes()], [row["hash"] for row in theirs])

    def test_worlds_are_those_driven_by_hand(self):
        road = nm.builtin(ROAD, 2)
        with nm.VectorEnv(road, 2, action="waypoint", end_off_road=False, end_on_collision=False) as env:
            env.reset(seed=6)
            worlds = [nm.World(road, ego="external", seed=6 + e) for e in range(2)]
            for step in range(20):
                actions = np.array([[0.5 + 0.02 * step, 0.01, 0.003], [0.8, 0.0, 0.0]], np.float32)
                for world, (ahead, left, turn) in zip(worlds, actions):
                    slot = world.slot_of[road.ego]
                    heading = world.heading[slot]
                    c, s = np.cos(heading), np.sin(heading)
                    world.place(road.ego, float(world.x[slot] + c * ahead - s * left),
                                float(world.y[slot] + s * ahead + c * left), float(heading + turn),
                                float(np.hypot(ahead, left) * 10))
                    world.step()
                env.step(actions)
                for e, world in enumerate(worlds):
                    state = env.states(e)
                    self.assertEqual(state["track"].tolist(), world.track.tolist())
                    self.assertTrue(np.allclose(state["x"], world.x, atol=2e-3))
                    self.assertTrue(np.allclose(state["speed"], world.speed, atol=2e-2))

    def test_an_action_may_be_a_trajectory(self):
        road = nm.builtin(ROAD, 2)
        single = np.zeros((2, 5, 3), np.float32)
        single[..., 0] = np.arange(1, 6) * 0.8  # straight on: the same, one after the other
        with nm.VectorEnv(road, 2, action="waypoint", action_steps=5) as many, nm.VectorEnv(road, 2, action="waypoint") as one:
            self.assertEqual(many.single_action_space.shape, (5, 3))
            self.assertTrue(np.allclose(many.single_action_space.high[4], 5 * one.single_action_space.high))
            many.reset(seed=3)
            one.reset(seed=3)
            progress = np.zeros(2, np.float32)
            for _ in range(5):
                one.step([[0.8, 0, 0]] * 2)
                progress += one.progress
            many.step(single)
            self.assertEqual(many.steps.tolist(), [5, 5])
            self.assertTrue(np.allclose(many.progress, progress, atol=1e-3))
            self.assertTrue(np.allclose(many.observations, one.observations, atol=0.02))
            with self.assertRaisesRegex(ValueError, r"\[2, 5, 3\], not \[2, 3\]"):
                many.step(np.zeros((2, 3)))
        with nm.VectorEnv(road, 2, control="all", action_steps=3) as env:  # steering is held
            env.reset(seed=1)
            env.step(np.zeros((2, env.agents_per_env, 2)))
            self.assertEqual(env.steps.tolist(), [3, 3])

    def test_run_is_steps(self):
        with nm.VectorEnv(ROAD, 3) as env:
            actions = np.full((3, 2), 0.01, np.float32)
            env.reset(seed=1)
            for _ in range(40):
                env.step(actions)
            kept = env.observations.copy(), env.hashes()
            env.reset(seed=1)
            env.run(actions, 40)
            self.assertTrue(np.array_equal(kept[0], env.observations) and np.array_equal(kept[1], env.hashes()))

    def test_shapes_and_arrays(self):
        with nm.VectorEnv("highway:density=20", 5, neighbours=3, lane_points=4, route_points=2, copy=False) as env:
            observations, info = env.reset(seed=1)
            self.assertEqual(observations.shape, (5, env.features))
            self.assertEqual(env.features, sum(r * c for r, c in (p["shape"] for p in env.layout.values())))
            self.assertIs(observations, env.observations)
            same, rewards, terminated, truncated, info = env.step(np.zeros((5, 2), np.float32))
            self.assertIs(same, observations)  # the environment's own: overwritten by the next step
            self.assertEqual((rewards.shape, rewards.dtype), ((5,), np.float32))
            self.assertEqual((terminated.dtype, truncated.dtype), (np.bool_, np.bool_))
            self.assertEqual(set(info), {"events", "progress", "scene", "step", "active"})
            self.assertEqual(env.block("neighbours").shape, (5, 3, 10))
            self.assertTrue(np.shares_memory(env.block("lane"), observations))
            speeds = [env.states(e)["speed"][env.states(e)["track"] == env.tracks()[e, 0]][0] for e in range(5)]
            self.assertTrue(np.allclose(env.column("agent", "speed"), speeds))
            self.assertTrue((env.column("neighbours", "present").sum(axis=1) > 0).all())
        with nm.VectorEnv("highway:density=20", 5) as env:
            first, _ = env.reset(seed=1)
            kept = first.copy()
            second = env.step(np.ones((5, 2)))[0]
            self.assertFalse(np.shares_memory(first, second))
            self.assertTrue(np.array_equal(first, kept))
        self.assertEqual(second.shape[0], 5)

    def test_everybody(self):
        with nm.VectorEnv(ROAD, 3, control="all", max_agents=12, max_steps=50) as env:
            observations, _ = env.reset(seed=2)
            self.assertEqual(observations.shape, (3, 12, env.features))
            self.assertEqual(env.single_action_space.shape, (12, 2))
            self.assertTrue(env.active.all())
            for _ in range(49):
                _, rewards, terminated, truncated, info = env.step(env.action_space.sample() * 0.2)
                self.assertEqual(rewards.shape, (3, 12))
                self.assertTrue((terminated == ~info["active"].any(axis=1)).all())
            self.assertTrue((env.observations[~env.active][:, 0] <= 1).all())

    def test_rewards(self):
        scene = nm.builtin("highway:density=10", 3)
        with nm.VectorEnv(scene, 2, progress_reward=2.0, wrong_way_reward=0.0) as env:
            env.reset(seed=1)
            _, rewards, *_ = env.step(np.zeros((2, 2)))
            self.assertTrue(np.allclose(rewards, 2 * env.progress))
            self.assertTrue((rewards > 1).all())
        with nm.VectorEnv(scene, 2, reward=lambda env: env.column("agent", "speed") * 3) as env:
            env.reset(seed=1)
            _, rewards, *_ = env.step(np.zeros((2, 2)))
            self.assertTrue(np.array_equal(rewards, env.column("agent", "speed") * 3))
        with nm.VectorEnv(scene, 2, reward=lambda env: np.zeros(3)) as env:
            env.reset(seed=1)
            with self.assertRaisesRegex(ValueError, r"\[2\], not \[3\]"):
                env.step(np.zeros((2, 2)))

    def test_off_the_road(self):
        with nm.VectorEnv("highway:density=10", 2) as env:
            env.reset(seed=1)
            for _ in range(60):
                _, rewards, terminated, _, info = env.step([[0.0, 0.3], [0.0, 0.0]])
                if terminated[0]:
                    break
            self.assertTrue(terminated[0] and not terminated[1])
            self.assertTrue(info["events"][0] & nm.OFF_ROAD)
            self.assertLess(rewards[0], -5)
            _, rewards, terminated, _, info = env.step(np.zeros((2, 2)))  # the step that begins the next episode
            self.assertEqual((rewards[0], bool(terminated[0]), info["step"][0]), (0.0, False, 0))

    def test_autoreset_modes(self):
        wild = np.array([[0.0, 0.5], [0.0, 0.0]])
        with nm.VectorEnv("highway:density=10", 2, autoreset="same_step") as env:
            env.reset(seed=1)
            info = {}
            while "final_obs" not in info:
                observations, _, terminated, truncated, info = env.step(wild)
            self.assertTrue(terminated[0] and info["_final_obs"].tolist() == [True, False])
            self.assertEqual(info["final_obs"][0, env.layout["agent"]["columns"].index("off_road")], 1.0)
            self.assertEqual(env.column("agent", "off_road")[0], 0.0)
            self.assertEqual(info["step"][0], 0)
        with nm.VectorEnv("highway:density=10", 2, autoreset="disabled") as env:
            env.reset(seed=1)
            while not env.terminated.any():
                env.step(wild)
            with self.assertRaisesRegex(nm.Error, "environment 0 is over"):
                env.step(wild)
            env.reset(options={"reset_mask": env.terminated})
            env.step(wild)
            self.assertEqual(env.steps[0], 1)
            self.assertGreater(env.steps[1], 1)

    def test_seeds(self):
        with nm.VectorEnv(ROAD, 3, max_steps=20) as env:
            def play(seed):
                env.reset(seed=seed)
                return [env.step(np.zeros((3, 2)))[0].copy() for _ in range(50)]

            one, other, same = play(4), play(5), play(4)
            self.assertTrue(np.array_equal(one, same))
            self.assertFalse(np.array_equal(one, other))
            first = env.reset(seed=4)[0].copy()
            self.assertFalse(np.array_equal(first, env.reset()[0]))  # the next episode of the same seed
            self.assertTrue(np.array_equal(first, env.reset(seed=4)[0]))

    def test_wrong_arguments(self):
        with nm.VectorEnv("highway", 2) as env:
            with self.assertRaises(nm.Error):
                env.step(np.zeros((2, 2)))  # before reset
            for use in (lambda: env.states(0), env.hashes):
                with self.assertRaisesRegex(nm.Error, "before reset"):
                    use()
            env.reset(seed=0)
            for bad in (np.zeros(2), np.zeros((2, 3)), np.zeros((3, 2)), [["a", "b"], ["c", "d"]], np.zeros((2, 2), complex), None):
                with self.assertRaises(ValueError):
                    env.step(bad)
            before = env.hashes()
            with self.assertRaises(nm.Error) as caught:
                env.step([[0, 0], [float("nan"), 0]])
            self.assertEqual(caught.exception.code, "NM_E_NUMERIC")
            self.assertTrue(np.array_equal(before, env.hashes()))
            for bad in (dict(seed=-1), dict(seed="x"), dict(options={"reset_mask": [1, 0]}), dict(options={"reset_mask": np.ones(3, bool)})):
                with self.assertRaises(ValueError):
                    env.reset(**bad)
        for bad in (dict(control="none"), dict(action="jump"), dict(others="external"), dict(num_envs=0), dict(scenes=[]),
                    dict(kind="cut_in"), dict(max_agents=-1), dict(max_steps=1 << 32), dict(threads=1.5), dict(seed=-1), dict(autoreset="x")):
            with self.assertRaises(ValueError, msg=str(bad)):
                nm.VectorEnv(**{"scenes": "highway", "num_envs": 2, **bad})
        for bad in (dict(max_steps=0), dict(action_steps=0), dict(action_steps=101), dict(control="all", max_agents=4097)):
            with self.assertRaises(nm.Error, msg=str(bad)):
                nm.VectorEnv("highway", 2, **bad)

    def test_closed(self):
        env = nm.VectorEnv("highway", 2, copy=False)
        observations, _ = env.reset(seed=0)
        self.assertFalse(env.closed)
        env.close()
        env.close()
        self.assertTrue(env.closed and env.unwrapped is env)
        with self.assertRaises(NotImplementedError):
            env.render()
        for use in (lambda: env.step(np.zeros((2, 2))), lambda: env.reset(), env.hashes, lambda: env.run(np.zeros((2, 2)), 1)):
            with self.assertRaisesRegex(nm.Error, "environment is closed"):
                use()
        self.assertTrue(np.isfinite(observations).all())

    def test_arrays_outlive_the_environment(self):
        observations = nm.VectorEnv("highway", 2, copy=False).reset(seed=0)[0]
        gc.collect()
        self.assertTrue(np.isfinite(observations).all())

    def test_two_threads_do_not_step_one_environment(self):
        codes = []
        with nm.VectorEnv(ROAD, 64) as env:
            env.reset(seed=0)
            actions = np.zeros((64, 2), np.float32)

            def work():
                for _ in range(40):
                    try:
                        env.step(actions)
                    except nm.Error as error:
                        codes.append(error.code)

            threads = [threading.Thread(target=work) for _ in range(2)]
            [t.start() for t in threads]
            [t.join() for t in threads]
        self.assertLessEqual(set(codes), {"NM_E_BUSY"})


class FromStore(Folder, unittest.TestCase):
    def test_a_search_is_where_to_drive(self):
        path = self.folder / "s.db"
        made = nm.generate("cut_in", 2, seed=1, maps="highway:density=15", into=path)
        with nm.open(path) as store:
            with nm.VectorEnv(store, 3, kind="cut_in", others="log", shuffle=False) as env:
                self.assertEqual({s.hash for s in env.scenes}, {c.scene.hash for c in made})
                env.reset(seed=0)
                self.assertEqual(env.scene_index.tolist(), [0, 1, 0])
                for _ in range(3):
                    env.step(np.zeros((3, 2)))
                scene = env.scenes[0]
                state = env.states(0)
                for track, x in zip(state["track"], state["x"]):
                    if track != scene.ego:
                        self.assertEqual(x, scene.x[track, scene.current_step + 3])  # replayed
            with self.assertRaises(ValueError):
                nm.VectorEnv(store, 3, kind="head_on")


@unittest.skipUnless(gymnasium, "gymnasium is not installed")
class WithGymnasium(unittest.TestCase):
    def test_is_one(self):
        with nm.VectorEnv("highway", 2) as env:
            self.assertIsInstance(env, gymnasium.vector.VectorEnv)
            self.assertTrue(env.single_observation_space.contains(env.reset(seed=1)[0][0]))
            self.assertTrue(env.observation_space.contains(env.step(env.action_space.sample())[0]))

    def test_wrappers_take_it(self):
        from gymnasium.wrappers import vector

        with nm.VectorEnv("highway:density=10", 2, max_steps=10) as env:
            wrapped = vector.RecordEpisodeStatistics(vector.NormalizeObservation(vector.ClipAction(env)))
            wrapped.reset(seed=1)
            ended = sum("episode" in wrapped.step(wrapped.action_space.sample())[4] for _ in range(25))
            self.assertGreater(ended, 0)

    def test_the_modes_are_gymnasiums(self):
        from gymnasium.vector import AutoresetMode
        from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

        for mode in AutoresetMode:
            env = nm.VectorEnv("highway:density=10", 2, max_steps=5, autoreset=mode.name.lower())
            self.assertEqual(env.metadata["autoreset_mode"], mode)
            wrapped, ended = DictInfoToList(RecordEpisodeStatistics(env)), 0
            wrapped.reset(seed=1)
            for _ in range(12):
                _, _, terminated, truncated, infos = wrapped.step(np.zeros((2, 2), np.float32))
                over = terminated | truncated
                ended += int(over.sum())
                for info, is_over in zip(infos, over):
                    self.assertEqual("episode" in info, is_over)
                    self.assertEqual("final_obs" in info, is_over and mode == AutoresetMode.SAME_STEP)
                    if "final_info" in info:
                        self.assertEqual(info["final_info"]["progress"], info["progress"])
                if mode == AutoresetMode.DISABLED and over.any():
                    wrapped.reset(options={"reset_mask": over})
            self.assertEqual(ended, 4, mode)
            self.assertFalse(env.closed)
            wrapped.close()
            self.assertTrue(env.closed)

    def test_passes_the_checker(self):
        from gymnasium.utils.env_checker import check_env

        class One(gymnasium.Env):
            """The same with one world, without the dimension of worlds."""

            metadata = {"render_modes": []}

            def __init__(self):
                self.many = nm.VectorEnv("highway:density=20", 1, autoreset="disabled")
                self.observation_space = self.many.single_observation_space
                self.action_space = self.many.single_action_space

            def reset(self, *, seed=None, options=None):
                super().reset(seed=seed)
                return self.many.reset(seed=seed)[0][0], {}

            def step(self, action):
                seen, reward, terminated, truncated, _ = self.many.step(np.asarray(action)[None])
                return seen[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

            def close(self):
                self.many.close()

        check_env(One(), skip_render_check=True)


if __name__ == "__main__":
    unittest.main()
