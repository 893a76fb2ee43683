"""The C library: found, loaded, and understood from its own description (scenarios/abi.h).

Nothing about its structures or signatures is written down here. They are read from tables that the library carries, so
this package works with any build whose tables have the functions and fields that it uses, and refuses any other by the
name of what is missing.
"""
from __future__ import annotations

import ctypes
import ctypes.util
import os
import pathlib
import re
import sys
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from ._arguments import WrongType, shown

ABI_VERSION = 1  #: of the tables' own layout, NM_ABI_VERSION


class Error(Exception):
    """What the library refused.

    code   name of the status, such as ``"NM_E_NOT_FOUND"``
    input  file in which the trouble was found, or ``""``; line, from 1, and byte offset where they are known
    """

    def __init__(self, code: str, message: str, input: str = "", line: int = 0, offset: int = -1) -> None:
        place = input + (f":{line}" if line else f", offset {offset}" if offset >= 0 and input else "")
        super().__init__(f"{place}: {message}" if place else message)
        self.code = code
        self.message = message
        self.input = input
        self.line = line or None
        self.offset = offset if offset >= 0 else None

    def __reduce__(self) -> Any:
        return Error, (self.code, self.message, self.input, self.line or 0, -1 if self.offset is None else self.offset)


# --- the tables, whose layout is fixed ---


class _Field(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_char_p), ("offset", ctypes.c_uint32),
                ("size", ctypes.c_uint32), ("count", ctypes.c_uint32), ("reserved", ctypes.c_uint32)]


class _Type(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("size", ctypes.c_uint32), ("alignment", ctypes.c_uint32),
                ("is_enum", ctypes.c_uint32), ("field_count", ctypes.c_uint32), ("fields", ctypes.POINTER(_Field))]


class _Function(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("result", ctypes.c_char_p), ("arguments", ctypes.c_char_p),
                ("address", ctypes.c_void_p)]


class _Constant(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_int64)]


