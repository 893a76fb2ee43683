#!/usr/bin/env python3
"""Reads exported CommonRoad files with commonroad-io, which is not ours, and compares what it finds with what the scenes
hold: FOLDER has NAME.xml and NAME.txt, a line for each state: obstacle step x y heading speed.

    read_commonroad.py FOLDER

States are asked for by their steps, as planners ask. Status 77: commonroad-io is not installed. With lxml, documents
NAME-strict.xml and those without late agents are held against the schema, too.
"""

import glob
import logging
import math
import os
import sys

try:
    import importlib.metadata

    import commonroad
    from commonroad.common.file_reader import CommonRoadFileReader
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

logging.disable(logging.WARNING)


def schema():
    """The schema that commonroad-io brings; None when there is nothing to validate with."""
    try:
        from lxml import etree
    except ImportError:
        return None
    for folder in commonroad.__path__:
        path = os.path.join(folder, "common", "xml_definition_files", "XML_commonRoad_XSD.xsd")
        if os.path.exists(path):
            return lambda file: validate(etree, path, file)
    return None


def validate(etree, path, file):
    rules = etree.XMLSchema(etree.parse(path))
    return [] if rules.validate(etree.parse(file)) else [f"{file}: {rules.error_log[0].message}"]


def states_of(scenario):
    for obstacle in scenario.static_obstacles:
        yield obstacle.obstacle_id, "static", obstacle.initial_state
    for obstacle in scenario.dynamic_obstacles:
        last = obstacle.prediction.trajectory.final_state.time_step if obstacle.prediction else 0
        for step in range(max(last, obstacle.initial_state.time_step) + 1):
            state = obstacle.state_at_time(step)
            if state is not None:
                yield obstacle.obstacle_id, step, state


def compare(name):
    scenario, problems = CommonRoadFileReader(name + ".xml").open()
    found = {(obstacle, step): state for obstacle, step, state in states_of(scenario)}
    wrong, late = [], False
    with open(name + ".txt", encoding="utf-8") as file:
        for line in file:
            obstacle, step, *numbers = line.split()
            x, y, heading, speed = map(float, numbers)
            key = (int(obstacle), step if step == "static" else int(step))
            state = found.pop(key, None)
            if state is None:
                wrong.append(f"{name}: no state {key}")
                continue
            way = math.hypot(state.position[0] - x, state.position[1] - y)
            turn = abs(math.remainder(state.orientation - heading, 2 * math.pi))
            faster = 0 if step == "static" else abs(abs(state.velocity) - speed)
            if way > 1e-3 or turn > 1e-6 or faster > 1e-4:
                wrong.append(f"{name}: {key} is off by {way} m, {turn} rad, {faster} m/s")
    wrong += [f"{name}: unknown state {key}" for key in found]
    first = {o.obstacle_id: o.initial_state.time_step for o in scenario.dynamic_obstacles}
    late = any(first.values()) or any(o.prediction is None for o in scenario.dynamic_obstacles)
    if len(problems.planning_problem_dict) != 1:
        wrong.append(f"{name}: {len(problems.planning_problem_dict)} planning problems")
    return wrong, late


def main():
    names = sorted(path[:-4] for path in glob.glob(os.path.join(sys.argv[1], "*.xml")))
    check = schema()
    wrong, valid = [], 0
    for name in names:
        bad, late = compare(name)
        wrong += bad
        if check and (not late or name.endswith("-strict")):
            wrong += check(name + ".xml")
            valid += 1
    print(f"commonroad-io {importlib.metadata.version('commonroad-io')} read {len(names)} files, {valid} of them held "
          "against its schema")
    print("\n".join(wrong[:20]))
    return 1 if wrong or not names else 0


if __name__ == "__main__":
    sys.exit(main())
