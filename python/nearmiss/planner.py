"""Planners written in Python, in this process, through whole scenes in closed loop; and built-in ones."""
from __future__ import annotations

import ctypes
import math
import traceback
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from ._abi import Error, Guard, Handle, abi
from ._arguments import WrongType, encoded, flag, number, shown, unsigned
from .scene import NONE, Scene, scenes_of

_BEGIN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_PLAN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_END = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NEEDS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_CREATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_STOP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Control(NamedTuple):
    """An answer: drive so for the next 0.1 s. One of curvature and steering_rate; both None is straight on."""

    acceleration: float  #: m/s^2, along the heading
    curvature: Optional[float] = None  #: 1/m, of the rear axle's path, left positive
    steering_rate: Optional[float] = None  #: rad/s, left positive


class Pose(NamedTuple):
    """A place and a direction."""

    x: float  #: m, scene frame
    y: float
    heading: float  #: rad


class Ego(NamedTuple):
    """The ego now."""

    rear_axle: Pose  #: reference point of trajectories
    box_centre: Pose
    speed: float  #: m/s, of the rear axle, backwards negative
    velocity: Tuple[float, float]  #: (x, y) m/s, of the box centre, scene frame
    acceleration: float  #: m/s^2
    curvature: float  #: 1/m, of the rear axle's path
    steering_angle: float  #: rad
    yaw_rate: float  #: rad/s
    length: float  #: m
    width: float
    wheelbase: float
    rear_axle_to_box_centre: float


def _pose(raw: Any) -> Pose:
    return Pose(raw.x_scene, raw.y_scene, raw.heading_scene)


class _Shelf:
    """Buffers for what a planner sees. The library's memory is its own until the call returns, so it is copied, one
    block an array, into memory that stays: what a planner keeps by mistake is outdated, never gone."""

    def __init__(self) -> None:
        self._buffers: Dict[str, NDArray[Any]] = {}

    def put(self, name: str, address: Optional[int], shape: Tuple[int, ...], dtype: Any) -> NDArray[Any]:
        dtype = np.dtype(dtype)
        count = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < count * dtype.itemsize:
            buffer = np.empty(max(count * dtype.itemsize * 2, 64), np.uint8)
            self._buffers[name] = buffer
        if count and address:
            ctypes.memmove(buffer.ctypes.data, address, count * dtype.itemsize)
        array: NDArray[Any] = buffer[: count * dtype.itemsize if address else 0].view(dtype).reshape(shape if address else (0, *shape[1:]))
        array.flags.writeable = False
        return array


class _Part:
    """Lazily copied arrays of one structure."""

    def __init__(self, raw: Any, shelf: _Shelf, name: str,
                 fields: Dict[str, Tuple[str, Tuple[int, ...], Any]]) -> None:
        self._raw, self._shelf, self._name, self._fields, self._over = raw, shelf, name, fields, False

    def __repr__(self) -> str:
        return f"<{self._name}: {', '.join(self._fields)}>"

    def __getattr__(self, field: str) -> Any:
        if field.startswith("_") or field not in self._fields:
            raise AttributeError(f"{self._name} has no {field!r}: {', '.join(self.__dict__.get('_fields', ()))}")
        if self._over:
            raise Error("NM_E_ARGUMENT", f"{self._name}.{field} was not read while the planner was asked; it is gone")
        member, shape, dtype = self._fields[field]
        value = self._shelf.put(f"{self._name}.{field}", getattr(self._raw, member), shape, dtype)
        self.__dict__[field] = value
        return value

    def __dir__(self) -> Iterable[str]:
        return list(self._fields)


def _history(raw: Any, agents: int, shelf: _Shelf, name: str) -> _Part:
    shape = (agents, raw.sample_count)
    f = np.float32
    return _Part(raw, shelf, name, {
        "valid": ("valid", shape, np.bool_), "x": ("box_centre_x_scene", shape, f),
        "y": ("box_centre_y_scene", shape, f), "heading": ("heading_scene", shape, f),
        "vx": ("velocity_x_scene", shape, f), "vy": ("velocity_y_scene", shape, f)})


class Agents(_Part):
    """Everybody there but the ego: track, id, type, is_static, length, width [count]; `history` [count, samples]."""

    def __init__(self, raw: Any, shelf: _Shelf) -> None:
        n = (raw.count,)
        super().__init__(raw, shelf, "agents", {
            "track": ("track", n, np.uint32), "id": ("id", n, np.int64), "type": ("type", n, np.uint8),
            "is_static": ("is_static", n, np.bool_), "length": ("length", n, np.float32),
            "width": ("width", n, np.float32)})
        self.count = raw.count
        self.history = _history(raw.history, raw.count, shelf, "agents.history")


