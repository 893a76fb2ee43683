"""``python3 -m nearmiss.bench``: what stepping worlds from Python costs, beside the same steps made by one call of C.

64 worlds of 64 agents on a built-in junction. Results of both ways are compared bit for bit before anything is timed;
both do the same work (worlds, rewards, observations) from the same seed, side by side because a shared machine is not
equally fast from one second to the next; medians count. An agent-step is one state of one agent. ``worlds_only`` are
the same worlds driven to the end by the library's rollouts, without actions, rewards and observations.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from typing import Any, Dict

import numpy as np

from ._abi import abi
from .scene import Scene, builtin
from .simulate import _config
from .vector_env import VectorEnv

WORLDS, SCENE = 64, "junction_signal:lanes=2,length=250,density=40,vehicles=64"


def _actions(env: VectorEnv) -> np.ndarray:
    """Gentle: nobody brakes, so that worlds stay full."""
    actions = np.zeros(env.action_space.shape, np.float32)
    actions[..., 0] = 0.2
    return actions


def _by_python(env: VectorEnv, actions: np.ndarray, steps: int) -> float:
    env.reset(seed=1)
    start = time.perf_counter()
    for _ in range(steps):
        env.step(actions)
    return time.perf_counter() - start


def _by_c(env: VectorEnv, actions: np.ndarray, steps: int) -> float:
    env.reset(seed=1)
    start = time.perf_counter()
    env.run(actions, steps)
    return time.perf_counter() - start


def _count(env: VectorEnv, actions: np.ndarray, steps: int) -> int:
    """Agent-steps, and whether both ways come to the same."""
    env.reset(seed=1)
    agents = 0
    address = env._handle.address
    for _ in range(steps):
        env.step(actions)
        agents += sum(abi.nm_world_get_view(abi.nm_vector_env_world(address, e)).count for e in range(WORLDS))
    by_python = env.hashes(), env.observations.copy(), env.rewards.copy()
    env.reset(seed=1)
    env.run(actions, steps)
    for ours, theirs in zip(by_python, (env.hashes(), env.observations, env.rewards)):
        if not np.array_equal(ours, theirs):
            raise SystemExit("nearmiss.bench: steps from Python and in one call of C differ")
    return agents


def _worlds_only(scene: Scene, steps: int) -> float:
    """Agent-steps a second of rollouts that are one call each."""
    done, spent = 0, 0.0
    result = abi.nm_rollout_result()
    for e in range(WORLDS):
        config = _config(scene, "idm", "idm", 1 + e, 0, "nearmiss")
        start = time.perf_counter()
        abi.call("nm_rollout", scene.address, ctypes.byref(config), steps, 0, ctypes.byref(result))
        spent += time.perf_counter() - start
        done += result.stats.agent_steps
    return done / spent


def measure(control: str, steps: int, repeats: int, threads: int) -> Dict[str, Any]:
    """Rates in agent-steps a second and their ratio."""
    scene = builtin(SCENE, 1)
    with VectorEnv(scene, WORLDS, control=control, threads=threads, max_steps=1000, end_on_collision=False,
                   end_off_road=False) as env:
        actions = _actions(env)
        agents = _count(env, actions, steps)
        pairs = [(_by_python(env, actions, steps), _by_c(env, actions, steps)) for _ in range(repeats)]
    return {"python": agents / statistics.median(p for p, _ in pairs), "c": agents / statistics.median(c for _, c in pairs),
            "ratio": statistics.median(c / p for p, c in pairs), "agents": agents / steps / WORLDS}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m nearmiss.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="0 = one per core (default 1)")
    given = parser.parse_args()
    if given.steps < 1 or given.repeats < 1 or given.threads < 0:
        parser.error("steps and repeats are at least 1, threads at least 0")
    rows: Dict[str, Any] = {}
    for control, name in (("ego", ""), ("all", ".all")):
        found = measure(control, given.steps, given.repeats, given.threads)
        rows[f"python_ratio{name}"] = (found["ratio"], "x")
        rows[f"python_agent_steps_per_s{name}"] = (found["python"], "agent-steps/s")
        rows[f"c_agent_steps_per_s{name}"] = (found["c"], "agent-steps/s")
        rows[f"agents{name}"] = (found["agents"], "agents a world")
    only = _worlds_only(builtin(SCENE, 1), given.steps)
    rows["worlds_only_agent_steps_per_s"] = (only, "agent-steps/s")
    if given.threads == 1:
        rows["python_ratio.to_worlds_only"] = (rows["python_agent_steps_per_s"][0] / only, "x")
    if given.json:
        print(json.dumps({"rows": {name: {"value": value, "unit": unit} for name, (value, unit) in rows.items()},
                          "worlds": WORLDS, "threads": given.threads}))
        return 0
    for name, (value, unit) in rows.items():
        print(f"{name:32} {value:14.4g} {unit}")
    print(f"{WORLDS} worlds, {given.threads or 'all'} thread{'' if given.threads == 1 else 's'}; ego: one agent of each "
          "world is driven from Python; all: everybody who drives is")
    return 0


if __name__ == "__main__":
    sys.exit(main())
