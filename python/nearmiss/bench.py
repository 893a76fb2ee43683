"""``python3 -m nearmiss.bench``: what stepping worlds from Python costs, beside the same steps made by one call of C.

64 worlds of 64 agents on a built-in junction. Results of both ways are compared bit for bit before anything is timed;
both do the same work (worlds, rewards, observations) from the same seed, side by side because a shared machine is not
equally fast from one second to the next; medians count. On one thread (the default) time is the thread's own, so that
other programs do not count; on several it is real. An agent-step is one state of one agent. ``worlds_only`` are
the same worlds driven to the end by the library's rollouts, without actions, rewards and observations, and without the
time to make them.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from typing import Any, Callable, Dict

import numpy as np
from numpy.typing import NDArray

from ._abi import abi
from .scene import Scene, builtin
from .simulate import _config
from .vector_env import VectorEnv

WORLDS, SCENE = 64, "junction_signal:lanes=2,length=250,density=40,vehicles=64"


def _actions(env: VectorEnv) -> NDArray[Any]:
    """Gentle: nobody brakes, so that worlds stay full."""
    actions: NDArray[Any] = np.zeros_like(env.action_space.low)
    actions[..., 0] = 0.2
    return actions


Clock = Callable[[], float]


def _by_python(env: VectorEnv, actions: NDArray[Any], steps: int, clock: Clock) -> float:
    env.reset(seed=1)
    start = clock()
    for _ in range(steps):
        env.step(actions)
    return clock() - start


def _by_c(env: VectorEnv, actions: NDArray[Any], steps: int, clock: Clock) -> float:
    env.reset(seed=1)
    start = clock()
    env.run(actions, steps)
    return clock() - start


def _count(env: VectorEnv, actions: NDArray[Any], steps: int) -> int:
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


def _worlds_only(scene: Scene, steps: int, clock: Clock) -> float:
    """Agent-steps a second of rollouts that are one call each. Worlds are made in them, as they are not in what they are
    compared with: so the same is driven for one step, and taken away."""
    done, spent = 0, 0.0
    result = abi.nm_rollout_result()
    for e in range(WORLDS):
        config = _config(scene, "idm", "idm", 1 + e, 0, "nearmiss")
        for sign, count in ((1, steps), (-1, 1)):
            start = clock()
            abi.call("nm_rollout", scene.address, ctypes.byref(config), count, 0, ctypes.byref(result))
            spent += sign * (clock() - start)
            done += sign * result.stats.agent_steps
    return done / spent


def measure(control: str, copy: bool, steps: int, repeats: int, threads: int) -> Dict[str, float]:
    """Rates in agent-steps a second and their ratios."""
    scene = builtin(SCENE, 1)
    with VectorEnv(scene, WORLDS, control=control, threads=threads, max_steps=1000, copy=copy, end_on_collision=False,
                   end_off_road=False) as env:
        actions = _actions(env)
        agents = _count(env, actions, steps)
        clock = time.thread_time if threads == 1 else time.perf_counter
        rates = [(agents / _by_python(env, actions, steps, clock), agents / _by_c(env, actions, steps, clock),
                  _worlds_only(scene, steps, clock)) for _ in range(repeats)]
    median = statistics.median
    return {"python": median(p for p, _, _ in rates), "c": median(c for _, c, _ in rates),
            "only": median(w for _, _, w in rates), "ratio": median(p / c for p, c, _ in rates),
            "to_only": median(p / w for p, _, w in rates), "agents": agents / steps / WORLDS}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m nearmiss.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="0 = one per core (default 1)")
    given = parser.parse_args()
    if given.steps < 2 or given.repeats < 1 or given.threads < 0:
        parser.error("steps are at least 2, repeats at least 1, threads at least 0")
    rows: Dict[str, Any] = {}
    for control, name in (("ego", ""), ("all", ".all")):
        found = measure(control, False, given.steps, given.repeats, given.threads)
        rows[f"python_ratio{name}"] = (found["ratio"], "x")
        rows[f"python_agent_steps_per_s{name}"] = (found["python"], "agent-steps/s")
        rows[f"c_agent_steps_per_s{name}"] = (found["c"], "agent-steps/s")
        if control == "ego" and given.threads == 1:  # the rollouts have one
            rows["worlds_only_agent_steps_per_s"] = (found["only"], "agent-steps/s")
            rows["python_ratio.to_worlds_only"] = (found["to_only"], "x")
        copied = measure(control, True, given.steps, given.repeats, given.threads)
        rows[f"python_ratio{name}.copied"] = (copied["ratio"], "x")
        rows[f"agents{name}"] = (found["agents"], "agents a world")
    if given.json:
        print(json.dumps({"rows": {name: {"value": value, "unit": unit} for name, (value, unit) in rows.items()},
                          "worlds": WORLDS, "threads": given.threads}))
        return 0
    for name, (value, unit) in rows.items():
        print(f"{name:32} {value:14.4g} {unit}")
    print(f"{WORLDS} worlds, {given.threads or 'all'} thread{'' if given.threads == 1 else 's'}; ego: one agent of each "
          "world is driven from Python; all: everybody who drives is; copied: with copy=True, the default")
    return 0


if __name__ == "__main__":
    sys.exit(main())