class Observation:
    """What a planner sees at one step. Frame: the scene's, m and rad. Arrays are read-only views of buffers that the
    next step overwrites: copy what is to be kept.

    step, time     steps driven and s since the start; seed: to draw random numbers from
    ego            :class:`Ego`
    ego_history    valid, x, y, heading, vx, vy [1, samples]: box centre, 0.1 s apart, the last one is now
    agents         :class:`Agents`
    signals        lane, state (SIGNAL_STATES), turn, lane_stop [lights]
    map            lanes (structured), centre, left_border, right_border [points, 2], links: around the ego
    route          lanes, lane_from, points [n, 2], heading, curvature, speed_limit; length, goal: m along it
    route_position, route_offset   m along the route, and left of it
    goal           :class:`Pose` of the box centre
    """

    def __init__(self, raw: Any, shelf: _Shelf) -> None:
        self._parts: List[_Part] = []
        ego = raw.ego
        self.step, self.time, self.seed, self.deadline = raw.step, raw.time, raw.seed, raw.deadline
        self.ego = Ego(_pose(ego.rear_axle), _pose(ego.box_centre), ego.rear_axle_speed_ahead,
                       (ego.box_centre_velocity_x_scene, ego.box_centre_velocity_y_scene), ego.acceleration_ahead,
                       ego.rear_axle_curvature, ego.steering_angle, ego.yaw_rate, ego.vehicle.length,
                       ego.vehicle.width, ego.vehicle.wheelbase, ego.vehicle.rear_axle_to_box_centre)
        self.ego_history = _history(raw.ego_history, 1, shelf, "ego_history")
        self.agents = Agents(raw.agents, shelf)
        n = (raw.signals.count,)
        self.signals = _Part(raw.signals, shelf, "signals", {
            "lane": ("lane", n, np.uint32), "state": ("state", n, np.uint8), "turn": ("turn", n, np.uint8),
            "lane_stop": ("lane_stop", n, np.float32)})
        self.map = _map(raw.map, shelf)
        self.route = _route(raw.route, shelf)
        self.route_position, self.route_offset = raw.route_position, raw.route_offset
        self.goal = _pose(raw.goal_box_centre)
        self._parts = [self.ego_history, self.agents, self.agents.history, self.signals, self.map, self.route]

    def _close(self) -> None:
        for part in self._parts:
            part._over = True
            part._raw = None


def _map(address: int, shelf: _Shelf) -> _Part:
    raw = abi.nm_planner_map.from_address(address)
    points = (raw.point_count, 2)
    part = _Part(raw, shelf, "map", {
        "lanes": ("lanes", (raw.lane_count,), abi.dtype("nm_planner_lane")),
        "centre": ("centre", points, np.float32), "left_border": ("left_border", points, np.float32),
        "right_border": ("right_border", points, np.float32), "links": ("links", (raw.link_count,), np.uint32),
        "stop_lines": ("stop_lines", (raw.stop_line_count,), abi.dtype("nm_planner_stop_line")),
        "crosswalks": ("crosswalks", (raw.crosswalk_count,), abi.dtype("nm_planner_area")),
        "area_points": ("area_points", (raw.area_point_count, 2), np.float32)})
    part.__dict__["version"] = raw.version
    return part


def _route(address: int, shelf: _Shelf) -> _Part:
    raw = abi.nm_planner_route.from_address(address)
    n = (raw.point_count,)
    part = _Part(raw, shelf, "route", {
        "lanes": ("lanes", (raw.lane_count,), np.uint32), "lane_from": ("lane_from", (raw.lane_count,), np.float32),
        "points": ("points", (raw.point_count, 2), np.float32), "heading": ("heading_scene", n, np.float32),
        "curvature": ("curvature", n, np.float32), "speed_limit": ("speed_limit", n, np.float32)})
    part.__dict__.update(length=raw.length, goal=raw.goal)
    return part


