#!/usr/bin/env python3
"""Reads exports with the official protobuf package and the csv module of Python, and says what is in them.

Independent of the program: messages are described at run time, those of `nearmiss` from the tables of its documentation,
those of OSI from the tables below, which restate the standard's field numbers; not from the program's .proto files.

    read_formats.py nearmiss DOCUMENT FILE... | osi FILE... | csv FILE...   one JSON document; 77 without protobuf
"""

import csv
import json
import math
import re
import struct
import sys

from read_womd import KINDS, known, message_class, records

KINDS.update(uint32=13, uint64=4, sint32=17, sint64=18, fixed64=6)

V3, ID = "Vector3d", "Identifier"
OSI = {
    "SensorView": {1: "version InterfaceVersion", 7: "global_ground_truth GroundTruth"},
    "GroundTruth": {1: "version InterfaceVersion", 2: "timestamp Timestamp", 3: "host_vehicle_id Identifier",
                    4: "stationary_object StationaryObject*", 5: "moving_object MovingObject*",
                    6: "traffic_sign TrafficSign*", 7: "traffic_light TrafficLight*", 8: "road_marking RoadMarking*",
                    9: "lane_boundary LaneBoundary*", 10: "lane Lane*", 17: "reference_line ReferenceLine*",
                    18: "logical_lane_boundary LogicalLaneBoundary*", 19: "logical_lane LogicalLane*",
                    20: "proj_frame_offset ProjFrameOffset"},
    "InterfaceVersion": {1: "version_major uint32", 2: "version_minor uint32", 3: "version_patch uint32"},
    "Timestamp": {1: "seconds int64", 2: "nanos uint32"},
    "Identifier": {1: "value uint64"},
    "Vector3d": {1: "x double", 2: "y double", 3: "z double"},
    "Vector2d": {1: "x double", 2: "y double"},
    "Dimension3d": {1: "length double", 2: "width double", 3: "height double"},
    "Orientation3d": {1: "roll double", 2: "pitch double", 3: "yaw double"},
    "ProjFrameOffset": {1: "position Vector3d", 2: "yaw double"},
    "ExternalReference": {1: "reference string", 2: "type string", 3: "identifier string*"},
    "LogicalLaneAssignment": {1: "assigned_lane_id Identifier", 2: "s_position double", 3: "t_position double",
                              4: "angle_to_lane double"},
    "BaseStationary": {1: "dimension Dimension3d", 2: "position Vector3d", 3: "orientation Orientation3d",
                       4: "base_polygon Vector2d*"},
    "BaseMoving": {1: "dimension Dimension3d", 2: "position Vector3d", 3: "orientation Orientation3d",
                   4: "velocity Vector3d", 5: "acceleration Vector3d", 6: "orientation_rate Orientation3d"},
    "MovingObject": {1: "id Identifier", 2: "base BaseMoving", 3: "type enum", 5: "vehicle_attributes Attributes",
                     6: "vehicle_classification VehicleClassification",
                     9: "moving_object_classification MovingClassification", 10: "source_reference ExternalReference*",
                     12: "pedestrian_attributes Empty"},
    "Empty": {},
    "Attributes": {3: "number_wheels uint32", 4: "bbcenter_to_rear Vector3d", 5: "bbcenter_to_front Vector3d"},
    "VehicleClassification": {1: "type enum", 3: "has_trailer bool", 5: "role enum"},
    "MovingClassification": {1: "assigned_lane_id Identifier*", 3: "logical_lane_assignment LogicalLaneAssignment*"},
    "StationaryObject": {1: "id Identifier", 2: "base BaseStationary", 3: "classification Typed",
                         5: "source_reference ExternalReference*"},
    "Typed": {1: "type enum", 2: "color enum"},
    "RoadMarking": {1: "id Identifier", 2: "base BaseStationary", 3: "classification MarkingClassification",
                    4: "source_reference ExternalReference*"},
    "MarkingClassification": {1: "type enum", 3: "monochrome_color enum"},
    "TrafficSign": {1: "id Identifier", 2: "main_sign MainSign", 4: "source_reference ExternalReference*"},
    "MainSign": {1: "base BaseStationary", 2: "classification SignClassification"},
    "SignClassification": {2: "type enum", 3: "value TrafficSignValue", 5: "assigned_lane_id Identifier*",
                           10: "code string"},
    "TrafficSignValue": {1: "value double", 2: "value_unit enum"},
    "TrafficLight": {1: "id Identifier", 2: "base BaseStationary", 3: "classification LightClassification",
                     5: "source_reference ExternalReference*"},
    "LightClassification": {1: "color enum", 2: "icon enum", 3: "mode enum", 5: "assigned_lane_id Identifier*",
                            7: "logical_lane_assignment LogicalLaneAssignment*"},
    "LaneBoundary": {1: "id Identifier", 2: "boundary_line BoundaryPoint*", 3: "classification Typed",
                     4: "source_reference ExternalReference*"},
    "BoundaryPoint": {1: "position Vector3d"},
    "Lane": {1: "id Identifier", 2: "classification LaneClassification"},
    "LaneClassification": {1: "type enum", 3: "centerline Vector3d*", 4: "centerline_is_driving_direction bool",
                           5: "left_adjacent_lane_id Identifier*", 6: "right_adjacent_lane_id Identifier*",
                           7: "lane_pairing LanePairing*", 8: "right_lane_boundary_id Identifier*",
                           9: "left_lane_boundary_id Identifier*", 10: "free_lane_boundary_id Identifier*",
                           12: "subtype enum"},
    "LanePairing": {1: "antecessor_lane_id Identifier", 2: "successor_lane_id Identifier"},
    "ReferenceLine": {1: "id Identifier", 2: "poly_line ReferencePoint*", 3: "type enum"},
    "ReferencePoint": {1: "world_position Vector3d", 2: "s_position double", 3: "t_axis_yaw double"},
    "LogicalLaneBoundary": {1: "id Identifier", 2: "boundary_line LogicalPoint*", 3: "reference_line_id Identifier",
                            4: "physical_boundary_id Identifier*", 5: "passing_rule enum"},
    "LogicalPoint": {1: "position Vector3d", 2: "s_position double", 3: "t_position double"},
    "LogicalLane": {1: "id Identifier", 2: "type enum", 3: "source_reference ExternalReference*",
                    4: "physical_lane_reference PhysicalLaneReference*", 5: "reference_line_id Identifier",
                    6: "start_s double", 7: "end_s double", 8: "move_direction enum",
                    9: "right_adjacent_lane LaneRelation*", 10: "left_adjacent_lane LaneRelation*",
                    12: "right_boundary_id Identifier*", 13: "left_boundary_id Identifier*",
                    14: "predecessor_lane LaneConnection*", 15: "successor_lane LaneConnection*",
                    17: "traffic_rule TrafficRule*"},
    "PhysicalLaneReference": {1: "physical_lane_id Identifier", 2: "start_s double", 3: "end_s double"},
    "LaneRelation": {1: "other_lane_id Identifier", 2: "start_s double", 3: "end_s double", 4: "start_s_other double",
                     5: "end_s_other double"},
    "LaneConnection": {1: "other_lane_id Identifier", 2: "at_begin_of_other_lane bool"},
    "TrafficRule": {1: "traffic_rule_type enum", 2: "traffic_rule_validity Validity", 3: "speed_limit SpeedLimit"},
    "Validity": {1: "start_s double", 2: "end_s double"},
    "SpeedLimit": {1: "speed_limit_value TrafficSignValue"},
}


