#!/usr/bin/env python3
"""Reads TFRecord shards of Scenario or tf.Example messages with the official protobuf package, and says what is in them.

Independent of the program: checksums are computed here, bit tables included, and the messages are described at run time
from the tables below, which restate the dataset's published interface, not from the program's .proto files.

    read_womd.py scenario|example FILE...     one JSON document on standard output; 77 without protobuf
"""

import json
import math
import struct
import sys

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError:
    print("skipped: the protobuf package of Python is missing", file=sys.stderr)
    sys.exit(77)

KINDS = {"double": 1, "float": 2, "int64": 3, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "enum": 5}

# message: {number: (name, kind, repeated)}; * = repeated, + = repeated and packed; a kind in capitals is a message
SCENARIO = {
    "Scenario": {1: "timestamps_seconds double*", 2: "tracks Track*", 4: "objects_of_interest int32*",
                 5: "scenario_id string", 6: "sdc_track_index int32", 7: "dynamic_map_states DynamicMapState*",
                 8: "map_features MapFeature*", 10: "current_time_index int32",
                 11: "tracks_to_predict RequiredPrediction*"},
    "Track": {1: "id int32", 2: "object_type enum", 3: "states ObjectState*"},
    "ObjectState": {2: "center_x double", 3: "center_y double", 4: "center_z double", 5: "length float",
                    6: "width float", 7: "height float", 8: "heading float", 9: "velocity_x float",
                    10: "velocity_y float", 11: "valid bool"},
    "DynamicMapState": {1: "lane_states TrafficSignalLaneState*"},
    "RequiredPrediction": {1: "track_index int32", 2: "difficulty enum"},
    "TrafficSignalLaneState": {1: "lane int64", 2: "state enum", 3: "stop_point MapPoint"},
    "MapPoint": {1: "x double", 2: "y double", 3: "z double"},
    "MapFeature": {1: "id int64", 3: "lane LaneCenter", 4: "road_line RoadLine", 5: "road_edge RoadEdge",
                   7: "stop_sign StopSign", 8: "crosswalk Crosswalk", 9: "speed_bump SpeedBump",
                   10: "driveway Driveway"},
    "LaneCenter": {1: "speed_limit_mph double", 2: "type enum", 3: "interpolating bool", 8: "polyline MapPoint*",
                   9: "entry_lanes int64+", 10: "exit_lanes int64+", 11: "left_neighbors LaneNeighbor*",
                   12: "right_neighbors LaneNeighbor*", 13: "left_boundaries BoundarySegment*",
                   14: "right_boundaries BoundarySegment*"},
    "BoundarySegment": {1: "lane_start_index int32", 2: "lane_end_index int32", 3: "boundary_feature_id int64",
                        4: "boundary_type enum"},
    "LaneNeighbor": {1: "feature_id int64", 2: "self_start_index int32", 3: "self_end_index int32",
                     4: "neighbor_start_index int32", 5: "neighbor_end_index int32", 6: "boundaries BoundarySegment*"},
    "RoadLine": {1: "type enum", 2: "polyline MapPoint*"},
    "RoadEdge": {1: "type enum", 2: "polyline MapPoint*"},
    "StopSign": {1: "lane int64*", 2: "position MapPoint"},
    "Crosswalk": {1: "polygon MapPoint*"},
    "SpeedBump": {1: "polygon MapPoint*"},
    "Driveway": {1: "polygon MapPoint*"},
}
EXAMPLE = {
    "Example": {1: "features Features"},
    "Features": {1: "feature Entry*"},  # a map: entries of key and value
    "Entry": {1: "key string", 2: "value Feature"},
    "Feature": {1: "bytes_list BytesList", 2: "float_list FloatList", 3: "int64_list Int64List"},
    "BytesList": {1: "value bytes*"},
    "FloatList": {1: "value float+"},
    "Int64List": {1: "value int64+"},
}


