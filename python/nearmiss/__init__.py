"""nearmiss: rare dangerous driving scenes, to be generated, found and driven through.

A thin layer over the C library: scenes are NumPy arrays over its memory, a vector environment is one C call a step, and
a planner may be any Python callable. Needs NumPy only. docs/python.md has examples.

Errors. What the library refuses is :class:`Error` with a ``code``; arguments of the wrong kind, shape or name are
ValueError. An object that was closed says so.

Threads and processes. Stores, worlds and environments are used by one thread at a time (calls of several wait, a second
step of an environment is an Error); scenes and maps are constant and may be shared. Nothing but scenes survives
``fork``: open stores and make environments in the child. The GIL is released while the library works.
"""
from ._abi import Error, abi as _library
from .generate import Case, Cases, generate, kinds, shipped_model
from .planner import Control, Ego, Episode, Observation, Pose, evaluate
from .scene import (AGENT_TYPES, BUILTIN_MAPS, EVENT_DTYPE, KINDS, LANE_TYPES, NONE, SIGNAL_STATES, Map, Scene, builtin,
                    detect)
from .simulate import POLICIES, Rollout, World, simulate
from .store import Hit, Hits, Store, open
from .vector_env import COLLIDED, FROZEN, GOAL, LEFT, OFF_ROAD, WRONG_WAY, VectorEnv

__version__ = _library.program.split()[-1]

__all__ = ["AGENT_TYPES", "BUILTIN_MAPS", "COLLIDED", "Case", "Cases", "Control", "EVENT_DTYPE", "Ego", "Episode", "Error",
           "FROZEN", "GOAL", "Hit", "Hits", "KINDS", "LANE_TYPES", "LEFT", "Map", "NONE", "OFF_ROAD", "Observation",
           "POLICIES", "Pose", "Rollout", "SIGNAL_STATES", "Scene", "Store", "VectorEnv", "WRONG_WAY", "World", "builtin",
           "detect", "evaluate", "generate", "kinds", "open", "shipped_model", "simulate"]