class _Bridge:
    """A Python planner behind the planner's table of functions."""

    def __init__(self, planner: Any, name: str, history: int, map_radius: float, guard: Guard) -> None:
        self.planner = planner
        self.plan = planner.plan if hasattr(planner, "plan") else planner
        self.history, self.map_radius = history, map_radius
        self.shelf = _Shelf()
        self.failure: Optional[str] = None  # the traceback of the last exception
        self.outer = guard  # of what is no planner's failure: Ctrl-C, SystemExit
        self._name = name.encode()
        table = abi.nm_planner_vtable()
        self._functions = (_CREATE(lambda *_: 1), _NEEDS(self._needs), _BEGIN(self._begin), _PLAN(self._plan),
                           _END(self._end))
        table.abi, table.size = abi.NM_PLANNER_ABI, ctypes.sizeof(table)
        self._name_buffer = ctypes.create_string_buffer(self._name)
        table.name = ctypes.addressof(self._name_buffer)
        for field, function in zip(("create", "needs", "begin", "plan", "end"), self._functions):
            setattr(table, field, ctypes.cast(function, ctypes.c_void_p).value)
        self._table = table
        out = ctypes.c_void_p()
        abi.call("nm_planner_adopt", ctypes.byref(table), self._name, 1, ctypes.byref(out))
        self.handle = Handle(out.value, "nm_planner_destroy", "planner")

    def _guard(self, what: Callable[[], None], error: int, size: int) -> int:
        try:
            what()
            return 0
        except Exception as problem:  # it costs the scene, not the process
            self.failure = traceback.format_exc()
            last = traceback.extract_tb(problem.__traceback__)[-1]
            words = f"{type(problem).__name__}: {problem} ({last.filename.rsplit('/', 1)[-1]}:{last.lineno}, in {last.name})"
        except BaseException as problem:
            self.outer.trouble = problem
            words = "interrupted"
        if error and size:
            text = words.encode()[: size - 1]
            ctypes.memmove(error, text + b"\0", len(text) + 1)
        return -1

    def _needs(self, _: int, needs: int) -> None:
        raw = abi.nm_planner_needs.from_address(needs)
        raw.history, raw.map_radius = self.history, self.map_radius

    def _begin(self, _: int, scenario: int, error: int, size: int) -> int:
        def run() -> None:
            self.failure = None
            if hasattr(self.planner, "begin"):
                raw = abi.nm_planner_scenario.from_address(scenario)
                self.planner.begin({"name": abi.text(raw.name), "seed": raw.seed, "step_count": raw.step_count,
                                    "origin": (raw.origin_x, raw.origin_y, raw.origin_z), "ego_track": raw.ego_track,
                                    "start_step": raw.start_step, "goal": _pose(raw.goal_box_centre)})

        return self._guard(run, error, size)

    def _plan(self, _: int, observation: int, output: int, error: int, size: int) -> int:
        def run() -> None:
            seen = Observation(abi.nm_planner_observation.from_address(observation), self.shelf)
            try:
                self._answer(self.plan(seen), abi.nm_planner_output.from_address(output))
            finally:
                seen._close()

        return self._guard(run, error, size)

    def _answer(self, answer: Any, output: Any) -> None:
        if isinstance(answer, Control):
            output.acceleration_ahead = answer.acceleration
            if answer.steering_rate is not None:
                if answer.curvature is not None:
                    raise ValueError("a Control has a curvature or a steering rate, not both")
                output.answer, output.steering_rate = abi.NM_PLANNER_CONTROL_STEERING, answer.steering_rate
            else:
                output.answer = abi.NM_PLANNER_CONTROL_CURVATURE
                output.rear_axle_curvature = answer.curvature or 0.0
            return
        points = np.asarray(answer, dtype=np.float32)
        if points.ndim != 2 or points.shape[1] != 5 or not 2 <= len(points) <= output.point_capacity:
            raise ValueError(f"a planner answers with nearmiss.Control or an array [2..{output.point_capacity}, 5] of "
                             f"time, x, y, heading, speed; not with {type(answer).__name__} of shape {points.shape}")
        points = np.ascontiguousarray(points)
        ctypes.memmove(output.points, points.ctypes.data, points.nbytes)
        output.answer, output.point_count = abi.NM_PLANNER_TRAJECTORY, len(points)

    def _end(self, _: int) -> None:
        if hasattr(self.planner, "end"):
            self._guard(self.planner.end, 0, 0)


class Episode(NamedTuple):
    """What became of a planner in a scene."""

    outcome: str  #: "done"; "failed": the planner did, score 0; "unfit": the scene can not be driven, nobody's score
    reason: str  #: why it is not done, else ""
    traceback: Optional[str]  #: of the exception, where a planner in Python raised one
    score: float  #: nuPlan's closed-loop score, 0..1
    metrics: Dict[str, float]  #: by nuPlan's names, 0..1: no_ego_at_fault_collisions, ego_is_comfortable, ...
    collisions: List[Dict[str, Any]]  #: of the ego: dicts of step (of the scene), track, at_fault, collision_class
    min_ttc: float  #: s, inf = none within 3 s
    min_distance: float  #: m
    danger: Dict[str, float]  #: of all of the drive, after the start: sweep_ttc_s, ...; NaN where it is not done
    seconds: float  #: driven
    plan_mean: float  #: s of real time for an answer
    ego_track: int
    scene: Optional[Scene]  #: what was driven, with keep=True


