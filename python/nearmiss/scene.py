"""Scenes and maps as NumPy arrays over the library's own memory: nothing is copied, nothing can be written.

Frame: the map's, x east, y north, m relative to ``map.origin``; headings rad counter-clockwise from +x in (-pi, pi];
positions are centres of bounding boxes; velocities m/s.
"""
from __future__ import annotations

import ctypes
import json
import operator
import weakref
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from ._abi import Handle, abi, arena, names, view
from ._arguments import WrongType, encoded, identity, listed, number, shown, unsigned

AGENT_TYPES = names("nm_agent_type_name", abi.NM_AGENT_TYPE_COUNT)  #: ``AGENT_TYPES[scene.types[track]]``
LANE_TYPES = names("nm_lane_type_name", abi.NM_LANE_TYPE_COUNT)
SIGNAL_STATES = names("nm_signal_state_name", abi.NM_SIGNAL_STATE_COUNT)
KINDS = names("nm_kind_name", abi.NM_KIND_COUNT)
NONE: int = abi.NM_NONE  #: an index that names nothing

#: an event as the detectors and the store give it; see :func:`detect`
EVENT_DTYPE = abi.dtype("nm_event")


class Map:
    """The map of scenes: lanes, lines, areas, stop lines, signals. Shared; lives as long as anything that shows it.

    lanes        [lanes] structured, one record a lane: ``source_id, length`` (m), ``speed_limit`` (m/s, 0 = unknown),
                 ``type`` (LANE_TYPES), ``points`` (first, count: a range of the points below), ``successors``,
                 ``predecessors`` (ranges of `lane_refs`), ``left``, ``right``, ``signals``, ``stop_s`` (m), ...
    centre, left_border, right_border   [points, 2] m, float32: all lanes' polylines one after the other
    lines, line_points   [lines] structured, [points, 2] m: painted lines and road edges
    areas, area_points   [areas] structured, [points, 2] m: crosswalks and the like, closed implicitly
    """

    def __init__(self, address: int) -> None:
        self._handle = Handle(abi.nm_map_retain(address), "nm_map_release", "map")
        self._raw = abi.nm_map.from_address(address)

    def _view(self, field: str, shape: Tuple[int, ...], dtype: Any) -> NDArray[Any]:
        return view(getattr(self._raw, field), shape, dtype, self)

    def __copy__(self) -> "Map":
        return self  # it is constant

    def __deepcopy__(self, _: Any) -> "Map":
        return self

    def __reduce__(self) -> Any:
        return _map_of_bytes, (self.hash, _encode(abi.nm_map_encode, ctypes.addressof(self._raw)))

    @property
    def hash(self) -> int:
        """Of the content."""
        return int(self._raw.hash)

    @property
    def origin(self) -> Tuple[float, float, float]:
        """(x, y, z) that was subtracted from the source's coordinates, m."""
        o = self._raw.origin
        return o.x, o.y, o.z

    @property
    def bounds(self) -> NDArray[Any]:
        """[2, 2] lower left and upper right corner of the lanes, m."""
        low, high = self._raw.bounds_min, self._raw.bounds_max
        return np.array([[low.x, low.y], [high.x, high.y]], np.float32)

    @property
    def lanes(self) -> NDArray[Any]:
        """[lanes] structured: source_id, length (m), speed_limit (m/s, 0 = unknown), type (LANE_TYPES), points, ..."""
        return self._view("lanes", (self._raw.lane_count,), abi.dtype("nm_lane"))

    @property
    def lane_refs(self) -> NDArray[Any]:
        """Lane indices; successors and predecessors of lanes are ranges of it."""
        return self._view("lane_refs", (self._raw.lane_ref_count,), np.uint32)

    @property
    def centre(self) -> NDArray[Any]:
        """[points, 2] m: all centrelines one after the other; :meth:`lane` gives one."""
        return self._view("centre", (self._raw.point_count, 2), np.float32)

    @property
    def left_border(self) -> NDArray[Any]:
        """[points, 2] m: left borders of all lanes; :meth:`borders` gives those of one."""
        return self._view("left", (self._raw.point_count, 2), np.float32)

    @property
    def right_border(self) -> NDArray[Any]:
        """[points, 2] m: likewise on the right."""
        return self._view("right", (self._raw.point_count, 2), np.float32)

    @property
    def z(self) -> NDArray[Any]:
        """[points] height of the centrelines, m relative to origin z."""
        return self._view("z", (self._raw.point_count,), np.float32)

    @property
    def lines(self) -> NDArray[Any]:
        """[lines] structured: painted lines and road edges, each with its range of `line_points`."""
        return self._view("lines", (self._raw.line_count,), abi.dtype("nm_line"))

    @property
    def line_points(self) -> NDArray[Any]:
        """[points, 2] m: all lines one after the other."""
        return self._view("line_points", (self._raw.line_point_count, 2), np.float32)

    @property
    def areas(self) -> NDArray[Any]:
        """[areas] structured: crosswalks and the like, each with its range of `area_points`."""
        return self._view("areas", (self._raw.area_count,), abi.dtype("nm_area"))

    @property
    def area_points(self) -> NDArray[Any]:
        """[points, 2] m: outlines of all areas, closed implicitly."""
        return self._view("area_points", (self._raw.area_point_count, 2), np.float32)

    @property
    def stop_lines(self) -> NDArray[Any]:
        """[stop lines] structured: end points a (left) and b, m, lane, s (m along it)."""
        return self._view("stop_lines", (self._raw.stop_line_count,), abi.dtype("nm_stop_line"))

    @property
    def signals(self) -> NDArray[Any]:
        """[signals] structured: traffic lights; :meth:`Scene.signal` says what one shows."""
        return self._view("signals", (self._raw.signal_count,), abi.dtype("nm_signal"))

    def _range(self, points: NDArray[Any], which: np.void) -> NDArray[Any]:
        first = int(which["first"])
        return points[first : first + int(which["count"])]

    def _lane(self, index: int) -> np.void:
        try:
            return self.lanes[operator.index(index)]  # type: ignore[no-any-return]
        except TypeError:
            raise WrongType(f"a lane must be a whole number, not {shown(index)}") from None
        except IndexError:
            raise IndexError(f"there is no lane {index}: the map has {self._raw.lane_count}") from None

    def lane(self, index: int) -> NDArray[Any]:
        """[n, 2] centreline of a lane, m."""
        return self._range(self.centre, self._lane(index)["points"])

    def borders(self, index: int) -> Tuple[NDArray[Any], NDArray[Any]]:
        """Left and right border of a lane, [n, 2] each, m."""
        points = self._lane(index)["points"]
        return self._range(self.left_border, points), self._range(self.right_border, points)

    def successors(self, index: int) -> NDArray[Any]:
        """Lanes that follow a lane."""
        return self._range(self.lane_refs, self._lane(index)["successors"])

    def polylines(self) -> List[NDArray[Any]]:
        """Centrelines of all lanes, [n, 2] each, m: views."""
        return [self.lane(i) for i in range(self._raw.lane_count)]

    def __repr__(self) -> str:
        return f"<nearmiss.Map of {self._raw.lane_count} lanes>"


