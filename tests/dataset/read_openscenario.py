#!/usr/bin/env python3
"""Holds exported .xosc files against the structure of OpenSCENARIO XML 1.2 (required attributes and children, the order
of sequences, enumerations, references) with Python's own parser, and plays their trajectories: FOLDER has NAME.xosc and
NAME.txt, a line for each state: entity step x y heading. NM_OPENSCENARIO_XSD names a schema to validate with, too, when
lxml is installed.

    read_openscenario.py FOLDER TIME_STEP
"""

import glob
import math
import os
import sys
import xml.etree.ElementTree as ET

VEHICLES = {"car", "van", "truck", "bus", "motorbike", "bicycle", "trailer", "semitrailer", "train", "tram"}
# element: (required attributes, children in their order with "?" may be missing, "*" any number, "+" at least one)
RULES = {
    "OpenSCENARIO": ("", "FileHeader ParameterDeclarations? CatalogLocations RoadNetwork Entities Storyboard"),
    "FileHeader": ("revMajor revMinor date description author", ""),
    "ParameterDeclarations": ("", "ParameterDeclaration*"),
    "ParameterDeclaration": ("name parameterType value", ""),
    "CatalogLocations": ("", ""),
    "RoadNetwork": ("", "LogicFile?"),
    "LogicFile": ("filepath", ""),
    "Entities": ("", "ScenarioObject*"),
    "ScenarioObject": ("name", "Vehicle? Pedestrian? MiscObject? ObjectController*"),
    "Vehicle": ("name vehicleCategory", "BoundingBox Performance Axles Properties"),
    "Pedestrian": ("name mass pedestrianCategory", "BoundingBox Properties"),
    "MiscObject": ("name mass miscObjectCategory", "BoundingBox Properties"),
    "BoundingBox": ("", "Center Dimensions"),
    "Center": ("x y z", ""),
    "Dimensions": ("width length height", ""),
    "Performance": ("maxSpeed maxAcceleration maxDeceleration", ""),
    "Axles": ("", "FrontAxle RearAxle"),
    "FrontAxle": ("maxSteering wheelDiameter trackWidth positionX positionZ", ""),
    "RearAxle": ("maxSteering wheelDiameter trackWidth positionX positionZ", ""),
    "Properties": ("", "Property*"),
    "Property": ("name value", ""),
    "ObjectController": ("", "Controller"),
    "Controller": ("name", "Properties"),
    "Storyboard": ("", "Init Story* StopTrigger"),
    "Init": ("", "Actions"),
    "Actions": ("", "Private*"),
    "Private": ("entityRef", "PrivateAction+"),
    "Story": ("name", "Act+"),
    "Act": ("name", "ManeuverGroup+ StartTrigger"),
    "ManeuverGroup": ("name maximumExecutionCount", "Actors Maneuver*"),
    "Actors": ("selectTriggeringEntities", "EntityRef*"),
    "EntityRef": ("entityRef", ""),
    "Maneuver": ("name", "Event+"),
    "Event": ("name priority", "Action+ StartTrigger"),
    "Action": ("name", "PrivateAction? GlobalAction?"),
    "EntityAction": ("entityRef", "AddEntityAction? DeleteEntityAction?"),
    "AddEntityAction": ("", "Position"),
    "FollowTrajectoryAction": ("", "TrajectoryRef TimeReference TrajectoryFollowingMode"),
    "TrajectoryRef": ("", "Trajectory"),
    "Trajectory": ("name closed", "Shape"),
    "Shape": ("", "Polyline"),
    "Polyline": ("", "Vertex+"),
    "Vertex": ("time", "Position"),
    "Position": ("", "WorldPosition"),
    "WorldPosition": ("x y h", ""),
    "Timing": ("domainAbsoluteRelative scale offset", ""),
    "TrajectoryFollowingMode": ("followingMode", ""),
    "StartTrigger": ("", "ConditionGroup*"),
    "StopTrigger": ("", "ConditionGroup*"),
    "ConditionGroup": ("", "Condition+"),
    "Condition": ("name delay conditionEdge", "ByValueCondition"),
    "ByValueCondition": ("", "SimulationTimeCondition"),
    "SimulationTimeCondition": ("value rule", ""),
}
WORDS = {("Vehicle", "vehicleCategory"): VEHICLES, ("Event", "priority"): {"override", "parallel", "skip"},
         ("Pedestrian", "pedestrianCategory"): {"pedestrian", "wheelchair", "animal"},
         ("SimulationTimeCondition", "rule"): {"greaterThan", "greaterOrEqual"},
         ("Condition", "conditionEdge"): {"rising", "falling", "risingOrFalling", "none"},
         ("TrajectoryFollowingMode", "followingMode"): {"position", "follow"},
         ("Timing", "domainAbsoluteRelative"): {"absolute", "relative"}}


