"""Corner cases on request, as `nearmiss generate --kind` makes them."""
from __future__ import annotations

import ctypes
import json
import os
import pathlib
import tempfile
from typing import (Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, Union,
                    overload)

import numpy as np
from numpy.typing import NDArray

from ._abi import Error, Guard, Handle, abi, names
from ._arguments import WrongType, choice, encoded, identity, listed, number, path_of, shown, steps_of, unsigned
from .scene import BUILTIN_MAPS, KINDS, Scene, builtin, scenes_of
from .simulate import at_simulation_step
from .store import Store

GENERATORS = names("nm_case_generator_name", abi.NM_CASE_GENERATOR_COUNT)  #: manoeuvre, resample, diffusion
SEVERITIES = names("nm_severity_name", abi.NM_SEVERITY_COUNT)
_DENSITY = "density=15"  # as `nearmiss generate --map all`: room for manoeuvres
_VARIANTS = 2

_STOP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_PROGRESS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_double)


def _spec(kind: int) -> Any:
    return abi.nm_kind_spec.from_address(abi.nm_kind_spec_of(kind))


def kinds() -> Dict[str, Dict[str, Any]]:
    """What can be asked for: per kind its definition, severities, and parameters with unit, bounds and source."""
    table = {}
    for index, name in enumerate(KINDS):
        spec = _spec(index)
        if not spec.generable:
            continue
        table[name] = {
            "definition": abi.text(spec.definition),
            "severities": [s for i, s in enumerate(SEVERITIES) if spec.severities >> i & 1],
            "params": {abi.text(p.name): {"unit": abi.text(p.unit), "bounds": (p.bounds.low, p.bounds.high),
                                          "about": abi.text(p.source)} for p in spec.params[: spec.param_count]}}
    return table


class Case(NamedTuple):
    """One corner case."""

    scene: Scene
    kind: str
    generator: str
    severity: str  #: that was asked for
    label: str  #: what a careful driver could have done, such as "avoidable"; "" = not judged
    requested: Dict[str, float]  #: numbers by name of the parameter
    achieved: Dict[str, float]  #: as measured in the scene
    verdicts: Dict[str, Any]  #: by name: motion, road, rules, ...
    events: NDArray[Any]  #: most severe first: see :func:`nearmiss.detect`
    id: Optional[int]  #: in the store they went into