def all_known(message):
    """No field anywhere that the tables do not name."""
    if message.ByteSize():
        known(message)
    for field, value in message.ListFields():
        if field.type == 11:
            for one in value if field.label == 3 else [value]:
                all_known(one)


def documented(path):
    """The tables of the document: under a heading ### MESSAGE, rows | number | name | type | meaning |."""
    table, name = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            if found := re.match(r"### (\w+)$", line):
                name = found[1]
                table[name] = {}
            elif name and (found := re.match(r"\| (\d+) \| (\w+) \| (\w+)( packed| repeated)?(?:, default -1)? \|", line)):
                enums = ("LaneType", "Turn", "Control", "Marking", "Colour", "LineKind", "AreaKind", "AgentType")
                kind = "enum" if found[3] in enums else found[3]
                table[name][int(found[1])] = f"{found[2]} {kind}" + {" packed": "+", " repeated": "*"}.get(found[4], "")
    return table


def read_nearmiss(paths):
    scene_class = message_class(documented(paths[0]), "Scene")
    result = {"records": 0, "scenes": []}
    for path in paths[1:]:
        for payload in records(path):
            s = scene_class.FromString(payload)
            all_known(s)
            assert s.SerializeToString(deterministic=True) == payload, "protobuf would write other bytes"
            assert s.magic == "nearmiss.scene" and s.version == 1 and s.steps and s.map.hash and s.hash
            states = 0
            for t in s.tracks:
                valid = sum(t.valid_runs[1::2])
                assert sum(t.valid_runs) <= s.steps
                for plane in (t.x, t.y, t.z, t.heading, t.vx, t.vy):
                    assert len(plane) in (0, 1, valid)
                assert all(-math.pi - 1e-6 < h <= math.pi + 1e-6 for h in t.heading)
                states += valid
            for lane in s.map.lanes:
                assert len(lane.centre) == len(lane.left) == len(lane.right) >= 4
                assert all(other < len(s.map.lanes) for other in lane.successors)
            result["records"] += 1
            result["scenes"].append({"steps": s.steps, "tracks": len(s.tracks), "states": states, "id": s.store_id,
                                     "lanes": len(s.map.lanes), "labels": [label.kind for label in s.labels],
                                     "generator": s.generation.generator, "hash": f"{s.hash:016x}"})
    return result