_maps: "weakref.WeakValueDictionary[int, Map]" = weakref.WeakValueDictionary()  # unpickled: scenes of one share it


def _encode(function: Any, address: int) -> bytes:
    size = function(address, None, 0)
    buffer = ctypes.create_string_buffer(size)
    function(address, buffer, size)
    return buffer.raw


def _map_of_bytes(hash: int, encoded_map: bytes) -> Map:
    known = _maps.get(hash)
    if known is None:
        out = ctypes.c_void_p()
        abi.call("nm_map_decode", encoded_map, len(encoded_map), ctypes.byref(out))
        assert out.value is not None
        known = Map(out.value)
        abi.nm_map_release(out.value)  # Map has a reference of its own
        _maps[hash] = known
    return known


def _scene_of_bytes(on: Map, encoded_scene: bytes) -> "Scene":
    out = ctypes.c_void_p()
    abi.call("nm_scene_decode", encoded_scene, len(encoded_scene), ctypes.addressof(on._raw), ctypes.byref(out))
    scene = Scene(out.value)
    scene._map = on  # keeps it in _maps
    return scene


class Scene:
    """Tracks over time on a map. Constant. Arrays are views [track, step] of the library's memory, read-only; each
    keeps the scene alive. Can be pickled, with its map: scenes go to other processes.

    x, y, z      [tracks, steps] m, float32; 0 where `valid` is False
    heading      [tracks, steps] rad
    vx, vy       [tracks, steps] m/s
    valid        [tracks, steps] bool
    tracks       [tracks] structured: source_id, length, width, height (m; 0 = unknown), type, flags, first_step, ...
    """

    def __init__(self, address: Optional[int]) -> None:
        """For the library's functions: takes the scene over."""
        self._handle = Handle(address, "nm_scene_destroy", "scene")
        self._raw = abi.nm_scene.from_address(self._handle.address)
        self._map: Optional[Map] = None

    def __copy__(self) -> "Scene":
        return self  # it is constant

    def __deepcopy__(self, _: Any) -> "Scene":
        return self

    def __reduce__(self) -> Any:
        return _scene_of_bytes, (self.map, _encode(abi.nm_scene_encode, self.address))

    @property
    def address(self) -> int:
        """Of the library's nm_scene."""
        return self._handle.address

    def _states(self, field: str, dtype: Any = np.float32) -> NDArray[Any]:
        return view(getattr(self._raw, field), (self._raw.track_count, self._raw.step_count), dtype, self)

    # --- size ---
    @property
    def step_count(self) -> int:
        """Steps, `dt` apart."""
        return int(self._raw.step_count)

    @property
    def track_count(self) -> int:
        """Tracks: everybody who is there at some step."""
        return int(self._raw.track_count)

    @property
    def dt(self) -> float:
        """Seconds between steps."""
        return float(self._raw.dt)

    @property
    def current_step(self) -> int:
        """Now: history up to it, future after it."""
        return int(self._raw.current_step)

    @property
    def ego(self) -> Optional[int]:
        """Track of the ego, or None."""
        return None if self._raw.ego == NONE else self._raw.ego

    @property
    def hash(self) -> int:
        """Of the content, map included, provenance excluded: what other scenes call their parent."""
        return int(self._raw.hash)

    # --- arrays ---
    @property
    def valid(self) -> NDArray[Any]:
        """[tracks, steps] bool: there at this step."""
        return self._states("valid", np.bool_)

    @property
    def x(self) -> NDArray[Any]:
        """[tracks, steps] m, float32: east, of the centre of the box."""
        return self._states("x")

    @property
    def y(self) -> NDArray[Any]:
        """[tracks, steps] m, float32: north."""
        return self._states("y")

    @property
    def z(self) -> NDArray[Any]:
        """[tracks, steps] m, float32: up."""
        return self._states("z")

    @property
    def heading(self) -> NDArray[Any]:
        """[tracks, steps] rad, float32: counter-clockwise from +x, in (-pi, pi]."""
        return self._states("heading")

    @property
    def vx(self) -> NDArray[Any]:
        """[tracks, steps] m/s, float32."""
        return self._states("vx")

    @property
    def vy(self) -> NDArray[Any]:
        """[tracks, steps] m/s, float32."""
        return self._states("vy")

    @property
    def state_length(self) -> Optional[NDArray[Any]]:
        """[tracks, steps] m where sizes vary over time, else None: see ``tracks["length"]``."""
        return self._states("state_length") if self._raw.state_length else None

    @property
    def state_width(self) -> Optional[NDArray[Any]]:
        """Likewise."""
        return self._states("state_width") if self._raw.state_width else None

    @property
    def tracks(self) -> NDArray[Any]:
        """[tracks] structured: source_id, length, width, height (m; 0 = unknown), type, flags, first_step, ..."""
        return view(self._raw.tracks, (self._raw.track_count,), abi.dtype("nm_track"), self)

    @property
    def types(self) -> NDArray[Any]:
        """[tracks] uint8, see AGENT_TYPES."""
        return self.tracks["type"]

    @property
    def signal_states(self) -> Optional[NDArray[Any]]:
        """[signals, steps] uint8 as recorded (SIGNAL_STATES), None where none were; see :meth:`signal`."""
        count = self.map.signals.shape[0]
        return view(self._raw.signal_states, (count, self.step_count), np.uint8, self) if self._raw.signal_states else None

    def signal(self, index: int, step: int) -> str:
        """State of a signal: as recorded, else the cycle's, else ``"unknown"``."""
        if not 0 <= identity(index, "signal") < self.map.signals.shape[0] or not 0 <= identity(step, "step") < NONE:
            raise IndexError(f"there is no signal {index} at step {step}")
        return SIGNAL_STATES[int(abi.nm_scene_signal(self.address, index, step))]

    # --- words ---
    @property
    def map(self) -> Map:
        """What it drives on."""
        if self._map is None:
            self._map = Map(self._raw.map)
        return self._map

    @property
    def tags(self) -> List[str]:
        """Words about it."""
        pointers = view(self._raw.tags, (self._raw.tag_count,), np.uint64, self)
        return [abi.text(int(p)) for p in pointers]

    @property
    def provenance(self) -> Dict[str, Any]:
        """Where it came from: source, file, scene_id, record, program, seed, parent (a hash) and parameters (JSON)."""
        p = self._raw.provenance
        text = {name: abi.text(getattr(p, name)) for name in ("source", "file", "scene_id", "program", "parameters")}
        text["parameters"] = json.loads(text["parameters"] or "{}")
        return {**text, "record": p.record, "seed": p.seed, "parent": p.parent}

    def resample(self, dt: float = 0.1) -> "Scene":
        """The same scene with `dt` seconds between steps; worlds want 0.1."""
        out = ctypes.c_void_p()
        abi.call("nm_scene_resample", self.address, number(dt, "dt"), ctypes.byref(out))
        return Scene(out.value)

    def events(self) -> NDArray[Any]:
        """What the detectors find in it, see :func:`detect`."""
        return detect(self)

    def __repr__(self) -> str:
        return (f"<nearmiss.Scene of {self.track_count} tracks, {self.step_count} steps, "
                f"source {abi.text(self._raw.provenance.source)!r}>")


