"""Many worlds stepped as one: a Gymnasium vector environment whose work is done in C, one call a step."""
from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from ._abi import Error, Handle, abi, unpicklable, view
from ._arguments import WrongType, choice, flag, identity, number, shown, unsigned
from .scene import NONE, Scene, builtin, scenes_of
from .simulate import at_simulation_step, idm_set, policy
from .store import Store



class _Alone:
    """What the base class brings where gymnasium is installed."""

    spec = None
    closed = False

    @property
    def unwrapped(self) -> Any:
        """The environment itself: it has no wrappers."""
        return self

    def render(self) -> None:
        """There is nothing to render: see `nearmiss render` and `nearmiss view`."""
        raise NotImplementedError("a nearmiss.VectorEnv does not render: see the program's `nearmiss render`")


_gymnasium: Any = None
_Base: Any = _Alone
try:  # the base class where it is installed; everything works without it
    import gymnasium as _gymnasium  # type: ignore[import-not-found,no-redef,unused-ignore]

    _Base = _gymnasium.vector.VectorEnv
except ImportError:
    pass

#: bits of ``env.events``
COLLIDED: int = abi.NM_VECTOR_COLLIDED
OFF_ROAD: int = abi.NM_VECTOR_OFF_ROAD
WRONG_WAY: int = abi.NM_VECTOR_WRONG_WAY
GOAL: int = abi.NM_VECTOR_GOAL
LEFT: int = abi.NM_VECTOR_LEFT
FROZEN: int = abi.NM_VECTOR_FROZEN

_CONTROL = {"ego": abi.NM_VECTOR_EGO, "all": abi.NM_VECTOR_ALL}
_ACTION = {"steering": abi.NM_VECTOR_STEERING, "waypoint": abi.NM_VECTOR_WAYPOINT, "none": abi.NM_VECTOR_NO_ACTION}
_AUTORESET = {"next_step": abi.NM_VECTOR_NEXT_STEP, "same_step": abi.NM_VECTOR_SAME_STEP,
              "disabled": abi.NM_VECTOR_DISABLED}
_BOUNDS = {"steering": ([-8.0, -0.6], [4.0, 0.6]), "waypoint": ([-1.0, -0.5, -0.3], [5.0, 0.5, 0.3]), "none": ([], [])}

Scenes = Union[str, Scene, Sequence[Scene], Store]


class Space:
    """A stand-in for ``gymnasium.spaces.Box`` where gymnasium is not installed: low, high, shape, dtype, sample()."""

    def __init__(self, low: NDArray[Any], high: NDArray[Any], dtype: Any = np.float32) -> None:
        self.low, self.high, self.dtype, self.shape = low, high, np.dtype(dtype), low.shape
        self._random = np.random.default_rng()

    def seed(self, seed: Optional[int] = None) -> None:
        self._random = np.random.default_rng(seed)

    def sample(self) -> NDArray[Any]:
        return self._random.uniform(self.low, self.high).astype(self.dtype)

    def contains(self, value: Any) -> bool:
        value = np.asarray(value)
        return value.shape == self.shape and bool(np.all(value >= self.low) and np.all(value <= self.high))

    def __repr__(self) -> str:
        return f"Box({self.shape}, {self.dtype})"


def _box(low: NDArray[Any], high: NDArray[Any]) -> Any:
    return _gymnasium.spaces.Box(low, high, dtype=np.float32) if _gymnasium else Space(low, high)


def _gather(scenes: Scenes, num_envs: int, seed: int, conditions: Dict[str, Any]) -> List[Scene]:
    if isinstance(scenes, Store):
        found = scenes.scenes(**conditions)
    elif conditions:
        raise ValueError(f"unknown argument {next(iter(conditions))!r} (conditions of a search want a store)")
    elif isinstance(scenes, str):
        found = [builtin(scenes, seed + i) for i in range(num_envs)]
    else:
        found = scenes_of(scenes)
    if not found:
        raise ValueError("there is no scene to drive in")
    return [at_simulation_step(scene) for scene in found]