class Cases:
    """What :func:`generate` made: a sequence of :class:`Case`; a slice is a list of them.

    yields  per kind and generator: attempts, kept, given_up
    ids     [cases] in the store, [] for those in memory; hours of all of the set
    """

    def __init__(self, store: Optional[Store], ids: Iterable[int], cases: Optional[List[Case]], yields: List[Dict[str, Any]],
                 hours: float) -> None:
        self._store, self._cases = store, cases
        self.ids, self.yields, self.hours = [int(i) for i in ids], yields, hours

    def __len__(self) -> int:
        return len(self.ids if self._cases is None else self._cases)

    @overload
    def __getitem__(self, index: int) -> Case: ...

    @overload
    def __getitem__(self, index: slice) -> List[Case]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[Case, List[Case]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = identity(index, "the index of a case")
        if self._cases is not None:
            return self._cases[index]
        assert self._store is not None
        return _case(self._store, self.ids[index], True)

    def __reduce__(self) -> Any:
        place = None if self._store is None else self._store._place
        return _cases_again, (place, self.ids, self._cases, self.yields, self.hours)

    def __iter__(self) -> Iterator[Case]:
        return (self[i] for i in range(len(self)))

    @property
    def scenes(self) -> List[Scene]:
        """Their scenes."""
        return [case.scene for case in self]

    def __repr__(self) -> str:
        return f"<nearmiss.Cases: {len(self)}>"


def _cases_again(place: Optional[str], ids: List[int], cases: Optional[List[Case]], yields: List[Dict[str, Any]],
                 hours: float) -> Cases:
    return Cases(None if place is None else Store(place), ids, cases, yields, hours)


def _case(store: Store, id: int, keep_id: bool) -> Case:
    about = store.generated(id) or {}
    return Case(store.scene(id), about["kind"], about["generator"], about["severity"], about["label"],
                about["requested"], about["achieved"], about["verdicts"], store.events(id), id if keep_id else None)


def _sources(maps: Any, scenes: Optional[Iterable[Scene]], seed: int) -> List[Scene]:
    sources: List[Scene] = []
    if maps is None and scenes is None:
        maps = "all"
    for spec in [maps] if isinstance(maps, str) else [] if maps is None else listed(maps, "maps"):
        encoded(spec, "each of maps")
        if spec == "all":
            sources += [builtin(f"{name}:{_DENSITY}", seed + i) for name in BUILTIN_MAPS for i in range(_VARIANTS)]
        else:
            sources.append(builtin(spec, seed))
    sources += [at_simulation_step(scene) for scene in ([] if scenes is None else scenes_of(scenes))]
    if not sources:
        raise ValueError("there is neither a map nor a scene to make corner cases on")
    # however they were named, the same scenes come in the same order
    return sorted(sources, key=lambda s: (s.hash, s.provenance["file"], s.provenance["record"]))


def _shares(generator: Union[str, Dict[str, float]]) -> List[float]:
    if not isinstance(generator, (str, dict)):
        raise WrongType(f"generator must be a name or a dict of shares by name, not {shown(generator)}")
    shares = {generator: 1.0} if isinstance(generator, str) else dict(generator)
    if generator == "all":
        shares = {name: 1.0 for name in GENERATORS}
    for name in shares:
        if name not in GENERATORS:
            raise ValueError(f"generator {name!r} is none of: {', '.join(GENERATORS)}")
    return [number(shares.get(name, 0.0), f"the share of {name}", 0.0) for name in GENERATORS]


def _describe_kind(row: Any, collisions: float) -> Dict[str, Any]:
    spec = _spec(row.kind)
    described: Dict[str, Any] = {"kind": KINDS[row.kind], "collisions": collisions}
    for s, severity in enumerate(SEVERITIES):
        if spec.severities >> s & 1:
            described[severity] = {"given": row.ranges[s].given, **{
                abi.text(p.name): [row.ranges[s].range[i].low, row.ranges[s].range[i].high]
                for i, p in enumerate(spec.params[: spec.param_count])}}
    return described


def _range(name: str, wanted: Any) -> Tuple[float, float]:
    """A number, or low and high."""
    what = f"the range of {encoded(name, 'a parameter').decode()}"
    try:
        low, high = wanted
    except (TypeError, ValueError):
        if np.ndim(wanted) != 0:
            raise WrongType(f"{what} must be a number or a pair (low, high), not {shown(wanted)}") from None
        low = high = wanted
    return number(low, what), number(high, what)


def _set_params(row: Any, params: Dict[str, Any], collisions: float) -> Set[str]:
    """Ranges that a kind has; which of the names it knows."""
    taken: Set[str] = set()
    spec = _spec(row.kind)
    for name, wanted in params.items():
        low, high = _range(name, wanted)
        text = f"{name}={low:.9g}:{high:.9g}".encode()
        if name not in [abi.text(p.name) for p in spec.params[: spec.param_count]]:
            continue
        for s in range(len(SEVERITIES)):
            if not spec.severities >> s & 1 or collisions == (0.0 if s == abi.NM_SEVERITY_COLLISION else 1.0):
                continue
            if s == abi.NM_SEVERITY_COLLISION and name == "min_ttc":
                continue
            abi.call("nm_kind_ranges_set", ctypes.byref(row.ranges[s]), text)
            taken.add(name)
    return taken


def shipped_model() -> str:
    """Path of the weights that come with the package: what NEARMISS_MODEL names, else those in the wheel, else the
    source tree's, else ``share/nearmiss`` of where the library is installed. Error with NM_E_NOT_FOUND, and the places
    that were looked at."""
    named = os.environ.get("NEARMISS_MODEL")
    if named:  # and no other in its stead
        return named
    here, library = pathlib.Path(__file__).resolve().parent, pathlib.Path(abi.path).resolve().parent
    name = "nearmiss.safetensors"
    places = [here / name, library / ".." / "share" / "nearmiss" / name,
              library / ".." / ".." / "share" / "nearmiss" / name]  # lib, and lib/x86_64-linux-gnu
    if (here.parent.parent / "scenarios" / "abi.h").exists():  # a source tree
        places.insert(1, here.parent.parent / "nexus" / "weights" / name)
    for place in places:
        if place.exists():
            return os.path.normpath(place)
    raise Error("NM_E_NOT_FOUND", "there are no weights: none were named, NEARMISS_MODEL is not set, and there is no " +
                ", nor ".join(os.path.normpath(p) for p in places))


class _Model:
    """Weights, and what they run on."""

    def __init__(self, path: Union[str, "os.PathLike[str]"]) -> None:
        config, backend, model = abi.nm_backend_config_default(), ctypes.c_void_p(), ctypes.c_void_p()
        abi.call("nm_backend_create_cpu", ctypes.byref(config), ctypes.byref(backend))
        self.backend = Handle(backend.value, "nm_backend_destroy", "backend")
        self.recipe = abi.nm_recipe()
        abi.call("nm_recipe_load", path_of(path), self.backend.address, ctypes.byref(model),
                 ctypes.byref(self.recipe))
        self.model = Handle(model.value, "nm_model_destroy", "model")
        number = ctypes.c_uint64()
        abi.call("nm_model_hash", self.model.address, ctypes.byref(number))
        self.hash = f"{number.value:016x}"

    def close(self) -> None:
        self.model.close()
        self.backend.close()


def generate(kinds: Union[str, Sequence[str]], count: int = 10, *, seed: int = 0,
             maps: Union[str, Sequence[str], None] = None, scenes: Optional[Iterable[Scene]] = None,
             into: Union[Store, str, "os.PathLike[str]", None] = None, params: Optional[Dict[str, Any]] = None,
             severity: Optional[str] = None, generator: Union[str, Dict[str, float]] = "manoeuvre", sampling: str = "uniform",
             seconds: float = 10.0, traffic: int = 6, adversaries: int = 1, hours: float = 0.0, threads: int = 0,
             model: Union[str, "os.PathLike[str]", None] = None,
             progress: Optional[Callable[[int, float], None]] = None) -> Cases:
    """Makes corner cases: scenes in which the ego reacts and the conflict happens all the same, confirmed by the
    detectors and judged. The same arguments make the same cases, for any number of threads.

    kinds      names (:func:`nearmiss.kinds`), or ``"all"``: every kind that can be made here
    count      scenes of each kind; or hours of all together, with ``count=0``
    maps       built-in roads, such as ``"on_ramp:density=15"``, or ``"all"`` (the default where there are no scenes)
    scenes     recorded or simulated scenes, whose maps and traffic are used: ``store.scenes(...)``
    into       a store, or the path of one (made when missing); None keeps them in memory
    params     ranges by name: ``{"gap": (3, 8)}``, in the unit that :func:`nearmiss.kinds` says
    severity   ``"near_miss"``, ``"collision"``, or None: a quarter of the attempts are to collide
    generator  ``"manoeuvre"``, ``"resample"``, ``"diffusion"``, ``"all"``, or shares by name
    model      weights (.safetensors) for diffusion; None: those that come with the package
    progress   called after each round with scenes kept and hours
    """
    asked = [kinds] if isinstance(kinds, str) else listed(kinds, "kinds")
    every = asked == ["all"]
    wanted = list(KINDS) if every else asked
    if severity is not None:
        choice(dict.fromkeys(SEVERITIES), severity, "severity")
    count, hours = unsigned(count, "count", 63), number(hours, "hours", 0.0)
    if count == 0 and hours == 0:
        raise ValueError("ask for a count of scenes of each kind, or for hours")
    if params is not None and not isinstance(params, dict):
        raise WrongType(f"params must be a dict of ranges by name, not {shown(params)}")
    if progress is not None and not callable(progress):
        raise WrongType(f"progress must be callable, not {shown(progress)}")
    if into is not None and not isinstance(into, Store):
        path_of(into, "into, a store or the path of one,")
    threads, traffic = unsigned(threads, "threads", 31), unsigned(traffic, "traffic")
    adversaries, steps = unsigned(adversaries, "adversaries"), steps_of(seconds)
    seed = unsigned(seed, "seed", 63)
    collisions = 0.25 if severity is None else float(severity == "collision")
    shares = _shares(generator)
    if shares[abi.NM_CASE_DIFFUSION] > 0 and model is None:
        model = shipped_model()
    rows: List[Any] = []
    taken: Set[str] = set()
    for name in wanted:
        row = abi.nm_corner_kind()
        index = abi.enumeration("nm_kind_from_name", name, "kind", KINDS)
        if every and not (_spec(index).generable and _can_be(index, severity)):
            continue
        abi.call("nm_corner_kind_default", index, ctypes.byref(row))
        row.collisions = collisions
        row.sampling = abi.enumeration("nm_sampling_from_name", sampling, "sampling",
                                       ("uniform", "grid", "all", "critical"))
        taken |= _set_params(row, params or {}, collisions)
        rows.append(row)
    unknown = set(params or {}) - taken
    if unknown:
        raise ValueError(f"none of the kinds has a parameter {sorted(unknown)[0]!r} in a severity that is asked for; "
                         "nearmiss.kinds() lists them")
    sources = _sources(maps, scenes, seed)
    loaded = _Model(model) if model is not None else None
    try:
        config, kept_alive = _configure(rows, sources, shares, loaded, every)
        config.count, config.hours, config.seed = count, hours, seed
        config.steps, config.traffic, config.adversaries = steps, traffic, adversaries
        described = {"kinds": [_describe_kind(config_row, collisions) for config_row in kept_alive["kinds"]],
                     "generators": dict(zip(GENERATORS, shares)), "sampling": sampling,
                     "sources": [f"{s.hash:016x}" for s in sources], "count": count, "hours": hours,
                     "seconds": float(seconds), "traffic": traffic, "adversaries": adversaries, "by": "nearmiss.generate",
                     "model": loaded.hash if loaded is not None else ""}  # what it is, not where it lies
        texts = [ctypes.create_string_buffer(t.encode()) for t in (json.dumps(described, sort_keys=True), abi.program)]
        config.run.parameters, config.run.program = (ctypes.addressof(t) for t in texts)
        config.run.command, config.run.seed = None, seed
        return _run(config, len(kept_alive["kinds"]), into, threads, progress)
    finally:
        if loaded is not None:
            loaded.close()


def _can_be(kind: int, severity: Optional[str]) -> bool:
    return severity is None or bool(_spec(kind).severities >> SEVERITIES.index(severity) & 1)


def _configure(rows: List[Any], sources: List[Scene], shares: List[float], loaded: Optional[_Model],
               every: bool) -> Tuple[Any, Dict[str, Any]]:
    config = abi.nm_corner_config_default()
    pointers = (ctypes.c_void_p * len(sources))(*[s.address for s in sources])
    weights = (ctypes.c_double * len(sources))(*[1.0 / len(sources)] * len(sources))
    config.sources, config.source_count = ctypes.addressof(pointers), len(sources)
    config.source_weights = ctypes.addressof(weights)
    for i, share in enumerate(shares):
        config.generators[i] = share
    if loaded is not None:
        config.model, config.recipe = loaded.model.address, ctypes.addressof(loaded.recipe)
    config.count = 1  # for the check

    def fits(row: Any) -> bool:
        one = (abi.nm_corner_kind * 1)(row)
        config.kinds, config.kind_count = ctypes.addressof(one), 1
        try:
            abi.call("nm_corner_check", ctypes.byref(config))
            return True
        except Error as error:
            if error.code != "NM_E_UNSUPPORTED":
                raise
            return False

    if every:
        rows = [row for row in rows if fits(row)]
    if not rows:
        raise ValueError("none of the kinds can be made here")
    table = (abi.nm_corner_kind * len(rows))(*rows)
    config.kinds, config.kind_count = ctypes.addressof(table), len(rows)
    return config, {"kinds": table, "keep": (pointers, weights, sources, loaded)}


def _run(config: Any, kind_count: int, into: Any, threads: int,
         progress: Optional[Callable[[int, float], None]]) -> Cases:
    yields = (abi.nm_corner_yield * (kind_count * len(GENERATORS)))()
    report = abi.nm_corner_report()
    report.yields = ctypes.addressof(yields)
    guard = Guard()

    stop_c = _STOP(guard.stop)
    progress_c = _PROGRESS(lambda _, kept, hours: guard(progress, kept, hours) if progress else None)
    config.stop = ctypes.cast(stop_c, ctypes.c_void_p).value
    config.progress = ctypes.cast(progress_c, ctypes.c_void_p).value
    pool = ctypes.c_void_p()
    abi.call("nm_thread_pool_create", threads, ctypes.byref(pool))
    pool_handle = Handle(pool.value, "nm_thread_pool_destroy", "thread pool")
    folder = tempfile.TemporaryDirectory(prefix="nearmiss-") if into is None else None
    place = os.path.join(folder.name, "cases.db") if folder else into
    store: Store = place if isinstance(place, Store) else Store(place, "a")
    try:
        try:
            handle = store._live()
            with guard, handle.lock:
                abi.call("nm_corner_set_run", ctypes.byref(config), handle.address, pool_handle.address,
                         ctypes.byref(report))
        except Error:
            guard.check()
            raise
        guard.check()
        rows = [{"kind": KINDS[y.kind], "generator": GENERATORS[y.generator], "attempts": y.attempts, "kept": y.kept,
                 "given_up": bool(y.given_up)} for y in yields if y.share > 0]
        ids = store._ids("nm_store_generated_ids", report.generation)
        cases = [_case(store, int(i), False) for i in ids] if folder else None
        return Cases(None if folder else store, [] if folder else ids, cases, rows, report.hours)
    finally:
        pool_handle.close()
        if folder:
            store.close()
            folder.cleanup()