def message_class(table, root):
    file = descriptor_pb2.FileDescriptorProto(name=root + ".proto", package="table", syntax="proto2")
    for name, fields in table.items():
        message = file.message_type.add(name=name)
        for number, text in fields.items():
            field_name, kind = text.split()
            repeated = kind[-1] in "*+"
            field = message.field.add(name=field_name, number=number, label=3 if repeated else 1)
            if kind.endswith("+"):
                field.options.packed = True
            kind = kind.rstrip("*+")
            if kind in KINDS:
                field.type = KINDS[kind]
            else:
                field.type, field.type_name = 11, ".table." + kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName("table." + root)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    with open(path, "rb") as file:
        while head := file.read(12):
            size, crc = struct.unpack("<QI", head)
            assert masked_crc(head[:8]) == crc, path
            payload = file.read(size)
            assert len(payload) == size and struct.unpack("<I", file.read(4))[0] == masked_crc(payload), path
            yield payload


def known(message):
    """Nothing that the tables do not name, anywhere."""
    assert message.SerializeToString(deterministic=True) and message.ByteSize() > 0
    try:
        from google.protobuf import unknown_fields
        assert len(unknown_fields.UnknownFieldSet(message)) == 0
    except ImportError:
        assert len(message.UnknownFields()) == 0 if hasattr(message, "UnknownFields") else True


def check_scenario(s, payload):
    known(s)
    assert s.SerializeToString() == payload, "protobuf would write other bytes"
    assert len(s.timestamps_seconds) == len(s.dynamic_map_states) == 91 and s.current_time_index == 10
    assert all(a < b for a, b in zip(s.timestamps_seconds, s.timestamps_seconds[1:]))
    assert s.scenario_id and 0 <= s.sdc_track_index < len(s.tracks) and len(s.tracks_to_predict) <= 8
    ids = [t.id for t in s.tracks]
    assert len(set(ids)) == len(ids) and set(s.objects_of_interest) <= set(ids)
    states = 0
    for track in s.tracks:
        known(track)
        assert len(track.states) == 91 and 1 <= track.object_type <= 4
        for state in track.states:
            if state.valid:
                states += 1
                assert len(state.ListFields()) == 10 and all(math.isfinite(v) for _, v in state.ListFields())
                assert abs(state.heading) <= math.pi + 1e-6 and state.length > 0 and state.width > 0
    for p in s.tracks_to_predict:
        assert s.tracks[p.track_index].states[10].valid
    features = {f.id: f for f in s.map_features}
    assert len(features) == len(s.map_features)
    count = {}
    for f in s.map_features:
        known(f)
        kind = [d.name for d, _ in f.ListFields() if d.name != "id"]
        assert len(kind) == 1
        count[kind[0]] = count.get(kind[0], 0) + 1
        if kind[0] == "lane":
            check_lane(f.id, f.lane, features)
    for step in s.dynamic_map_states:
        assert all(features[light.lane].HasField("lane") for light in step.lane_states)
    return {"id": s.scenario_id, "tracks": len(s.tracks), "states": states, "predict": len(s.tracks_to_predict),
            "interest": len(s.objects_of_interest), "lights": len(s.dynamic_map_states[0].lane_states), **count}


def check_lane(number, lane, features):
    assert len(lane.polyline) >= 2 and 0 <= lane.type <= 3 and 0 <= lane.speed_limit_mph < 200
    for other in lane.exit_lanes:
        assert number in features[other].lane.entry_lanes
    for side in (lane.left_boundaries, lane.right_boundaries):
        for b in side:
            assert 0 <= b.lane_start_index <= b.lane_end_index < len(lane.polyline)
            line = features[b.boundary_feature_id]
            assert line.HasField("road_line") or line.HasField("road_edge")
    for side in (lane.left_neighbors, lane.right_neighbors):
        for n in side:
            assert 0 <= n.self_start_index < n.self_end_index < len(lane.polyline)
            assert 0 <= n.neighbor_start_index < n.neighbor_end_index < len(features[n.feature_id].lane.polyline)


