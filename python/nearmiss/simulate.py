"""Closed-loop simulation: whole rollouts, and worlds to be stepped by hand."""
from __future__ import annotations

import ctypes
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from ._abi import Handle, abi, names, unpicklable, view
from ._arguments import WrongType, encoded, flag, identity, number, shown, steps_of, unsigned
from .scene import NONE, Scene, scene_of

POLICIES = names("nm_policy_name", abi.NM_POLICY_COUNT)  #: "custom" is C's alone


def policy(name: str, allowed: Optional[Tuple[str, ...]] = None) -> int:
    allowed = allowed or tuple(p for p in POLICIES if p != "custom")
    if not isinstance(name, str):
        raise WrongType(f"a policy must be one of: {', '.join(allowed)}; not {shown(name)}")
    if name not in allowed:
        raise ValueError(f"policy {name!r} is none of: {', '.join(allowed)}")
    return POLICIES.index(name)


def idm_set(name: str) -> int:
    address = abi.nm_idm_named(encoded(name, "IDM set"))
    if not address:
        raise ValueError(f"IDM set {name!r} is none of: nearmiss, nuplan, waymax, metadrive")
    return int(address)


def at_simulation_step(scene: Scene) -> Scene:
    """The scene itself where its time step is 0.1 s, else resampled."""
    scene_of(scene)
    return scene if abs(scene.dt - 0.1) <= 1e-4 else scene.resample(0.1)


def _config(scene: Scene, agents: str, ego: str, seed: int, start_step: int, idm: str) -> Any:
    if unsigned(start_step, "start step") >= max(scene.step_count, 1):
        raise ValueError(f"start step {start_step} is outside of the scene's {scene.step_count} steps")
    config = abi.nm_world_config_default()
    config.agents, config.ego = policy(agents), policy(ego)
    config.seed, config.start_step, config.idm = unsigned(seed, "seed", 64), unsigned(start_step, "start step"), idm_set(idm)
    return config


def _stats(raw: Any) -> Dict[str, Any]:
    values = {name: getattr(raw, name) for name, _ in raw._fields_}
    if values["first_collision_step"] == NONE:
        values["first_collision_step"] = None
    return values


class Rollout(NamedTuple):
    """What :func:`simulate` drove."""

    scene: Optional[Scene]  #: recorded history up to the start, then what was simulated
    stats: Dict[str, Any]  #: agents, agent_steps, collided, off_road, ... and first_collision_step (None = none)
    hash: int  #: of the final world: the number that ``nearmiss simulate`` prints


def simulate(scene: Scene, seconds: float = 8.0, *, agents: str = "idm", ego: str = "idm", seed: int = 0,
             start_step: int = 0, idm: str = "nearmiss", keep: bool = True) -> Rollout:
    """Drives a scene in closed loop, as ``nearmiss simulate`` does, bit for bit.

    agents, ego  ``"idm"``, ``"log"`` or ``"constant_velocity"``
    start_step   of the scene: what was recorded before it is history
    keep         False leaves the resulting scene out
    """
    allowed = ("idm", "log", "constant_velocity")
    policy(agents, allowed), policy(ego, allowed)
    ready = at_simulation_step(scene)
    parent = scene.hash
    config = _config(ready, agents, ego, seed, start_step, idm)
    config.parent = parent if ready is not scene else 0
    result = abi.nm_rollout_result()
    abi.call("nm_rollout", ready.address, ctypes.byref(config), steps_of(seconds), flag(keep, "keep"), ctypes.byref(result))
    return Rollout(Scene(result.scene) if result.scene else None, _stats(result.stats), result.hash)


