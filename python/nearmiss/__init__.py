"""nearmiss: rare dangerous driving scenes, to be generated, found and driven through.

A thin layer over the C library: scenes are NumPy arrays over its memory, a vector environment is one C call a step, and
a planner may be any Python callable. Needs NumPy only. docs/python.md has examples.

Errors. What the library refuses is :class:`Error` with a ``code``; arguments of the wrong type, shape or name are
ValueError (a wrong type is a TypeError, too). An object that was closed says so.

Threads and processes. Stores, worlds and environments are used by one thread at a time (calls of several wait, a second
step of an environment is an Error); scenes and maps are constant and may be shared. Scenes, results and stores that are
read can be pickled and go on after a ``fork``; worlds and environments are to be made in the process that uses them.
The GIL is released while the library works.
"""
from typing import TYPE_CHECKING, Any, List

from ._abi import Error, abi as _library
from .generate import Case, Cases, generate, kinds, shipped_model
from .planner import Control, Ego, Episode, Observation, Pose, evaluate
from .scene import (AGENT_TYPES, BUILTIN_MAPS, EVENT_DTYPE, KINDS, LANE_TYPES, NONE, SIGNAL_STATES, Map, Scene, builtin,
                    detect)
from .simulate import POLICIES, Rollout, World, simulate
from .store import Hit, Hits, Store, open

if TYPE_CHECKING:
    from .vector_env import COLLIDED, FROZEN, GOAL, LEFT, OFF_ROAD, WRONG_WAY, VectorEnv

__version__ = _library.program.split()[-1]

__all__ = ["AGENT_TYPES", "BUILTIN_MAPS", "COLLIDED", "Case", "Cases", "Control", "EVENT_DTYPE", "Ego", "Episode", "Error",
           "FROZEN", "GOAL", "Hit", "Hits", "KINDS", "LANE_TYPES", "LEFT", "Map", "NONE", "OFF_ROAD", "Observation",
           "POLICIES", "Pose", "Rollout", "SIGNAL_STATES", "Scene", "Store", "VectorEnv", "WRONG_WAY", "World", "builtin",
           "detect", "evaluate", "generate", "kinds", "open", "shipped_model", "simulate"]

# Imported when they are used: importing Gymnasium takes longer than all of the rest.
_OF_VECTOR_ENV = ("COLLIDED", "FROZEN", "GOAL", "LEFT", "OFF_ROAD", "WRONG_WAY", "VectorEnv")


def __getattr__(name: str) -> Any:
    if name not in _OF_VECTOR_ENV:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import vector_env

    globals().update({each: getattr(vector_env, each) for each in _OF_VECTOR_ENV})
    return globals()[name]


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