def check_children(element, rule):
    left = [child.tag for child in element]
    for word in rule.split():
        name, mark = word.rstrip("?*+"), word[-1]
        count = 0
        while left and left[0] == name and (count == 0 or mark in "*+"):
            left.pop(0)
            count += 1
        if not count and mark not in "?*":
            yield f"<{element.tag}> has no <{name}> in its place"
    if left:
        yield f"<{element.tag}> has <{left[0]}> where it may not be"


def check_structure(root):
    names = [entity.get("name") for entity in root.iter("ScenarioObject")]
    if len(set(names)) != len(names):
        yield "two entities have one name"
    for element in root.iter():
        attributes, children = RULES.get(element.tag, ("", None))
        for name in attributes.split():
            if element.get(name) is None:
                yield f"<{element.tag}> has no attribute {name}"
        if children is not None:
            yield from check_children(element, children)
        for name, value in element.attrib.items():
            if value not in WORDS.get((element.tag, name), {value}):
                yield f"{name}=\"{value}\" of <{element.tag}>"
            if name == "entityRef" and value not in names:
                yield f"there is no entity {value}"
            if (element.tag, name) == ("RearAxle", "positionX") and float(value) != 0:
                yield "a rear axle is not at the origin"
    for line in root.iter("Polyline"):
        times = [float(vertex.get("time")) for vertex in line]
        if len(times) < 2 or any(a >= b for a, b in zip(times, times[1:])):
            yield "times that do not ascend"
    if root.find("FileHeader").get("revMajor") != "1" or root.find("FileHeader").get("revMinor") != "2":
        yield "not version 1.2"


def place(position, centre):
    x, y, h = (float(position.get(name)) for name in "xyh")
    return x + centre * math.cos(h), y + centre * math.sin(h), h


def states_of(root, time_step):
    """(entity, step) -> (x, y, heading) of the middle of the box, as a player moves it."""
    centres = {e.get("name"): float(e.find(".//BoundingBox/Center").get("x")) for e in root.iter("ScenarioObject")}
    end = float(root.find("Storyboard/StopTrigger//SimulationTimeCondition").get("value"))
    found, moved = {}, set()
    for group in root.iter("ManeuverGroup"):
        entity = group.find("Actors/EntityRef").get("entityRef")
        moved.add(entity)
        for vertex in group.iter("Vertex"):
            step = float(vertex.get("time")) / time_step
            if abs(step - round(step)) < 1e-6:
                found[entity, round(step)] = place(vertex.find("Position/WorldPosition"), centres[entity])
    for private in root.iter("Private"):
        entity = private.get("entityRef")
        if entity not in moved:
            at = place(private.find("PrivateAction/TeleportAction/Position/WorldPosition"), centres[entity])
            found.update({(entity, step): at for step in range(round(end / time_step) + 1)})
    return found


def compare(name, time_step):
    root = ET.parse(name + ".xosc").getroot()
    wrong = list(check_structure(root))
    found = states_of(root, time_step)
    with open(name + ".txt", encoding="utf-8") as file:
        for line in file:
            entity, step, *numbers = line.split()
            x, y, heading = map(float, numbers)
            at = found.pop((entity, int(step)), None)
            if at is None or math.hypot(at[0] - x, at[1] - y) > 1e-3 or abs(math.remainder(at[2] - heading, 7e9)) > 1e-6:
                wrong.append(f"{entity} at step {step}: {at}, not {x} {y} {heading}")
    wrong += [f"{key} is too much" for key in found]
    return [f"{name}: {what}" for what in wrong]


def validate(names):
    path = os.environ.get("NM_OPENSCENARIO_XSD")
    try:
        from lxml import etree
        rules = etree.XMLSchema(etree.parse(path)) if path else None
    except ImportError:
        rules = None
    if not rules:
        return []
    print(f"held against {os.path.basename(path)}")
    return [f"{name}: {rules.error_log[0].message}" for name in names if not rules.validate(etree.parse(name + ".xosc"))]


def main():
    names = sorted(path[:-5] for path in glob.glob(os.path.join(sys.argv[1], "*.xosc")))
    wrong = validate(names)
    for name in names:
        wrong += compare(name, float(sys.argv[2]))
    print(f"{len(names)} files")
    print("\n".join(wrong[:20]))
    return 1 if wrong or not names else 0


if __name__ == "__main__":
    sys.exit(main())
