"""Stores: one SQLite file with scenes and the dangerous moments in them."""
from __future__ import annotations

import ctypes
import json
import math
import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union, overload

import numpy as np
from numpy.typing import NDArray

from ._abi import Error, Handle, abi, arena, view
from ._arguments import WrongType, bounds, choice, encoded, identity, number, path_of, shown, unsigned
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
    """What was found, as a sequence of :class:`Hit` (a slice is Hits again) and, in ``array``, as a structured array (a copy).

    array  [hits] scene, event, kind (-1 = none), distance, source, scene_id, file, and in ``array["detail"]`` all
           numbers of the event: see :func:`nearmiss.detect`
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    @property
    def scenes(self) -> NDArray[Any]:
        """Ids of the scenes, each once, in the order in which they were found."""
        ids: NDArray[Any]
        ids, first = np.unique(self.array["scene"], return_index=True)
        in_order: NDArray[Any] = ids[np.argsort(first)]
        return in_order

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, index: int) -> Hit: ...

    @overload
    def __getitem__(self, index: slice) -> "Hits": ...

    def __getitem__(self, index: Union[int, slice]) -> Union[Hit, "Hits"]:
        if isinstance(index, slice):
            return Hits(self.array[index])
        row = self.array[identity(index, "the index of a hit")]
        detail = row["detail"]
        known = int(row["event"]) != 0

        def index_of(value: Any) -> Optional[int]:
            return int(value) if known and int(value) != abi.NM_NONE else None

        def measure(name: str) -> float:
            return float(detail[name]) if known else math.nan

        def text(name: str) -> str:
            return str(row[name].decode(errors="replace"))

        return Hit(int(row["scene"]), int(row["event"]), KINDS[row["kind"]] if row["kind"] >= 0 else None,
                   index_of(detail["critical_step"]), index_of(detail["actor"]), index_of(detail["other"]),
                   measure("min_ttc"), measure("min_distance"), measure("severity"), float(row["distance"]),
                   text("source"), text("scene_id"), text("file"))

    def __iter__(self) -> Iterator[Hit]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<nearmiss.Hits: {len(self)} events of {len(self.scenes)} scenes>"


class Store:
    """A store of scenes. ``with nearmiss.open("S.db") as store: ...``

    mode  ``"r"`` reads an existing file (the default), ``"w"`` writes to an existing one, ``"a"`` makes it when missing

    Used by one thread at a time; calls from several wait for each other. What it gives (scenes, arrays) outlives it.
    One that reads can be pickled, and goes on in a forked child: both open the file anew.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"], mode: str = "r") -> None:
        how = getattr(abi, choice(_MODES, mode, "mode"))
        place = path_of(path, "the path of a store")
        self.path = os.fspath(path)
        self.mode = mode
        self._place = os.fsdecode(os.path.abspath(place))  # also when the process goes to another folder
        self._handle = self._open(place, how)

    @staticmethod
    def _open(place: bytes, how: int) -> Handle:
        out = ctypes.c_void_p()
        abi.call("nm_store_open", place, how, ctypes.byref(out))
        return Handle(out.value, "nm_store_close", "store")

    def _live(self) -> Handle:
        """The handle of this process: SQLite's connections do not survive a fork, so that a child has to have its own."""
        if self._handle._pid != os.getpid() and not self._handle.closed:
            if self.mode != "r":
                raise Error("NM_E_ARGUMENT", "a store that is written to does not survive a fork: open it again in the child")
            self._handle = self._open(os.fsencode(self._place), abi.NM_STORE_READ)  # the other stays the parent's
        return self._handle

    def _call(self, name: str, *arguments: Any) -> None:
        handle = self._live()
        with handle.lock:
            abi.call(name, handle.address, *arguments)

    def __reduce__(self) -> Any:
        if self.mode != "r" or self._handle.closed:
            state = "is closed" if self._handle.closed else "is written to"
            raise TypeError(f"a nearmiss.Store that {state} can neither be pickled nor copied: open it where it is used")
        return Store, (self._place, "r")

    def close(self) -> None:
        """Closes the file; closing it twice is nothing. Scenes and arrays that came from it stay."""
        if self._handle._pid != os.getpid():  # the parent's, whose lock may be held
            self._handle.close()
            return
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
    def ids(self) -> NDArray[Any]:
        """[scenes] int64, ascending."""
        return self._ids("nm_store_scene_ids", -1)

    def _ids(self, function: str, argument: int) -> NDArray[Any]:
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

    def __contains__(self, what: object) -> bool:
        """Whether there is a scene with this id; or a scene of the same content."""
        if isinstance(what, Scene):
            id = ctypes.c_int64()
            try:
                self._call("nm_store_find_hash", what.hash, ctypes.byref(id))
            except Error as error:
                if error.code != "NM_E_NOT_FOUND":
                    raise
                return False
            return True
        return isinstance(what, (int, np.integer)) and bool((self.ids == what).any())

    def __iter__(self) -> Iterator[Scene]:
        return (self.scene(i) for i in self.ids)

    def scenes(self, **conditions: Any) -> List[Scene]:
        """The scenes that :meth:`find` finds with these conditions, each once; all of them without any."""
        ids = self.find(**{"limit": 0, **conditions}).scenes if conditions else self.ids
        return [self.scene(i) for i in ids]

    def put(self, scene: Scene) -> int:
        """Stores a scene and returns its id; one that is there already is not stored twice."""
        if not isinstance(scene, Scene):
            raise WrongType(f"a store holds scenes, not {shown(scene)}")
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

    def events(self, id: int) -> NDArray[Any]:
        """The labelled events of a scene, most severe first: see :func:`nearmiss.detect` for the fields."""
        scratch, events, count = arena(), ctypes.c_void_p(), ctypes.c_size_t()
        self._call("nm_store_get_events", identity(id, "scene"), scratch.address, ctypes.byref(events), ctypes.byref(count))
        return events_array(events.value, count.value)

    def generated(self, id: int) -> Optional[Dict[str, Any]]:
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

    def stats(self) -> Dict[str, Any]:
        """Scenes, agents, agent_states, maps, events, hours, bytes; and events by kind."""
        raw = abi.nm_store_stats()
        self._call("nm_store_get_stats", ctypes.byref(raw))
        plain = ("scenes", "agents", "agent_states", "maps", "events", "sources", "hours", "agent_hours", "mined", "bytes")
        return {**{name: getattr(raw, name) for name in plain}, "by_kind": dict(zip(KINDS, raw.by_kind))}

    # --- search ---
    def find(self, kind: Optional[str] = None, where: Optional[str] = None, like: Optional[int] = None, *,
             ttc: Optional[Tuple[Optional[float], Optional[float]]] = None,
             distance: Optional[Tuple[Optional[float], Optional[float]]] = None, severity: Optional[float] = None,
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
        query = abi.nm_query_default()
        texts = {"text": text, "source": source, "where": where}
        keep = {name: ctypes.create_string_buffer(encoded(value, name)) for name, value in texts.items() if value is not None}
        for name, buffer in keep.items():
            setattr(query, name, ctypes.addressof(buffer))
        if kind is not None:
            query.kind = abi.enumeration("nm_kind_from_name", kind, "kind", KINDS)
        for name, pair in (("ttc", ttc), ("distance", distance)):
            low, high = bounds(pair, name)
            setattr(query, f"{name}_min", low)
            setattr(query, f"{name}_max", high)
        query.severity_min = math.nan if severity is None else number(severity, "severity", 0.0, 1.0)
        if like is not None and identity(like, "like") == 0:  # the library's "none"
            raise Error("NM_E_NOT_FOUND", "there is no scene 0")
        query.like = 0 if like is None else identity(like, "like")
        query.limit, query.seconds = unsigned(limit, "limit"), number(seconds, "seconds", 0.0)
        scratch, hits, count = arena(), ctypes.c_void_p(), ctypes.c_size_t()
        self._call("nm_store_find_all", ctypes.byref(query), scratch.address, ctypes.byref(hits), ctypes.byref(count))
        dtype = abi.dtype("nm_hit")
        return Hits(view(hits.value, (count.value,), dtype, None).copy() if count.value else np.empty(0, dtype))

    def export(self, format: str, out: Union[str, "os.PathLike[str]"], where: Optional[str] = None, *options: str) -> str:
        """Writes scenes in somebody else's format into a folder, with the program ``nearmiss export``; returns what it
        printed. Error, with what it said, where a scene does not fit the format: the others are there all the same.

        format   womd, womd-example, osi, osi-complete, openscenario, opendrive, commonroad, nearmiss or csv
        where    only scenes with an event for which this holds, as in :meth:`find`; None = all scenes
        options  of ``nearmiss help export``: ``store.export("womd", "out", None, "--shards", "4")``
        """
        from .program import run

        self._live().address  # an error when it is closed
        words = {"format": format, **({} if where is None else {"where": where}),
                 **{f"option {i + 1}": option for i, option in enumerate(options)}}
        for what, word in words.items():
            encoded(word, what)
        place = os.fsdecode(path_of(out, "the folder of an export"))
        condition = [] if where is None else ["--where", where]
        return run("export", "--store", self._place, "--format", format, "--out", place, *condition, *options).rstrip("\n")


def open(path: Union[str, "os.PathLike[str]"], mode: str = "r") -> Store:
    """Opens a store: see :class:`Store`."""
    return Store(path, mode)