def _episode(raw: Any, failure: Optional[str]) -> Episode:
    count = min(raw.collision_count, len(raw.collisions))
    collisions = [{"step": raw.start_step + c.step, "track": c.track, "at_fault": bool(c.at_fault),
                   "collision_class": abi.nm_nuplan_class_name(c.collision_class).decode()}
                  for c in raw.collisions[:count]]
    metrics = {}
    for i in range(abi.NM_NUPLAN_SCORED_COUNT):
        about = abi.nm_nuplan_description.from_address(abi.nm_nuplan_describe(i))
        metrics[abi.text(about.name)] = raw.score.metric[i].value
    danger = {}
    for i in range(abi.NM_EGO_MEASURE_COUNT):
        about = abi.nm_ego_description.from_address(abi.nm_ego_describe(i))
        danger[abi.text(about.name)] = raw.danger.value[i]
    return Episode(abi.nm_episode_outcome_name(raw.outcome).decode(), raw.reason.decode(errors="replace"), failure,
                   raw.score.score, metrics, collisions, raw.min_ttc, raw.min_distance, danger, raw.seconds, raw.plan_mean,
                   raw.ego_track, Scene(raw.scene) if raw.scene else None)


def evaluate(planner: Union[str, Callable[[Observation], Any], Any], scenes: Union[Scene, Iterable[Scene]], *, agents: str = "idm",
             seconds: float = 15.0, seed: int = 0, start_step: Optional[int] = None, perfect: bool = False,
             deadline: float = 0.0, history: int = 22, map_radius: float = 100.0, keep: bool = False) -> List[Episode]:
    """Drives a planner through scenes in closed loop and scores it as nuPlan does.

    planner     a callable ``plan(observation)``, or an object with ``plan`` and, if it likes, ``begin(scenario)`` and
                ``end()``; it returns a :class:`Control`, or an array [n, 5] of time (s from now), x, y, heading (rear
                axle, scene frame) and speed. Or what ``nearmiss evaluate --planner`` takes: ``"idm"``, ``"pdm"``,
                ``"./mine.so"``, ``"exec:python3 mine.py"``. An exception ends the episode as failed, with the
                traceback; the next scene goes on
    agents      the others: ``"idm"`` react, ``"log"`` are replayed
    start_step  of the scene; None = its current step
    perfect     True follows trajectories exactly, else nuPlan's two-stage controller does
    deadline    s of real time for an answer, 0 = none
    history     samples of 0.1 s that the planner is shown; map_radius: m of map around the ego, 0 = none
    keep        True keeps what was driven as a scene

    Episodes are a function of scene, seed and planner, as long as the planner is.
    """
    from .simulate import at_simulation_step

    listed = scenes_of(scenes)
    config = abi.nm_episode_config_default()
    config.agents = abi.enumeration("nm_episode_agents_from_name", agents, "agents", ("idm", "log"))
    if config.agents == abi.NM_EPISODE_NEXUS:
        raise ValueError("agents 'nexus' are driven by nearmiss evaluate: here they are 'idm' or 'log'")
    config.seconds, config.perfect, config.keep_scene = number(seconds, "seconds"), flag(perfect, "perfect"), flag(keep, "keep")
    config.seed = unsigned(seed, "seed", 64)
    config.start_step = NONE if start_step is None else unsigned(start_step, "start step")
    guard = Guard()
    config.deadline = number(deadline, "deadline")
    bridge: Optional[_Bridge] = None
    if isinstance(planner, str):
        out = ctypes.c_void_p()
        abi.call("nm_planner_open", encoded(planner, "planner"), None, ctypes.byref(out))
        handle = Handle(out.value, "nm_planner_destroy", "planner")
    elif callable(planner) or hasattr(planner, "plan"):
        number(unsigned(history, "history"), "history", 1, 100), number(map_radius, "map_radius", 0, 1000)
        bridge = _Bridge(planner, getattr(planner, "__name__", type(planner).__name__), history, map_radius, guard)
        handle = bridge.handle
    else:
        raise WrongType(f"a planner is a name, a callable or an object with plan(), not {shown(planner)}")
    stop = _STOP(guard.stop)
    config.stop = ctypes.cast(stop, ctypes.c_void_p).value
    work = Handle(abi.nm_episode_work_create(), "nm_episode_work_destroy", "episode")
    episodes = []
    try:
        for scene in listed:
            ready = at_simulation_step(scene)
            raw = abi.nm_episode()
            try:
                with guard:
                    abi.call("nm_episode_run", work.address, ready.address, handle.address, ctypes.byref(config),
                             ctypes.byref(raw))
            except Error:
                guard.check()
                raise
            failure = bridge.failure if bridge is not None and raw.outcome == abi.NM_EPISODE_FAILED else None
            episode = _episode(raw, failure)
            guard.check()
            episodes.append(episode)
    finally:
        work.close()
        handle.close()
    return episodes