class VectorEnv(_Base):  # type: ignore[misc]
    """`num_envs` worlds over scenes, each with its ego (or everybody) driven from outside.

    scenes      a built-in road such as ``"highway:density=25"`` (num_envs of them, seeds seed, seed + 1, ...), scenes,
                or a store: then the conditions of :meth:`Store.find` choose, ``VectorEnv(store, kind="cut_in")``
    control     ``"ego"``: observations [num_envs, features], rewards [num_envs]; ``"all"``: everybody who drives,
                observations [num_envs, agents, features], rewards [num_envs, agents]. ``env.active`` says whose action
                counts; the others' rows are 0
    action      ``"steering"``: acceleration m/s^2 and steering angle rad (left positive); ``"waypoint"``: x ahead m, y
                left m, turn rad to where the box centre is 0.1 s later; ``"none"``: the others' policy drives, for
                collecting demonstrations
    action_steps  of 0.1 s that an action lasts (1): steering is held; waypoints are then [.., action_steps, 3], one for
                each, in the agent's frame as the action begins, so that an action is a trajectory. Rewards, events and
                progress are those of all of it; it ends where the episode does
    others      who is not controlled: ``"idm"`` react, ``"log"`` are replayed, ``"constant_velocity"``
    max_agents  rows with control="all"; 0 = as many as the fullest scene has
    max_steps   of 0.1 s, after which an episode is truncated; with others="log" the end of the recording does, too
    autoreset   Gymnasium's modes: ``"next_step"`` (the step after an episode's last begins the next),
                ``"same_step"`` (the last step returns the next episode's first observation; its own is in
                ``info["final_obs"]``, where ``info["_final_obs"]``), ``"disabled"`` (``reset(options={"reset_mask": mask})``)
    shuffle     False takes the scenes in turn, else they are drawn
    copy        True (the default, as Gymnasium's): what reset and step return is the caller's. False returns the
                environment's own arrays, which the next step overwrites; ``env.observations`` and the like always are
    reward      None: progress_reward per m along the route, collision_reward and off_road_reward when that happens,
                wrong_way_reward per step against a lane, goal_reward at the goal. Or a function of the environment
                that returns an array shaped like the rewards: see ``progress``, ``events``, ``layout``
    threads     0 = one per core. Results do not depend on it

    Seeds: world e of a batch drives its episode k with seed + e + k * num_envs, and the scene is drawn for these. What
    is seen, rewards and worlds are the same bits for the same scenes, seed and actions.

    terminated  [num_envs] every controlled agent collided, left the road, got to its goal or left the map
    truncated   [num_envs] the time is over
    info        ``events`` (bits COLLIDED, OFF_ROAD, WRONG_WAY, GOAL, LEFT, FROZEN of this step), ``progress`` (m), ``scene``
                (index into ``env.scenes``), ``step`` and ``active``: arrays [num_envs] or [num_envs, agents]
    """

    metadata: Dict[str, Any] = {"render_modes": [], "autoreset_mode": "next_step"}
    render_mode = None

    def __init__(self, scenes: Scenes, num_envs: int = 64, *, control: str = "ego", action: str = "steering",
                 action_steps: int = 1, others: str = "idm", idm: str = "nearmiss", max_agents: int = 0,
                 start_step: Optional[int] = None, max_steps: int = 200, seed: int = 0, shuffle: bool = True,
                 autoreset: str = "next_step",
                 end_on_collision: bool = True, end_off_road: bool = True, neighbours: int = 8,
                 neighbour_radius: float = 60.0, lane_points: int = 10, route_points: int = 10,
                 point_spacing: float = 5.0, progress_reward: float = 0.1, collision_reward: float = -10.0,
                 off_road_reward: float = -10.0, wrong_way_reward: float = -0.1, goal_reward: float = 1.0,
                 reward: Optional[Callable[["VectorEnv"], NDArray[Any]]] = None, copy: bool = True, threads: int = 0,
                 **conditions: Any) -> None:
        num_envs, seed = unsigned(num_envs, "num_envs"), unsigned(seed, "seed", 64)
        if num_envs == 0:
            raise ValueError("num_envs is 0")
        if reward is not None and not callable(reward):
            raise WrongType(f"reward must be a function of the environment, not {shown(reward)}")
        self.scenes = _gather(scenes, num_envs, seed, conditions)
        self.num_envs, self.copy = num_envs, bool(flag(copy, "copy"))
        config = abi.nm_vector_env_config_default()
        pointers = (ctypes.c_void_p * len(self.scenes))(*[s.address for s in self.scenes])
        values = {"env_count": num_envs, "scenes": ctypes.addressof(pointers), "scene_count": len(self.scenes),
                  "control": choice(_CONTROL, control, "control"), "action": choice(_ACTION, action, "action"),
                  "action_steps": action_steps,
                  "autoreset": choice(_AUTORESET, autoreset, "autoreset"),
                  "others": policy(others, ("idm", "log", "constant_velocity")), "idm": idm_set(idm),
                  "agents": max_agents, "start_step": NONE if start_step is None else start_step,
                  "max_steps": max_steps, "seed": seed, "shuffle": flag(shuffle, "shuffle"), "threads": threads,
                  "end_on_collision": flag(end_on_collision, "end_on_collision"),
                  "end_off_road": flag(end_off_road, "end_off_road"),
                  "neighbours": neighbours, "neighbour_radius": neighbour_radius, "lane_points": lane_points,
                  "route_points": route_points, "point_spacing": point_spacing, "progress_reward": progress_reward,
                  "collision_reward": collision_reward, "off_road_reward": off_road_reward,
                  "wrong_way_reward": wrong_way_reward, "goal_reward": goal_reward}
        for name, value in values.items():
            if name in ("neighbour_radius", "point_spacing") or name.endswith("_reward"):
                value = number(value, name)
            elif name not in ("scenes", "idm"):
                value = unsigned(value, name, 64 if name == "seed" else 31 if name == "threads" else 32)
            setattr(config, name, value)
        out = ctypes.c_void_p()
        abi.call("nm_vector_env_create", ctypes.byref(config), ctypes.byref(out))
        self._handle = Handle(out.value, "nm_vector_env_destroy", "environment")
        self._pointers = pointers  # the library borrows them
        self._reward_function = reward
        self._multi = control == "all"
        self._action_name, self._autoreset_name = action, autoreset
        self._trajectory = (action_steps,) if action == "waypoint" and action_steps > 1 else ()
        self.agents_per_env: int = abi.nm_vector_env_agents(out.value)
        self.features: int = abi.nm_vector_env_features(out.value)
        self._read_layout()
        self._make_arrays()
        self._make_spaces()
        self._step_function = abi.nm_vector_env_step
        self._error = abi.nm_error()
        self._error_reference = ctypes.byref(self._error)

    __reduce_ex__ = unpicklable("make it in the process that uses it, and hand over the function that makes it")

    # --- what there is ---
    def _read_layout(self) -> None:
        blocks = (abi.nm_vector_block * abi.NM_VECTOR_BLOCKS).from_address(abi.nm_vector_env_layout(self._handle.address))
        self.layout: Dict[str, Dict[str, Any]] = {}
        for block in blocks:
            columns = (abi.nm_vector_column * block.columns).from_address(block.column)
            self.layout[abi.text(block.name)] = {
                "slice": slice(block.first, block.first + block.rows * block.columns),
                "shape": (block.rows, block.columns), "columns": [abi.text(c.name) for c in columns],
                "units": [abi.text(c.unit) for c in columns], "meanings": [abi.text(c.meaning) for c in columns]}

    def _make_arrays(self) -> None:
        n, a = self.num_envs, self.agents_per_env
        rows = (n, a) if self._multi else (n,)
        self.observations = np.zeros((*rows, self.features), np.float32)
        self.rewards = np.zeros(rows, np.float32)
        self.terminated, self.truncated = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self.active = np.zeros(rows, np.bool_)
        self.events, self.progress = np.zeros(rows, np.uint32), np.zeros(rows, np.float32)
        self.scene_index, self.steps = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
        self.final_observations = np.zeros_like(self.observations) if self._autoreset_name == "same_step" else None
        size = abi.nm_vector_env_action_size(self._handle.address)
        one = (*self._trajectory, 3) if self._trajectory else (size,)
        self._actions = np.zeros((*rows, *one), np.float32)
        self._actions_address = self._actions.ctypes.data
        arrays = {"observation": self.observations, "reward": self.rewards, "terminated": self.terminated,
                  "truncated": self.truncated, "active": self.active, "events": self.events, "progress": self.progress,
                  "scene": self.scene_index, "step": self.steps}
        if self.final_observations is not None:
            arrays["final_observation"] = self.final_observations
        buffers = abi.nm_vector_buffers()
        for name, array in arrays.items():
            setattr(buffers, name, array.ctypes.data)
        abi.nm_vector_env_bind(self._handle.address, ctypes.byref(buffers))
        self._owned = arrays  # the library writes into them as long as it lives
        self._info = {"events": self.events, "progress": self.progress, "scene": self.scene_index, "step": self.steps,
                      "active": self.active}

    def _make_spaces(self) -> None:
        one = self.observations.shape[1:]
        low, high = (np.array(b, np.float32) for b in _BOUNDS[self._action_name])
        if self._trajectory:  # as far as so many single ones lead
            times = np.arange(1, self._trajectory[0] + 1, dtype=np.float32)[:, None]
            low, high = low * times, high * times
        action = (self.agents_per_env, *low.shape) if self._multi else low.shape

        def spread(bound: Any, shape: Tuple[int, ...]) -> NDArray[Any]:
            return np.broadcast_to(bound, shape).copy()

        infinite = np.float32(np.inf)
        self.single_observation_space = _box(spread(-infinite, one), spread(infinite, one))
        self.observation_space = _box(spread(-infinite, (self.num_envs, *one)), spread(infinite, (self.num_envs, *one)))
        self.single_action_space = _box(spread(low, action), spread(high, action))
        self.action_space = _box(spread(low, (self.num_envs, *action)), spread(high, (self.num_envs, *action)))
        mode: Any = self._autoreset_name
        if _gymnasium is not None:
            try:
                mode = _gymnasium.vector.AutoresetMode[mode.upper()]
            except AttributeError:  # before Gymnasium 1.1
                pass
        self.metadata = {**self.metadata, "autoreset_mode": mode}

    def block(self, name: str) -> NDArray[Any]:
        """A part of the observations, [..., rows, columns]: "agent", "neighbours", "lane" or "route". A view."""
        about = self.layout[name]
        return self.observations[..., about["slice"]].reshape(*self.observations.shape[:-1], *about["shape"])

    def column(self, block: str, name: str) -> NDArray[Any]:
        """A column of a block, [..., rows] ("agent": [...]). A view."""
        values = self.block(block)[..., self.layout[block]["columns"].index(name)]
        return values[..., 0] if block == "agent" else values

    def hashes(self) -> NDArray[Any]:
        """[num_envs] uint64, of all state of each world: the number that ``nearmiss simulate`` prints."""
        return np.array([abi.nm_world_hash(self._world(e)) for e in range(self.num_envs)], np.uint64)

    def _world(self, env: int) -> int:
        world = abi.nm_vector_env_world(self._handle.address, env)
        if not world:
            raise Error("NM_E_ARGUMENT", "there are no worlds before reset()")
        return int(world)

    def tracks(self) -> NDArray[Any]:
        """[num_envs, agents] track of each row in its scene, NONE beyond those that there are."""
        address = self._handle.address
        return np.array([[abi.nm_vector_env_track(address, e, a) for a in range(self.agents_per_env)]
                         for e in range(self.num_envs)], np.uint32)

    def states(self, env: int) -> Dict[str, NDArray[Any]]:
        """Everybody in a world now: track, x, y, heading, speed, length, width, type: copies."""
        if not 0 <= identity(env, "environment") < self.num_envs:
            raise IndexError(f"there is no environment {env}")
        raw = abi.nm_world_get_view(self._world(env))
        types = {"track": np.uint32, "type": np.uint8}
        return {name: view(getattr(raw, name), (raw.count,), types.get(name, np.float32), self).copy()
                for name in ("track", "x", "y", "heading", "speed", "length", "width", "type")}

    # --- episodes ---
    def _own(self) -> int:
        if self._handle._pid != os.getpid():
            raise Error("NM_E_ARGUMENT", "an environment does not survive a fork: its threads are the parent's; make it "
                                         "in the child, or start processes with the method 'spawn'")
        if not self._handle.lock.acquire(blocking=False):
            raise Error("NM_E_BUSY", "another thread is stepping this environment")
        return self._handle.address if not self._handle.closed else self._release()

    def _release(self) -> int:
        self._handle.lock.release()
        return self._handle.address  # raises

    def _give(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.copy() if self.copy else array

    def _infos(self) -> Dict[str, Any]:
        return {name: self._give(array) for name, array in self._info.items()}

    def reset(self, *, seed: Optional[int] = None, options: Optional[Dict[str, Any]] = None) -> Tuple[NDArray[Any], Dict[str, Any]]:
        """Begins episodes; ``seed`` makes them the first of that seed, None goes on to the next.

        options  ``{"reset_mask": [num_envs] bool}``: only these
        """
        mask = None
        if options and "reset_mask" in options:
            mask = np.ascontiguousarray(options["reset_mask"])
            if mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
                raise ValueError(f"reset_mask must be bool [{self.num_envs}], not {mask.dtype} {list(mask.shape)}")
        start = ctypes.c_uint64(unsigned(seed, "seed", 64)) if seed is not None else None
        address = self._own()
        try:
            abi.call("nm_vector_env_reset", address, ctypes.byref(start) if start is not None else None,
                     mask.ctypes.data if mask is not None else None)
        finally:
            self._handle.lock.release()
        if seed is not None and _gymnasium is not None:
            self._np_random, self._np_random_seed = _gymnasium.utils.seeding.np_random(int(seed))
        return self._give(self.observations), self._infos()

    def _take(self, actions: Any) -> int:
        if self._actions.shape[-1] == 0:
            return self._actions_address
        array = np.asarray(actions)
        if array.shape != self._actions.shape:
            raise ValueError(f"actions must be shaped {list(self._actions.shape)}, not {list(array.shape)}")
        if array.dtype.kind not in "fiu":
            raise ValueError(f"actions must be numbers, not {array.dtype}")
        np.copyto(self._actions, array, casting="unsafe")
        return self._actions_address

    def step(self, actions: Any = None) -> Tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], Dict[str, Any]]:
        """0.1 s of every world (action_steps times that): observations, rewards, terminated, truncated, info. One call
        of C.

        actions  [num_envs, 2 or 3], or [num_envs, agents, 2 or 3], or with waypoints and action_steps > 1 with
                 [action_steps, 3] at the end; float32 is taken as it is. None with action="none"
        """
        taken = self._take(actions)
        address = self._own()
        try:
            status = self._step_function(address, taken, self._error_reference)
        finally:
            self._handle.lock.release()
        if status != 0:
            raise abi.error(status, self._error)
        if self._reward_function is not None:
            self._reward(self._reward_function(self))
        info = self._infos()
        if self.final_observations is not None:
            over = self.terminated | self.truncated
            if over.any():
                info["final_obs"], info["_final_obs"] = self._give(self.final_observations), over
                info["final_info"] = {name: info[name] for name in ("events", "progress")}  # the others are the next one's
                info["_final_info"] = over
        return (self._give(self.observations), self._give(self.rewards), self._give(self.terminated),
                self._give(self.truncated), info)

    def _reward(self, values: Any) -> None:
        values = np.asarray(values)
        if values.shape != self.rewards.shape:
            raise ValueError(f"reward must return an array shaped {list(self.rewards.shape)}, not {list(values.shape)}")
        np.copyto(self.rewards, values, casting="unsafe")

    def run(self, actions: Any, steps: int) -> None:
        """`steps` steps with the same actions, in C: what :mod:`nearmiss.bench` compares with."""
        taken, left = self._take(actions), unsigned(steps, "steps")
        address = self._own()
        try:
            while left > 0:  # Python looks for Ctrl-C between the calls
                abi.call("nm_vector_env_run", address, taken, min(left, 100))
                left -= 100
        finally:
            self._handle.lock.release()

    def close(self, **_: Any) -> None:
        """Frees the worlds; the arrays stay what they are."""
        if self._handle._pid == os.getpid():  # in a forked child it is the parent's, whose lock may be held
            with self._handle.lock:
                self._handle.close()
        self.closed = True

    def __enter__(self) -> "VectorEnv":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<nearmiss.VectorEnv of {self.num_envs} worlds over {len(self.scenes)} scenes{', closed' * self.closed}>"
