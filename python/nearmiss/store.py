"""Stores: one SQLite file with scenes and the dangerous moments in them."""
from __future__ import annotations

import ctypes
import json
import math
import operator
import os
from typing import Any, Iterator, NamedTuple, Optional, Union

import numpy as np

from ._abi import Error, Handle, abi, arena, encoded, identity, path_of, unsigned, view
from .scene import KINDS, Scene, events_array

_MODES = {"r": "NM_STORE_READ", "w": "NM_STORE_WRITE", "a": "NM_STORE_CREATE"}


class Hit(NamedTuple):
    """One event of a scene, as :meth:`Store.find` gives it; ``kind`` is None for a scene without any."""

    scene: int  #: id in the store
    event: int  #: 0 = none
    kind: Optional[str]
    step: Optional[int]  #: the critical one
    actor: Optional[int]  #: track that does it
    other: Optional[int]  #: track that suffers it
    min_ttc: float  #: s, NaN = none
    min_distance: float  #: m
    severity: float  #: 0..1
    distance: float  #: of likeness, with ``like``
    source: str
    scene_id: str
    file: str


class Hits:
    """What was found, as a sequence of :class:`Hit` and, in ``array``, as a structured array (a copy).

    array  [hits] scene, event, kind (-1 = none), distance, source, scene_id, file, and in ``array["detail"]`` all
           numbers of the event: see :func:`nearmiss.detect`
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @property
    def scenes(self) -> np.ndarray:
        """Ids of the scenes, each once, in the order in which they were found."""
        ids, first = np.unique(self.array["scene"], return_index=True)
        return ids[np.argsort(first)]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Hit:
        row = self.array[operator.index(index)]
        detail = row["detail"]
        known = int(row["event"]) != 0
        index_of = lambda value: int(value) if known and int(value) != abi.NM_NONE else None  # noqa: E731
        number = lambda name: float(detail[name]) if known else math.nan  # noqa: E731
        text = lambda name: row[name].decode(errors="replace")  # noqa: E731
        return Hit(int(row["scene"]), int(row["event"]), KINDS[row["kind"]] if row["kind"] >= 0 else None,
                   index_of(detail["critical_step"]), index_of(detail["actor"]), index_of(detail["other"]),
                   number("min_ttc"), number("min_distance"), number("severity"), float(row["distance"]),
                   text("source"), text("scene_id"), text("file"))

    def __iter__(self) -> Iterator[Hit]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<nearmiss.Hits: {len(self)} events of {len(self.scenes)} scenes>"


class Store:
    """A store of scenes. ``with nearmiss.open("S.db") as store: ...``

    mode  ``"r"`` reads an existing file (the default), ``"w"`` writes to an existing one, ``"a"`` makes it when missing

    Used by one thread at a time; calls from several wait for each other. What it gives (scenes, arrays) outlives it.
    """

    def __init__(self, path: Union[str, os.PathLike], mode: str = "r") -> None:
        if mode not in _MODES:
            raise ValueError(f"mode {mode!r} is none of: {', '.join(_MODES)}")
        self.path = os.fspath(path)
        self.mode = mode
        self._place = os.fsdecode(os.path.abspath(self.path))  # also when the process goes to another folder
        out = ctypes.c_void_p()
        abi.call("nm_store_open", path_of(path), getattr(abi, _MODES[mode]), ctypes.byref(out))
        self._handle = Handle(out.value, "nm_store_close", "store")

    def _call(self, name: str, *arguments: Any) -> None:
        if self._handle._pid != os.getpid():
            raise Error("NM_E_ARGUMENT", "a store does not survive a fork: open it again in the child")
        with self._handle.lock:
            abi.call(name, self._handle.address, *arguments)

    def close(self) -> None:
        with self._handle.lock:
            self._handle.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<nearmiss.Store {self.path!r}{' closed' if self._handle.closed else ''}>"

    # --- scenes ---
    @property
    def ids(self) -> np.ndarray:
        """[scenes] int64, ascending."""
        return self._ids("nm_store_scene_ids", -1)

    def _ids(self, function: str, argument: int) -> np.ndarray:
        scratch, ids, count = arena(), ctypes.c_void_p(), ctypes.c_size_t()
        self._call(function, argument, scratch.address, ctypes.byref(ids), ctypes.byref(count))
        return view(ids.value, (count.value,), np.int64, None).copy()

    def scene(self, id: int) -> Scene:
        """A scene, its arrays views of memory of its own. Error with NM_E_NOT_FOUND where there is none."""
        out = ctypes.c_void_p()
        self._call("nm_store_get_scene", identity(id, "scene"), ctypes.byref(out))
        return Scene(out.value)

    __getitem__ = scene

    def __len__(self) -> int:
        return int(self.stats()["scenes"])

    def __iter__(self) -> Iterator[Scene]:
        return (self.scene(i) for i in self.ids)

    def scenes(self, **conditions: Any) -> list:
        """The scenes that :meth:`find` finds with these conditions, each once; all of them without any."""
        ids = self.find(**{"limit": 0, **conditions}).scenes if conditions else self.ids
        return [self.scene(i) for i in ids]

    def put(self, scene: Scene) -> int:
        """Stores a scene and returns its id; one that is there already is not stored twice."""
        if not isinstance(scene, Scene):
            raise ValueError(f"a store holds scenes, not {type(scene).__name__}")
        id = ctypes.c_int64()
        try:
            self._call("nm_store_put_scene", scene.address, ctypes.byref(id))
        except Error as error:
            if error.code != "NM_E_EXISTS":
                raise
        return id.value

    def delete(self, id: int) -> None:
        """Takes a scene out, with its events."""
        self._call("nm_store_delete_scene", identity(id, "scene"))

    def events(self, id: int) -> np.ndarray:
        """The labelled events of a scene, most severe first: see :func:`nearmiss.detect` for the fields."""
        scratch, events, count = arena(), ctypes.c_void_p(), ctypes.c_size_t()
        self._call("nm_store_get_events", identity(id, "scene"), scratch.address, ctypes.byref(events), ctypes.byref(count))
        return events_array(events.value, count.value)

    def generated(self, id: int) -> Optional[dict]:
        """What a corner case was generated for: kind, generator, severity, label (could a careful driver have avoided
        it?), and requested, achieved, verdicts by name. None for scenes that were not."""
        scratch, row = arena(), abi.nm_generated()
        try:
            self._call("nm_store_get_generated", identity(id, "scene"), scratch.address, ctypes.byref(row))
        except Error as error:
            if error.code != "NM_E_NOT_FOUND":
                raise
            return None
        return {"kind": KINDS[row.kind], "generation": row.generation,
                **{name: abi.text(getattr(row, name)) for name in ("generator", "severity", "label")},
                **{name: json.loads(abi.text(getattr(row, name)) or "{}")
                   for name in ("requested", "achieved", "verdicts")}}

    def stats(self) -> dict:
        """Scenes, agents, agent_states, maps, events, hours, bytes; and events by kind."""
        raw = abi.nm_store_stats()
        self._call("nm_store_get_stats", ctypes.byref(raw))
        plain = ("scenes", "agents", "agent_states", "maps", "events", "sources", "hours", "agent_hours", "mined", "bytes")
        return {**{name: getattr(raw, name) for name in plain}, "by_kind": dict(zip(KINDS, raw.by_kind))}

    # --- search ---
    def find(self, kind: Optional[str] = None, where: Optional[str] = None, like: Optional[int] = None, *,
             ttc: Optional[tuple] = None, distance: Optional[tuple] = None, severity: Optional[float] = None,
             text: Optional[str] = None, source: Optional[str] = None, limit: int = 20, seconds: float = 60.0) -> Hits:
        """Finds events, most severe first; the conditions of ``nearmiss find``.

        kind      one of KINDS
        where     an SQL expression over the columns of the view ``events``: ``"min_ttc_s < 1.5"``
        like      id of a scene: others by likeness to it, nearest first
        ttc, distance   (low, high) in s and m; None for an open end
        severity  at least, 0..1
        text      words among tags, source, file and scene id; "high*" is a prefix
        source    exactly, such as ``"manoeuvre"``
        limit     at most so many; 0 = all
        seconds   after which a search is given up; 0 = never
        """
        if not seconds >= 0:
            raise ValueError(f"a search can not take {seconds!r} seconds")
        query = abi.nm_query_default()
        texts = {"text": text, "source": source, "where": where}
        keep = {name: ctypes.create_string_buffer(encoded(value, name)) for name, value in texts.items() if value is not None}
        for name, buffer in keep.items():
            setattr(query, name, ctypes.addressof(buffer))
        if kind is not None:
            query.kind = abi.enumeration("nm_kind_from_name", kind, "kind", KINDS)
        for name, bounds in (("ttc", ttc), ("distance", distance)):
            low, high = bounds if bounds is not None else (None, None)
            setattr(query, f"{name}_min", math.nan if low is None else low)
            setattr(query, f"{name}_max", math.nan if high is None else high)
        query.severity_min = math.nan if severity is None else severity
        if like is not None and identity(like, "like") == 0:  # the library's "none"
            raise Error("NM_E_NOT_FOUND", "there is no scene 0")
        query.like = 0 if like is None else identity(like, "like")
        query.limit, query.seconds = unsigned(limit, "limit"), seconds
        scratch, hits, count = arena(), ctypes.c_void_p(), ctypes.c_size_t()
        self._call("nm_store_find_all", ctypes.byref(query), scratch.address, ctypes.byref(hits), ctypes.byref(count))
        dtype = abi.dtype("nm_hit")
        return Hits(view(hits.value, (count.value,), dtype, None).copy() if count.value else np.empty(0, dtype))

    def export(self, format: str, out: Union[str, os.PathLike], where: Optional[str] = None, *options: str) -> str:
        """Writes scenes in somebody else's format into a folder, with the program ``nearmiss export``; returns what it
        printed. Error, with what it said, where a scene does not fit the format: the others are there all the same.

        format   womd, womd-example, osi, osi-complete, openscenario, opendrive, commonroad, nearmiss or csv
        where    only scenes with an event for which this holds, as in :meth:`find`; None = all scenes
        options  of ``nearmiss help export``: ``store.export("womd", "out", None, "--shards", "4")``
        """
        from .program import run

        condition = [] if where is None else ["--where", where]
        return run("export", "--store", self._place, "--format", format, "--out", os.fsdecode(out), *condition, *options)


def open(path: Union[str, os.PathLike], mode: str = "r") -> Store:
    """Opens a store: see :class:`Store`."""
    return Store(path, mode)