def builtin(spec: str, seed: int = 0) -> Scene:
    """Traffic on a built-in road: ``"highway:lanes=3,density=25"``. One step; the simulator makes the rest.

    spec  kind, and parameters; see ``nearmiss help simulate`` and sim/builtin.h. :data:`BUILTIN_MAPS` lists the kinds
    """
    out = ctypes.c_void_p()
    abi.call("nm_builtin_scene", encoded(spec, "map"), unsigned(seed, "seed", 64), ctypes.byref(out))
    return Scene(out.value)


def scene_of(value: Any, what: str = "scene") -> Scene:
    """A scene that was given as an argument."""
    if not isinstance(value, Scene):
        raise WrongType(f"{what} must be a nearmiss.Scene, such as store.scene(id), case.scene or nearmiss.builtin(...); "
                        f"not {shown(value)}")
    return value


def scenes_of(values: Any, what: str = "scenes") -> List[Scene]:
    """One scene or several; corner cases stand for theirs."""
    if isinstance(values, Scene):
        return [values]
    return [scene_of(getattr(value, "scene", value), f"each of {what}") for value in listed(values, what)]


BUILTIN_MAPS = names("nm_builtin_name", abi.NM_BUILTIN_COUNT)


def events_array(address: Optional[int], count: int) -> NDArray[Any]:
    """A copy of the library's events."""
    return view(address, (count,), EVENT_DTYPE, None).copy() if count else np.empty(0, EVENT_DTYPE)


def detect(scene: Scene) -> NDArray[Any]:
    """Finds and labels the dangerous moments of a scene, with the detectors' default parameters.

    Returns a structured array ordered by kind and step: ``kind`` (KINDS), ``first_step, last_step, critical_step``,
    ``actor``, ``other`` (tracks; NONE), ``min_ttc`` (s), ``min_distance`` (m), ``min_thw`` (s), ``max_drac`` (m/s^2),
    ``pet`` (s), ``closing_speed`` (m/s), ``gap`` (m), ``severity`` (0..1), ...; NaN where there is nothing to measure.
    """
    scratch = arena()
    events, count = ctypes.c_void_p(), ctypes.c_size_t()
    params = abi.nm_detect_params_default()
    abi.call("nm_detect", scene_of(scene).address, ctypes.byref(params), scratch.address, ctypes.byref(events),
             ctypes.byref(count), None)
    return events_array(events.value, count.value)