class World:
    """One rollout, stepped by hand. Agents are in slots, ``0 .. count``; slots move when somebody leaves: hold track
    indices across steps (``track``, ``slot_of``).

    Arrays are read-only views, [count], valid at the step at which they were read; the memory is the world's and is
    written by the next step.

    agents, ego  ``"idm"``, ``"log"``, ``"constant_velocity"`` or ``"external"`` (:meth:`control`, :meth:`place`)
    """

    # see below: each is a property
    track: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    heading: NDArray[Any]
    speed: NDArray[Any]
    accel: NDArray[Any]
    vx: NDArray[Any]
    vy: NDArray[Any]
    curvature: NDArray[Any]
    length: NDArray[Any]
    width: NDArray[Any]
    type: NDArray[Any]
    lane: NDArray[Any]
    ttc: NDArray[Any]
    off_road: NDArray[Any]

    def __init__(self, scene: Scene, *, agents: str = "idm", ego: str = "idm", seed: int = 0, start_step: int = 0,
                 idm: str = "nearmiss") -> None:
        self.scene = at_simulation_step(scene)
        config = _config(self.scene, agents, ego, seed, start_step, idm)
        out = ctypes.c_void_p()
        abi.call("nm_world_create", self.scene.address, ctypes.byref(config), ctypes.byref(out))
        self._handle = Handle(out.value, "nm_world_destroy", "world")
        self._contacts = (abi.nm_contact * (64 + 16 * max(self.scene.track_count, 1)))()
        self._look()

    __reduce_ex__ = unpicklable("make it in the process that uses it, and hand over its scene")

    def __repr__(self) -> str:
        if self._handle.closed:
            return "<nearmiss.World closed>"
        return f"<nearmiss.World at step {self.now}, {self.count} agents>"

    def _look(self) -> None:
        self._view = abi.nm_world_get_view(self._handle.address)

    def _track(self, track: int) -> int:
        number = identity(track, "track")
        if not 0 <= number < self.scene.track_count:
            raise IndexError(f"there is no track {number}: the scene has {self.scene.track_count}")
        return number

    def step(self) -> NDArray[Any]:
        """0.1 s further. Returns contacts after the step, [n] structured: first, second (tracks), started (1 = new)."""
        count = ctypes.c_size_t()
        with self._handle.lock:
            abi.nm_world_step(self._handle.address, self._contacts, len(self._contacts), ctypes.byref(count))
            self._look()
        n = min(count.value, len(self._contacts))
        dtype = abi.dtype("nm_contact")
        return np.frombuffer(self._contacts, dtype, count=n).copy() if n else np.empty(0, dtype)

    def reset(self, seed: int) -> None:
        """Back to the start with another seed."""
        with self._handle.lock:
            abi.nm_world_reset(self._handle.address, unsigned(seed, "seed", 64))
            self._look()

    def control(self, track: int, acceleration: float, curvature: float) -> None:
        """The command of the next step of a track under "external": m/s^2, and 1/m, left positive."""
        abi.nm_world_set_control(self._handle.address, self._track(track), number(acceleration, "acceleration"),
                                 number(curvature, "curvature"))

    def place(self, track: int, x: float, y: float, heading: float, speed: float) -> None:
        """The state after the next step of a track under "external": m, rad, m/s."""
        abi.nm_world_set_state(self._handle.address, self._track(track), number(x, "x"), number(y, "y"),
                               number(heading, "heading"), number(speed, "speed"))

    def drive(self, track: int, by: str) -> None:
        """Who drives a track from the next step on: one of POLICIES but "custom"."""
        abi.nm_world_set_policy(self._handle.address, self._track(track), policy(by))

    @property
    def hash(self) -> int:
        """Of all state."""
        return int(abi.nm_world_hash(self._handle.address))

    @property
    def stats(self) -> Dict[str, Any]:
        """Of the drive so far: agents, agent_steps, collided, off_road, ..., first_collision_step (None = none)."""
        return _stats(abi.nm_world_get_stats(self._handle.address))

    @property
    def now(self) -> int:
        """Step of the scene."""
        return int(self._view.step)

    @property
    def count(self) -> int:
        """Agents that are there."""
        return int(self._view.count)

    @property
    def slot_of(self) -> NDArray[Any]:
        """[tracks] slot, or NONE."""
        return view(self._view.slot_of, (self.scene.track_count,), np.uint32, self)

    @property
    def events(self) -> NDArray[Any]:
        """[tracks] bits of NM_AGENT_... so far (sim/world.h)."""
        return view(self._view.events, (self.scene.track_count,), np.uint32, self)


def _array(field: str, dtype: Any, about: str) -> property:
    def get(self: World) -> NDArray[Any]:
        self._handle.address  # an error when it is closed
        return view(getattr(self._view, field), (self._view.count,), dtype, self)

    return property(get, doc=f"[count] {about}")


for _field, _dtype, _about in (
        ("track", np.uint32, "track"), ("x", np.float32, "m, box centre"), ("y", np.float32, "m"),
        ("heading", np.float32, "rad"), ("speed", np.float32, "m/s along the heading"),
        ("accel", np.float32, "m/s^2"), ("vx", np.float32, "m/s, scene frame"), ("vy", np.float32, "m/s"),
        ("curvature", np.float32, "1/m"), ("length", np.float32, "m"), ("width", np.float32, "m"),
        ("type", np.uint8, "see AGENT_TYPES"), ("lane", np.uint32, "lane followed, or NONE"),
        ("ttc", np.float32, "s to the first contact at constant velocities, inf = none within 3 s"),
        ("off_road", np.bool_, "a corner is off the road")):
    setattr(World, _field, _array(_field, _dtype, _about))