class _Tables(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("size", ctypes.c_uint32), ("program", ctypes.c_char_p),
                ("type_count", ctypes.c_uint32), ("function_count", ctypes.c_uint32),
                ("constant_count", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
                ("types", ctypes.POINTER(_Type)), ("functions", ctypes.POINTER(_Function)),
                ("constants", ctypes.POINTER(_Constant))]


_NUMBERS: Dict[str, Any] = {"char": ctypes.c_char, "i8": ctypes.c_int8, "u8": ctypes.c_uint8, "i16": ctypes.c_int16,
            "u16": ctypes.c_uint16, "i32": ctypes.c_int32, "u32": ctypes.c_uint32, "i64": ctypes.c_int64,
            "u64": ctypes.c_uint64, "f32": ctypes.c_float, "f64": ctypes.c_double, "pointer": ctypes.c_void_p}
_DTYPES = {"i8": "i1", "u8": "u1", "i16": "<i2", "u16": "<u2", "i32": "<i4", "u32": "<u4", "i64": "<i8", "u64": "<u8",
           "f32": "<f4", "f64": "<f8", "pointer": "<u8"}
_C_NUMBERS: Dict[str, Any] = {"void": None, "int": ctypes.c_int, "unsigned": ctypes.c_uint, "size_t": ctypes.c_size_t,
              "uint8_t": ctypes.c_uint8, "int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32,
              "int64_t": ctypes.c_int64, "uint64_t": ctypes.c_uint64, "float": ctypes.c_float,
              "double": ctypes.c_double}


class Abi:
    """Everything that the tables say.

    types      ctypes structures by name, as attributes of ``abi.types``
    constants  ``abi.NM_NONE``
    functions  ``abi.nm_scene_destroy``, with argument and result types set
    """

    def __init__(self, tables: _Tables, path: str, library: Any) -> None:
        self.path = path
        self._library = library  # kept loaded
        self.program = tables.program.decode()
        self._raw = {t.name.decode(): t for t in tables.types[: tables.type_count]}
        self._structures: dict[str, Any] = {}
        self._dtypes: Dict[str, np.dtype[Any]] = {}
        self._functions = {f.name.decode(): f for f in tables.functions[: tables.function_count]}
        for constant in tables.constants[: tables.constant_count]:
            setattr(self, constant.name.decode(), constant.value)

    def _fail(self, what: str) -> ImportError:
        return ImportError(f"{self.path} ({self.program}) does not fit this nearmiss package: {what}")

    def __getattr__(self, name: str) -> Any:
        """A function, a type or a constant of the library; ImportError, naming it, where there is none."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._functions:
            value: Any = self._make_function(name)
        elif name in self._raw:
            value = self.structure(name)
        else:
            raise self._fail(f"it has no {name}")
        setattr(self, name, value)
        return value

    def structure(self, name: str) -> Any:
        """The ctypes structure of a type; opaque ones are bytes. Checked: every offset and the size are the table's."""
        if name in self._structures:
            return self._structures[name]
        if name not in self._raw:
            raise self._fail(f"it has no type {name}")
        raw = self._raw[name]
        if raw.is_enum:
            made: Any = ctypes.c_int
        elif raw.field_count == 0:
            unit = {8: ctypes.c_uint64, 4: ctypes.c_uint32}.get(raw.alignment, ctypes.c_uint8)
            made = type(name, (ctypes.Structure,), {"_fields_": [("opaque", unit * (raw.size // ctypes.sizeof(unit)))]})
        else:
            fields = []
            for field in raw.fields[: raw.field_count]:
                kind = field.type.decode()
                one = _NUMBERS[kind] if kind in _NUMBERS else self.structure(kind)
                count = field.size // ctypes.sizeof(one)
                if count != field.count:
                    raise self._fail(f"{name}.{field.name.decode()} has {field.size} bytes for {field.count} {kind}")
                fields.append((field.name.decode(), one if count == 1 and kind != "char" else one * count))
            made = type(name, (ctypes.Structure,), {"_fields_": fields})
            for field in raw.fields[: raw.field_count]:
                offset = getattr(made, field.name.decode()).offset
                if offset != field.offset:
                    raise self._fail(f"{name}.{field.name.decode()} lies at {field.offset}, not at {offset}")
        if not raw.is_enum and ctypes.sizeof(made) != raw.size:
            raise self._fail(f"{name} has {raw.size} bytes, not {ctypes.sizeof(made)}")
        self._structures[name] = made
        return made

    def dtype(self, name: str) -> "np.dtype[Any]":
        """The same as a structured NumPy dtype, pointers as integers: for views of arrays of structures."""
        if name in self._dtypes:
            return self._dtypes[name]
        raw = self._raw[name]
        names, formats, offsets = [], [], []
        for field in raw.fields[: raw.field_count]:
            kind = field.type.decode()
            if kind == "char":
                one: Any = f"S{field.size}"
            else:
                one = np.dtype(_DTYPES[kind]) if kind in _DTYPES else self.dtype(kind)
                one = (one, (field.count,)) if field.count > 1 else one
            names.append(field.name.decode())
            formats.append(one)
            offsets.append(field.offset)
        made = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": raw.size})
        self._dtypes[name] = made
        return made

    def _c_type(self, text: str) -> Any:
        words = [w for w in re.sub(r"\*", " * ", text).split() if w not in ("const", "struct")]
        stars = words.count("*")
        base = words[0]
        if stars == 1 and base == "char":
            return ctypes.c_char_p
        if stars:
            return ctypes.c_void_p
        if base in _C_NUMBERS:
            return _C_NUMBERS[base]
        if base in self._raw:
            return self.structure(base)
        return ctypes.c_int  # an enumeration that no structure has

    def _make_function(self, name: str) -> Any:
        raw = self._functions[name]
        arguments = [a.strip() for a in raw.arguments.decode().strip("()").split(",")]
        types = [] if arguments == ["void"] else [self._c_type(a) for a in arguments]
        prototype = ctypes.CFUNCTYPE(self._c_type(raw.result.decode()), *types)
        return prototype(raw.address)

    # --- calls ---

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function that returns nm_status and takes nm_error * last; raises Error unless NM_OK."""
        error = self.nm_error()
        status = getattr(self, name)(*arguments, ctypes.byref(error))
        if status != 0:
            raise self.error(status, error)

    def error(self, status: int, error: Any = None) -> Error:
        code = self.nm_status_name(status).decode()
        if error is None or error.code == 0:
            return Error(code, code)
        return Error(code, error.message.decode(errors="replace"), error.input.decode(errors="replace"), error.line,
                     error.offset)

    def text(self, address: Optional[int]) -> str:
        """The text a pointer of a structure points to; "" for NULL."""
        return ctypes.string_at(address).decode(errors="replace") if address else ""

    def enumeration(self, function: str, name: Any, what: str, names: Iterable[str]) -> int:
        """Value of `name` by one of the library's ..._from_name functions; ValueError with what there is."""
        value = ctypes.c_int()
        if not isinstance(name, str):
            raise WrongType(f"{what} must be one of: {', '.join(names)}; not {shown(name)}")
        if "\0" in name or not getattr(self, function)(name.encode(errors="replace"), ctypes.byref(value)):
            raise ValueError(f"{what} {name!r} is none of: {', '.join(names)}")
        return value.value


# --- finding and loading ---


def _candidates() -> Iterator[pathlib.Path]:
    here = pathlib.Path(__file__).resolve().parent
    named = os.environ.get("NEARMISS_LIBRARY")
    if named:  # and no other in its stead
        yield pathlib.Path(named)
        return
    yield here / "libnearmiss.so"
    root = here.parent.parent
    if (root / "scenarios" / "abi.h").exists():  # a source tree
        for preset in ("release", "debug"):
            yield root / "build" / preset / "libnearmiss.so"
    found = ctypes.util.find_library("nearmiss")
    if found:
        yield pathlib.Path(found)


def _open() -> Abi:
    looked = []
    for path in _candidates():
        looked.append(str(path))
        if path.is_absolute() or path.parent != pathlib.Path("."):
            if not path.exists():
                continue
        try:
            library = ctypes.CDLL(str(path))
        except OSError as failure:
            raise ImportError(f"can not load {path}: {failure}. It needs the libraries that nearmiss is built with; "
                              "see docs/python.md") from None
        for name in ("nm_abi_version", "nm_abi"):
            if not hasattr(library, name):
                raise ImportError(f"{path} has no {name}: it is older than this package, or no nearmiss library")
        version = library.nm_abi_version()
        if version != ABI_VERSION:
            raise ImportError(f"{path} has ABI version {version}; this package reads version {ABI_VERSION}")
        library.nm_abi.restype = ctypes.POINTER(_Tables)
        tables = library.nm_abi().contents
        if tables.size != ctypes.sizeof(_Tables):
            raise ImportError(f"{path}: nm_abi_tables has {tables.size} bytes, not {ctypes.sizeof(_Tables)}")
        return Abi(tables, str(path), library)
    raise ImportError("libnearmiss.so was not found; looked at " + ", ".join(looked) +
                      ". NEARMISS_LIBRARY names another place")


abi = _open()

#: what this package uses: checked when it is imported, so that nothing is missed in the middle of work
_USED = {
    "nm_scene": ["map", "dt", "step_count", "current_step", "ego", "track_count", "tracks", "valid", "x", "y", "z",
                 "heading", "vx", "vy", "state_length", "state_width", "signal_states", "provenance", "hash", "tag_count",
                 "tags"],
    "nm_map": ["origin", "lane_count", "lanes", "point_count", "centre", "left", "right", "z", "line_count", "lines",
               "line_point_count", "line_points", "area_count", "areas", "area_point_count", "area_points",
               "stop_line_count", "stop_lines", "signal_count", "signals", "lane_ref_count", "lane_refs", "hash",
               "bounds_min", "bounds_max"],
    "nm_track": ["source_id", "length", "width", "height", "type", "flags", "first_step", "last_step"],
    "nm_world_config": ["seed", "start_step", "agents", "ego", "idm"],
    "nm_world_view": ["step", "count", "track", "slot_of", "x", "y", "heading", "speed", "accel", "vx", "vy",
                      "curvature", "length", "width", "type", "lane", "off_road", "ttc", "events"],
    "nm_vector_env_config": ["env_count", "scenes", "scene_count", "control", "action", "action_steps",
                             "autoreset", "others", "agents",
                             "start_step", "max_steps", "seed", "shuffle", "threads", "neighbours", "lane_points",
                             "route_points"],
    "nm_vector_buffers": ["observation", "reward", "terminated", "truncated", "active", "events", "progress",
                          "final_observation", "scene", "step"],
    "nm_hit": ["scene", "event", "kind", "detail", "distance", "source", "scene_id", "file"],
    "nm_event": ["kind", "first_step", "last_step", "critical_step", "actor", "other", "min_ttc", "severity"],
    "nm_planner_vtable": ["abi", "size", "name", "create", "destroy", "needs", "begin", "plan", "end"],
    "nm_planner_observation": ["step", "time", "seed", "ego", "ego_history", "agents", "signals", "map", "route",
                               "route_position", "route_offset", "goal_box_centre"],
    "nm_planner_output": ["answer", "point_count", "point_capacity", "points", "acceleration_ahead",
                          "rear_axle_curvature", "steering_rate", "text"],
    "nm_episode": ["outcome", "reason", "score", "scene", "samples", "min_ttc", "min_distance", "danger",
                   "ego_track"],
    "nm_corner_config": ["kinds", "kind_count", "sources", "source_count", "source_weights", "generators", "count",
                         "hours", "seed", "steps", "traffic", "model", "recipe", "run", "ego"],
}


def _check(library: Abi) -> None:
    for name, fields in _USED.items():
        structure = library.structure(name)
        have = {field[0] for field in structure._fields_}
        for field in fields:
            if field not in have:
                raise library._fail(f"{name} has no {field}")


_check(abi)


# --- memory of the library, seen as arrays ---


class _Memory:
    """What an array is a view of: an address, and who keeps it."""

    def __init__(self, address: int, shape: Tuple[int, ...], dtype: "np.dtype[Any]", owner: Any, writable: bool) -> None:
        self.owner = owner
        self.__array_interface__ = {"version": 3, "data": (address, not writable), "shape": shape,
                                    "typestr": dtype.str, "descr": dtype.descr if dtype.names is None else [("", dtype.str)]}


def view(address: Optional[int], shape: Tuple[int, ...], dtype: Any, owner: Any) -> NDArray[Any]:
    """A read-only array over memory of the library, which `owner` keeps; empty where there is nothing."""
    dtype = np.dtype(dtype)
    if not address or 0 in shape:
        empty = np.empty(tuple(0 if not address and i == 0 else n for i, n in enumerate(shape)), dtype)
        empty.flags.writeable = False
        return empty
    if dtype.names is None:
        return np.asarray(_Memory(address, shape, dtype, owner, False))
    count = int(np.prod(shape))
    raw = np.asarray(_Memory(address, (count * dtype.itemsize,), np.dtype("u1"), owner, False))
    array: NDArray[Any] = raw.view(dtype).reshape(shape)
    return array


class _Lock:
    """A lock that says so where one would wait for oneself: a callback of a call that uses the same object."""

    def __init__(self, what: str) -> None:
        self._lock, self._owner, self._what = threading.Lock(), 0, what

    def acquire(self, blocking: bool = True) -> bool:
        if blocking and self._owner == threading.get_ident():
            raise Error("NM_E_BUSY", f"this {self._what} is in use by the call that is calling back")
        taken = self._lock.acquire(blocking)
        if taken:
            self._owner = threading.get_ident()
        return taken

    def release(self) -> None:
        self._owner = 0
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: Any) -> None:
        self.release()


class Handle:
    """An object of the library. Closing it twice is nothing; using it after that is an Error."""

    def __init__(self, address: Optional[int], destroy: str, what: str) -> None:
        self._address = address
        self._destroy = getattr(abi, destroy)
        self._what = what
        self._pid = os.getpid()
        self.lock = _Lock(what)

    @property
    def address(self) -> int:
        if self._address is None:
            raise Error("NM_E_ARGUMENT", f"this {self._what} is closed")
        return self._address

    @property
    def closed(self) -> bool:
        return self._address is None

    def close(self) -> None:
        address, self._address = self._address, None
        if address is not None and self._pid == os.getpid():  # in a forked child it is the parent's
            self._destroy(address)

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the interpreter is ending
            pass


def unpicklable(advice: str) -> Callable[[Any, Any], Any]:
    """A __reduce_ex__ for what lives in one process only; also of copy.copy."""
    def refuse(self: Any, _: Any) -> Any:
        raise TypeError(f"a nearmiss.{type(self).__name__} can neither be pickled nor copied: {advice}")

    return refuse


def arena() -> Handle:
    address = abi.nm_arena_create(0)
    if not address:
        raise MemoryError("no memory for an arena")
    return Handle(address, "nm_arena_destroy", "arena")


class Guard:
    """Around calls of the library that call Python back: what Python raises, Ctrl-C too, is kept, stops the library,
    and is raised again by `check` once it has returned.

    A signal is seen when Python is entered, which may be on the first instruction of a callback, before any `try`:
    ctypes hands that to sys.unraisablehook and goes on. So the hook is ours inside ``with guard:``.
    """

    def __init__(self) -> None:
        self.trouble: Optional[BaseException] = None
        self._before: Any = None

    def __enter__(self) -> "Guard":
        if threading.current_thread() is threading.main_thread():  # no other sees signals
            self._before = sys.unraisablehook
            sys.unraisablehook = self._unraisable
        return self

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            sys.unraisablehook, self._before = self._before, None

    def _unraisable(self, about: Any) -> None:
        lost = about.exc_value
        if lost is not None and (not isinstance(lost, Exception) or "ctypes callback" in (about.err_msg or "")):
            self.trouble = self.trouble or lost
        else:
            self._before(about)

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Runs a function, keeps what it raises."""
        try:
            if self.trouble is None:
                function(*arguments)
        except BaseException as problem:
            self.trouble = problem

    def stop(self, _: Any = None) -> int:
        """For the library to ask whether to stop. Running Python is what lets Python see a signal."""
        return int(self.trouble is not None)

    def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble


def names(function: str, count: int) -> List[str]:
    """The library's names of the values 0 .. count - 1 of an enumeration."""
    return [getattr(abi, function)(i).decode() for i in range(count)]
