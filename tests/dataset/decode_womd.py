#!/usr/bin/env python3
"""Dumps the Scenario records of a TFRecord file as text, one fact a line, for comparison with the importer.

Independent of the program on purpose: the standard library only, the wire format walked by field number, no generated
code, no protobuf package. Numbers are printed so that they read back exactly.

    decode_womd.py FILE          facts of all records
    decode_womd.py --check FILE  only verifies the CRCs, bit by bit
"""

import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data, check):
    at = 0
    while at < len(data):
        size, size_crc = struct.unpack_from("<QI", data, at)
        payload = data[at + 12 : at + 12 + size]
        (payload_crc,) = struct.unpack_from("<I", data, at + 12 + size)
        assert masked(crc32c(data[at : at + 8])) == size_crc, f"length CRC at {at}"
        if check:
            assert masked(crc32c(payload)) == payload_crc, f"payload CRC at {at}"
        yield payload
        at += size + 16


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def signed(value):
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def fields(data):
    """Yields (field number, wire type, value): an int for varints, bytes for everything else."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = data[at : at + 8], at + 8
        elif wire == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire == 5:
            value, at = data[at : at + 4], at + 4
        else:
            raise ValueError(f"wire type {wire}")
        yield tag >> 3, wire, value


def doubles(wire, value):
    return struct.unpack(f"<{len(value) // 8}d", value)


def integers(wire, value):
    if wire == 0:
        return [signed(value)]
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(signed(number))
    return found


def scalars(data, layout):
    """The singular fields named by layout {number: (name, kind)}; the last one wins; absent ones read as 0."""
    out = {name: 0 for name, _ in layout.values()}
    for number, wire, value in fields(data):
        if number in layout:
            name, kind = layout[number]
            out[name] = signed(value) if kind == "i" else struct.unpack("<" + kind, value)[0]
    return out


STATE = {2: ("x", "d"), 3: ("y", "d"), 4: ("z", "d"), 5: ("length", "f"), 6: ("width", "f"), 7: ("height", "f"),
         8: ("heading", "f"), 9: ("vx", "f"), 10: ("vy", "f"), 11: ("valid", "i")}
POINT = {1: ("x", "d"), 2: ("y", "d"), 3: ("z", "d")}
LANE = {1: ("speed_mph", "d"), 2: ("type", "i"), 3: ("interpolating", "i")}
NEIGHBOUR = {1: ("lane", "i"), 2: ("self_start", "i"), 3: ("self_end", "i"), 4: ("start", "i"), 5: ("end", "i")}
BOUNDARY = {1: ("start", "i"), 2: ("end", "i"), 3: ("feature", "i"), 4: ("type", "i")}
KINDS = {3: "lane", 4: "line", 5: "edge", 7: "stop", 8: "crosswalk", 9: "bump", 10: "driveway"}


def point(data):
    return tuple(scalars(data, POINT).values())


def track(data):
    out = {"id": 0, "type": 0, "states": []}
    for number, wire, value in fields(data):
        if number == 1:
            out["id"] = signed(value)
        elif number == 2:
            out["type"] = value
        elif number == 3:
            out["states"].append(scalars(value, STATE))
    return out


def signal(data):
    out = {"lane": 0, "state": 0, "stop": None}
    for number, wire, value in fields(data):
        if number == 1:
            out["lane"] = signed(value)
        elif number == 2:
            out["state"] = value
        elif number == 3:
            out["stop"] = point(value)
    return out


def lane(data):
    out = dict(scalars(data, {k: v for k, v in LANE.items()}))
    out.update(points=[], entry=[], exit=[], left=[], right=[], left_boundaries=[], right_boundaries=[])
    names = {11: "left", 12: "right"}
    for number, wire, value in fields(data):
        if number == 8:
            out["points"].append(point(value))
        elif number in (9, 10):
            out["entry" if number == 9 else "exit"] += integers(wire, value)
        elif number in names:
            neighbour = scalars(value, NEIGHBOUR)
            neighbour["boundaries"] = [scalars(v, BOUNDARY) for n, _, v in fields(value) if n == 6]
            out[names[number]].append(neighbour)
        elif number in (13, 14):
            out["left_boundaries" if number == 13 else "right_boundaries"].append(scalars(value, BOUNDARY))
    return out


def feature(data):
    out = {"id": 0, "kind": "none"}
    for number, wire, value in fields(data):
        if number == 1:
            out["id"] = signed(value)
        elif number in KINDS:
            out["kind"] = KINDS[number]
            if number == 3:
                out.update(lane(value))
            elif number in (4, 5):
                out["type"] = 0
                out["points"] = []
                for n, _, v in fields(value):
                    if n == 1:
                        out["type"] = v
                    elif n == 2:
                        out["points"].append(point(v))
            elif number == 7:
                out["lanes"] = [i for n, w, v in fields(value) if n == 1 for i in integers(w, v)]
                out["points"] = [point(v) for n, _, v in fields(value) if n == 2]
            else:
                out["points"] = [point(v) for n, _, v in fields(value) if n == 1]
    return out


def scenario(data):
    out = {"times": [], "tracks": [], "interest": [], "id": "", "sdc": 0, "signals": [], "features": [], "current": 0,
           "predict": []}
    for number, wire, value in fields(data):
        if number == 1:
            out["times"] += doubles(wire, value)
        elif number == 2:
            out["tracks"].append(track(value))
        elif number == 4:
            out["interest"] += integers(wire, value)
        elif number == 5:
            out["id"] = value.decode()
        elif number == 6:
            out["sdc"] = signed(value)
        elif number == 7:
            out["signals"].append([signal(v) for n, _, v in fields(value) if n == 1])
        elif number == 8:
            out["features"].append(feature(value))
        elif number == 10:
            out["current"] = signed(value)
        elif number == 11:
            out["predict"].append(tuple(scalars(value, {1: ("index", "i"), 2: ("level", "i")}).values()))
    return out


def dump(index, s):
    print("record", index, s["id"], len(s["times"]), len(s["tracks"]), s["sdc"], s["current"])
    for t in s["times"]:
        print("time", repr(t))
    for index, level in s["predict"]:
        print("predict", index, level)
    for number in s["interest"]:
        print("interest", number)
    for t in s["tracks"]:
        print("track", t["id"], t["type"], len(t["states"]))
        for step, v in enumerate(t["states"]):
            if v["valid"]:
                names = ("x", "y", "z", "heading", "vx", "vy", "length", "width", "height")
                print("state", step, *(repr(v[name]) for name in names))
    for step, lanes in enumerate(s["signals"]):
        for v in lanes:
            print("signal", step, v["lane"], v["state"], *(repr(c) for c in (v["stop"] or ())))
    for f in s["features"]:
        if f["kind"] == "lane":
            print("lane", f["id"], f["type"], repr(f["speed_mph"]), len(f["points"]), len(f["entry"]), len(f["exit"]),
                  len(f["left"]), len(f["right"]))
            print("entry", *f["entry"])
            print("exit", *f["exit"])
        else:
            print("feature", f["id"], f["kind"], f.get("type", 0), len(f["points"]))
        for p in f["points"]:
            print("point", *(repr(c) for c in p))


def main():
    check = sys.argv[1] == "--check"
    with open(sys.argv[-1], "rb") as file:
        data = file.read()
    for index, payload in enumerate(records(data, check)):
        if not check:
            dump(index, scenario(payload))


if __name__ == "__main__":
    main()