def check_lanes(truth, ids):
    lanes = {lane.id.value: lane for lane in truth.logical_lane}
    physical = {lane.id.value for lane in truth.lane}
    lines = {line.id.value: line for line in truth.reference_line}
    sides = {side.id.value: side for side in truth.logical_lane_boundary}
    for lane in truth.logical_lane:
        line = lines[lane.reference_line_id.value]
        s = [p.s_position for p in line.poly_line]
        assert len(s) >= 2 and all(a < b for a, b in zip(s, s[1:])) and line.type == 1
        assert lane.end_s > lane.start_s and lane.physical_lane_reference[0].physical_lane_id.value in physical
        left, right = sides[lane.left_boundary_id[0].value], sides[lane.right_boundary_id[0].value]
        assert all(p.t_position >= 0 for p in left.boundary_line) and all(p.t_position <= 0 for p in right.boundary_line)
        for connection in list(lane.predecessor_lane) + list(lane.successor_lane):
            assert connection.other_lane_id.value in lanes
        for c in lane.successor_lane: # and the other says so, too
            assert lane.id.value in [p.other_lane_id.value for p in lanes[c.other_lane_id.value].predecessor_lane]
    for lane in truth.lane:
        c = lane.classification
        assert c.type and (not c.centerline or (c.type == 2 and len(c.lane_pairing) <= 1))
        assert all(i.value in ids for i in list(c.left_lane_boundary_id) + list(c.right_lane_boundary_id) +
                   list(c.free_lane_boundary_id) + list(c.left_adjacent_lane_id))
        assert (c.type == 4) == bool(c.free_lane_boundary_id)


def unique_ids(truth):
    kinds = ("stationary_object", "moving_object", "traffic_sign", "traffic_light", "road_marking", "lane_boundary",
             "lane", "reference_line", "logical_lane_boundary", "logical_lane")
    ids = [item.id.value for kind in kinds for item in getattr(truth, kind)]
    assert len(set(ids)) == len(ids) and all(ids)
    return set(ids)


def read_osi(paths):
    truth_class = message_class(OSI, "GroundTruth")
    result = {"files": len(paths), "messages": 0, "objects": 0, "lanes": 0, "lights": 0, "lit": 0, "assigned": 0}
    for path in paths:
        name = re.search(r"(\d{8}T\d{6}Z)_gt_370_\d+_(\d+)_(\d{6,})\.osi$", path)
        with open(path, "rb") as file:
            data = file.read()
        at, last, count, ids = 0, None, 0, None
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at)
            assert at + 4 + size <= len(data), path
            truth = truth_class.FromString(data[at + 4:at + 4 + size])
            all_known(truth)
            at += 4 + size
            now = truth.timestamp.seconds + truth.timestamp.nanos / 1e9
            assert truth.version.version_major == 3 and (last is None or now > last)
            here = unique_ids(truth)
            if count == 0 or truth.lane:
                ids = here
                check_lanes(truth, ids)
                result["lanes"] += len(truth.logical_lane)
            for o in truth.moving_object:
                assert o.type and o.base.dimension.length >= 0 and abs(o.base.orientation.yaw) < 3.1416
                assert (o.type == 2) == o.HasField("vehicle_classification")
                assert o.type != 2 or (o.vehicle_classification.type and o.vehicle_attributes.bbcenter_to_rear.x < 0)
                assert o.type != 3 or o.HasField("pedestrian_attributes")
                assert o.base.position.z >= 0.5 * o.base.dimension.height - 1e-6
                result["assigned"] += len(o.moving_object_classification.logical_lane_assignment)
            if truth.HasField("host_vehicle_id") and truth.moving_object:
                assert truth.host_vehicle_id.value in [o.id.value for o in truth.moving_object]
            result["objects"] += len(truth.moving_object)
            result["lights"] += len(truth.traffic_light)
            result["lit"] += sum(light.classification.mode in (3, 4) for light in truth.traffic_light)
            count, last = count + 1, now
        assert int(name[2]) == count, path
        result["messages"] += count
    return result


def read_csv(paths):
    result = {"rows": 0, "scenes": 0, "egos": 0, "events": 0}
    scenes, egos = set(), set()
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                assert None not in row and None not in row.values()
                numbers = {k: float(v) for k, v in row.items() if k not in ("type", "role", "events") and v}
                assert abs(numbers["speed_mps"] - math.hypot(numbers["vx_mps"], numbers["vy_mps"])) < 1e-4
                for text in row.values(): # the shortest that reads back as a float
                    assert not re.fullmatch(r"-?\d+\.\d*0", text) and len(text) < 40
                result["rows"] += 1
                result["events"] += bool(row["events"])
                scenes.add(row["scene"])
                if row["role"] == "ego":
                    egos.add((row["scene"], row["track_id"]))
    return result | {"scenes": len(scenes), "egos": len(egos)}


if __name__ == "__main__":
    print(json.dumps({"nearmiss": read_nearmiss, "osi": read_osi, "csv": read_csv}[sys.argv[1]](sys.argv[2:])))
