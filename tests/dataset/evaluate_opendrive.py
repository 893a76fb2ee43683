#!/usr/bin/env python3
"""Evaluates an OpenDRIVE file on its own terms, knowing nothing of this project: reference lines by stepping along
heading and curvature, lanes by adding widths. Prints, for every lane that is driven, ridden or walked on:

    road, section, lane id, s, then x and y of the border nearer to lane 0, then of the other one

    evaluate_opendrive.py FILE.xodr [STEP]
"""
import math
import sys
import xml.etree.ElementTree as ElementTree

LANES = {"driving", "entry", "exit", "onRamp", "offRamp", "connectingRamp", "bidirectional", "mwyEntry", "mwyExit",
         "bus", "taxi", "HOV", "biking", "sidewalk", "shoulder", "stop", "walking", "slipLane", "shared"}


def number(element, name, otherwise=None):
    text = element.get(name)
    return float(text) if text is not None else otherwise


def cubic(entries, s):
    """The last cubic that begins at or before s, or 0."""
    value = 0.0
    for start, a, b, c, d in entries:
        if start <= s + 1e-9:
            ds = s - start
            value = a + b * ds + c * ds**2 + d * ds**3
    return value


def cubics(parent, tag, offset):
    return [tuple(number(e, k, 0.0) for k in (offset, "a", "b", "c", "d")) for e in parent.findall(tag)]


class Curve:
    """One geometry as a table of poses, 10 cm apart at most, made by the midpoint rule."""

    def __init__(self, element):
        self.s, self.x, self.y, self.hdg, self.length = (number(element, k) for k in ("s", "x", "y", "hdg", "length"))
        shape = [e for e in element if e.tag in ("line", "arc", "spiral", "poly3", "paramPoly3")][0]
        count = max(2, int(self.length / 0.1))
        if shape.tag in ("line", "arc", "spiral"):
            k0 = number(shape, "curvature", number(shape, "curvStart", 0.0))
            k1 = number(shape, "curvEnd", k0)
            self.table = self.walk(k0, k1, count)
        else:
            self.table = self.polynomial(shape, max(count, 200))

    def walk(self, k0, k1, count):
        table, x, y, step = [], 0.0, 0.0, self.length / count
        for i in range(count + 1):
            s = i * step
            table.append((s, x, y, k0 * s + (k1 - k0) * s * s / (2 * self.length)))
            for half in (0.25, 0.75):
                m = s + half * step
                h = k0 * m + (k1 - k0) * m * m / (2 * self.length)
                x += 0.5 * step * math.cos(h)
                y += 0.5 * step * math.sin(h)
        return table

    def polynomial(self, shape, count):
        if shape.tag == "poly3":
            u = (0.0, 1.0, 0.0, 0.0)
            v = tuple(number(shape, k) for k in "abcd")
            end = self.length
        else:
            u = tuple(number(shape, k) for k in ("aU", "bU", "cU", "dU"))
            v = tuple(number(shape, k) for k in ("aV", "bV", "cV", "dV"))
            end = self.length if shape.get("pRange") == "arcLength" else 1.0

        def at(k, p):
            return k[0] + p * (k[1] + p * (k[2] + p * k[3]))

        def slope(k, p):
            return k[1] + p * (2 * k[2] + p * 3 * k[3])

        points = [(at(u, end * i / count), at(v, end * i / count), math.atan2(slope(v, end * i / count), slope(u, end * i / count)))
                  for i in range(count + 1)]
        lengths = [0.0]
        for a, b in zip(points, points[1:]):
            lengths.append(lengths[-1] + math.hypot(b[0] - a[0], b[1] - a[1]))
        scale = 1.0 if shape.tag == "poly3" else self.length / lengths[-1]
        table = [(length * scale, x, y, h) for length, (x, y, h) in zip(lengths, points)]
        for i in range(1, len(table)):  # headings without jumps
            s, x, y, h = table[i]
            table[i] = (s, x, y, table[i - 1][3] + math.remainder(h - table[i - 1][3], 2 * math.pi))
        return table

    def pose(self, s):
        ds = min(max(s - self.s, 0.0), self.length)
        low, high = 0, len(self.table) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.table[middle][0] <= ds else (low, middle)
        a, b = self.table[low], self.table[high]
        f = (ds - a[0]) / (b[0] - a[0]) if b[0] > a[0] else 0.0
        u, v, h = (a[i] + f * (b[i] - a[i]) for i in (1, 2, 3))
        c, n = math.cos(self.hdg), math.sin(self.hdg)
        return self.x + u * c - v * n, self.y + u * n + v * c, self.hdg + h


def lanes_of(section):
    found = {}
    for side in section:
        if side.tag in ("left", "center", "right"):
            for lane in side.findall("lane"):
                found[int(lane.get("id"))] = lane
    return found


def outer(lanes, widths, ds, lane_id):
    """t of the outer border of a lane beside the centre of the lanes."""
    sign = 1 if lane_id > 0 else -1
    return sum(sign * cubic(widths[sign * i], ds) for i in range(1, abs(lane_id) + 1) if sign * i in lanes)


def evaluate(path, step):
    for road in ElementTree.parse(path).getroot().findall("road"):
        curves = [Curve(g) for g in road.find("planView").findall("geometry") if number(g, "length") > 1e-9]
        lateral, lanes_element = road.find("lateralProfile"), road.find("lanes")
        roll = cubics(lateral, "superelevation", "s") if lateral is not None else []
        offsets = cubics(lanes_element, "laneOffset", "s")
        sections = lanes_element.findall("laneSection")
        length = number(road, "length")
        for k, section in enumerate(sections):
            start = number(section, "s")
            end = number(sections[k + 1], "s") if k + 1 < len(sections) else length
            lanes = lanes_of(section)
            widths = {i: cubics(lane, "width", "sOffset") for i, lane in lanes.items()}
            count = max(2, int((end - start) / step))
            for i in range(count):
                s = start + (end - start) * (i + 0.5) / count
                curve = [c for c in curves if c.s <= s][-1]
                x, y, h = curve.pose(s)
                flat = math.cos(cubic(roll, s))
                for lane_id, lane in lanes.items():
                    if lane_id == 0 or lane.get("type") not in LANES:
                        continue
                    sign = 1 if lane_id > 0 else -1
                    base = cubic(offsets, s)
                    ts = [base + outer(lanes, widths, s - start, other) for other in (lane_id - sign, lane_id)]
                    row = [v for t in ts for v in (x - math.sin(h) * t * flat, y + math.cos(h) * t * flat)]
                    print(road.get("id"), k, lane_id, *("%.6f" % v for v in [s] + row), sep=",")


if __name__ == "__main__":
    evaluate(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.7)