# key: (list, values); steps of past, current, future
PERIODS = {"past": 10, "current": 1, "future": 80}
EXPECTED = {"scenario/id": ("bytes_list", 1), "roadgraph_samples/xyz": ("float_list", 90000),
            "roadgraph_samples/dir": ("float_list", 90000), "roadgraph_samples/type": ("int64_list", 30000),
            "roadgraph_samples/id": ("int64_list", 30000), "roadgraph_samples/valid": ("int64_list", 30000),
            "state/id": ("float_list", 128), "state/type": ("float_list", 128)}
for name in ("is_sdc", "tracks_to_predict", "objects_of_interest", "difficulty_level", "is_context"):
    EXPECTED["state/" + name] = ("int64_list", 128)
for period, steps in PERIODS.items():
    for name in ("x", "y", "z", "length", "width", "height", "bbox_yaw", "velocity_x", "velocity_y", "speed", "vel_yaw"):
        EXPECTED[f"state/{period}/{name}"] = ("float_list", 128 * steps)
    for name in ("timestamp_micros", "valid"):
        EXPECTED[f"state/{period}/{name}"] = ("int64_list", 128 * steps)
    for name in ("state", "valid", "id"):
        EXPECTED[f"traffic_light_state/{period}/{name}"] = ("int64_list", 16 * steps)
    for name in ("x", "y", "z"):
        EXPECTED[f"traffic_light_state/{period}/{name}"] = ("float_list", 16 * steps)
    EXPECTED[f"traffic_light_state/{period}/timestamp_micros"] = ("int64_list", steps)


def check_example(example, payload):
    known(example)
    assert example.SerializeToString() == payload, "protobuf would write other bytes"
    v = {}
    for entry in example.features.feature:
        assert entry.key not in v
        (kind, values), = entry.value.ListFields()
        assert EXPECTED[entry.key] == (kind.name, len(values.value)), entry.key
        v[entry.key] = values.value
    assert set(v) == set(EXPECTED)
    points = sum(v["roadgraph_samples/valid"])
    assert sum(v["state/is_sdc"]) == 1
    for i in range(points):
        square = sum(c * c for c in v["roadgraph_samples/dir"][3 * i : 3 * i + 3])
        assert square == 0 or abs(square - 1) < 1e-5
        assert 0 <= v["roadgraph_samples/type"][i] <= 20
    assert all(t == -1 for t in v["roadgraph_samples/type"][points:])
    states = 0
    for period, steps in PERIODS.items():
        for i, valid in enumerate(v[f"state/{period}/valid"]):
            if not valid:
                assert v[f"state/{period}/x"][i] == -1 and v[f"state/{period}/timestamp_micros"][i] == -1
                continue
            states += 1
            vx, vy = v[f"state/{period}/velocity_x"][i], v[f"state/{period}/velocity_y"][i]
            assert abs(v[f"state/{period}/speed"][i] - math.hypot(vx, vy)) < 1e-4
            assert v[f"state/{period}/timestamp_micros"][i] >= 0
    agents = sum(1 for t in v["state/tracks_to_predict"] if t != -1)
    return {"id": v["scenario/id"][0].decode(), "tracks": agents, "states": states, "points": points,
            "predict": sum(1 for t in v["state/tracks_to_predict"] if t == 1),
            "interest": sum(1 for t in v["state/objects_of_interest"] if t == 1),
            "lights": sum(v["traffic_light_state/current/valid"])}


def main():
    scenario = sys.argv[1] == "scenario"
    table, root, check = (SCENARIO, "Scenario", check_scenario) if scenario else (EXAMPLE, "Example", check_example)
    kind = message_class(table, root)
    found, counts = [], []
    for path in sys.argv[2:]:
        before = len(found)
        for payload in records(path):
            message = kind()
            message.ParseFromString(payload)
            found.append(check(message, payload))
        counts.append(len(found) - before)
    assert len({f["id"] for f in found}) == len(found), "scenario ids are not unique"
    print(json.dumps({"records": len(found), "counts": counts, "scenes": found}))


if __name__ == "__main__":
    main()
