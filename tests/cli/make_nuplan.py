"""Writes a nuPlan log (.db) and its map (.gpkg) of a made-up scene, with the tables and layers that nuPlan documents.

    make_nuplan.py OUT [KEY=VALUE...]     OUT/log.db and OUT/maps/us-nv-las-vegas-strip/9.15.1915/map.gpkg

The road runs east from (E, N) of the map's system: two lanes of 3.5 m and 100 m (fid 11 on the left, 12 on the right),
connectors 21 (straight on from 12) and 22 (left from 11), and the lanes 13 and 14 they lead to. The ego drives along
lane 12 at 10 m/s, its rear axle at E + 20 + 10 t; a truck drives 30 m ahead; a pedestrian and a cone stand aside; the
connector 21 is red, and green from the 40th frame on. Frames come every 50 ms, 0 to 19.95 s.

Options: seconds=20; page=4096; planar=1: shapes in metres instead of degrees; big=1: big-endian shapes; z=1: shapes
with heights; text=1: numbers in columns of text; tags=TYPE@FRAME,...; null_velocity=1; yaw=0.0 (degrees); same_ids=1: connectors have the fids of lanes; map_version=NAME; log_sql=, map_sql=:
statements with semicolons between that are run on the finished files.
"""
import math
import os
import sqlite3
import struct
import sys

E, N, CODE, LON0 = 664000.0, 3997000.0, 32611, -117.0
START = 1620858000000000
STEP = 50000
YAW = math.radians(0.0)


def degrees(x, y):
    """The inverse of UTM on WGS 84, by the footpoint latitude (Snyder 1987, 8-17 to 8-25): not the program's series."""
    a, f, k0 = 6378137.0, 1 / 298.257223563, 0.9996
    e2 = f * (2 - f)
    ep2 = e2 / (1 - e2)
    m = y / k0
    mu = m / (a * (1 - e2 / 4 - 3 * e2 ** 2 / 64 - 5 * e2 ** 3 / 256))
    e1 = (1 - math.sqrt(1 - e2)) / (1 + math.sqrt(1 - e2))
    phi = (mu + (3 * e1 / 2 - 27 * e1 ** 3 / 32) * math.sin(2 * mu) + (21 * e1 ** 2 / 16 - 55 * e1 ** 4 / 32) * math.sin(4 * mu)
           + 151 * e1 ** 3 / 96 * math.sin(6 * mu) + 1097 * e1 ** 4 / 512 * math.sin(8 * mu))
    c, t = ep2 * math.cos(phi) ** 2, math.tan(phi) ** 2
    n = a / math.sqrt(1 - e2 * math.sin(phi) ** 2)
    r = a * (1 - e2) / (1 - e2 * math.sin(phi) ** 2) ** 1.5
    d = (x - 500000) / (n * k0)
    lat = phi - n * math.tan(phi) / r * (d ** 2 / 2 - (5 + 3 * t + 10 * c - 4 * c ** 2 - 9 * ep2) * d ** 4 / 24
                                         + (61 + 90 * t + 298 * c + 45 * t ** 2 - 252 * ep2 - 3 * c ** 2) * d ** 6 / 720)
    lon = (d - (1 + 2 * t + c) * d ** 3 / 6
           + (5 - 2 * c + 28 * t - 3 * c ** 2 + 8 * ep2 + 24 * t ** 2) * d ** 5 / 120) / math.cos(phi)
    return LON0 + math.degrees(lon), math.degrees(lat)


class Shapes:
    """GeoPackage geometries of points given relative to (E, N)."""

    def __init__(self, planar, big, z):
        self.planar, self.order, self.z = planar, ">" if big else "<", z

    def points(self, points):
        out = struct.pack(self.order + "I", len(points))
        for x, y in points:
            p = (E + x, N + y) if self.planar else degrees(E + x, N + y)
            out += struct.pack(self.order + ("ddd" if self.z else "dd"), *p, *((600.0,) if self.z else ()))
        return out

    def wkb(self, kind):
        return struct.pack("B", self.order == "<") + struct.pack(self.order + "I", kind + 1000 * self.z)

    def head(self):
        # an envelope on odd ones, so that both kinds of header are met
        return b"GP" + struct.pack("<BBi", 0, 1 if self.planar else 3, CODE if self.planar else 4326) + (
            b"" if self.planar else struct.pack("<4d", 0, 0, 0, 0))

    def line(self, points):
        return self.head() + self.wkb(2) + self.points(points)

    def polygon(self, *rings):
        body = struct.pack(self.order + "I", len(rings)) + b"".join(self.points([*r, r[0]]) for r in rings)
        one = self.wkb(3) + body
        return self.head() + self.wkb(6) + struct.pack(self.order + "I", 1) + one


def box(x0, y0, x1, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def arc(cx, cy, radius, first, last, count):
    return [(cx + radius * math.cos(first + (last - first) * i / count), cy + radius * math.sin(first + (last - first) * i / count))
            for i in range(count + 1)]


LAYERS = {
    "lanes_polygons": "lane_fid INTEGER, lane_group_fid INTEGER, lane_index INTEGER, left_boundary_fid INTEGER, "
                      "right_boundary_fid INTEGER, speed_limit_mps REAL, lane_type_fid INTEGER",
    "lane_connectors": "exit_lane_fid INTEGER, entry_lane_fid INTEGER, lane_group_connector_fid INTEGER, "
                       "speed_limit_mps REAL, traffic_light_stop_line_fids TEXT, intersection_fid INTEGER",
    "gen_lane_connectors_scaled_width_polygons": "lane_connector_fid INTEGER, left_boundary_fid INTEGER, "
                                                 "right_boundary_fid INTEGER",
    "baseline_paths": "lane_fid INTEGER, lane_connector_fid INTEGER",
    "boundaries": "boundary_type_fid INTEGER",
    "lane_groups_polygons": "creator_id INTEGER",
    "lane_group_connectors": "from_lane_group_fid INTEGER, to_lane_group_fid INTEGER, intersection_fid INTEGER",
    "intersections": "intersection_type_fid INTEGER",
    "stop_polygons": "stop_polygon_type_fid INTEGER",
    "crosswalks": "intersection_fids TEXT", "walkways": "creator_id INTEGER", "carpark_areas": "heading REAL",
    "road_segments": "lane_group_fids TEXT", "generic_drivable_areas": "creator_id INTEGER",
}


def write_map(path, options):
    s = Shapes(options.get("planar"), options.get("big"), bool(options.get("z")))
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA journal_mode = MEMORY")
    db.execute(f"PRAGMA page_size = {options.get('page', 4096)}")
    db.execute("PRAGMA application_id = 0x47504B47")
    db.execute("CREATE TABLE meta (key TEXT, value TEXT)")
    db.executemany("INSERT INTO meta VALUES (?, ?)", [("geographicCoordSystem", "EPSG:4326"),
                                                      ("projectedCoordSystem", f"EPSG:{CODE}")])
    db.execute("CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT, "
               "srs_id INTEGER, z TINYINT, m TINYINT)")
    for layer, columns in LAYERS.items():
        if options.get("text"):
            columns = columns.replace("INTEGER", "TEXT").replace("REAL", "TEXT")
        db.execute(f"CREATE TABLE {layer} (fid INTEGER PRIMARY KEY, geom BLOB, {columns})")
        db.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'GEOMETRY', 4326, 0, 0)", (layer,))

    def add(layer, *row):
        db.execute(f"INSERT INTO {layer} VALUES ({','.join('?' * len(row))})", row)

    offset = options.get("same_ids") and -10 or 0  # connectors 11 and 12, as two of the lanes
    straight, left = 21 + offset, 22 + offset
    shared = [(2.5 * i, 0.0) for i in range(41)]  # straight: all but its ends are redundant
    add("boundaries", 31, s.line([(0, 3.5), (100, 3.5)]), 2)
    add("boundaries", 32, s.line(shared[::-1]), 0)  # against the lanes
    add("boundaries", 33, s.line([(0, -3.5), (50, -3.5), (100, -4.0)]), 2)
    add("boundaries", 34, s.line([(100, 0), (120, 0)]), 1)
    add("boundaries", 35, s.line([(100, -4.0), (120, -3.5)]), 3)
    add("boundaries", 36, s.line([(120, 0), (220, 0)]), None)
    add("boundaries", 37, s.line([(120, -3.5), (220, -3.5)]), 2)
    add("boundaries", 38, s.line(arc(100, 15, 11.5, -math.pi / 2, 0, 12)), 1)
    add("boundaries", 39, s.line(arc(100, 15, 15.0, -math.pi / 2, 0, 12)), 1)
    add("boundaries", 40, s.line([(111.5, 15), (111.5, 115)]), 2)
    add("boundaries", 41, s.line([(115, 15), (115, 115)]), 2)
    outlines = {11: box(0, 0, 100, 3.5), 12: [(0, -3.5), (50, -3.5), (100, -4.0), (100, 0), (0, 0)],
                13: box(120, -3.5, 220, 0), 14: box(111.5, 15, 115, 115)}
    for fid, group, index, lb, rb, limit in ((11, 1, 0, 31, 32, 15.0), (12, 1, 1, 32, 33, 15.0), (13, 2, 0, 36, 37, None),
                                             (14, 3, 0, 40, 41, 11.0)):
        add("lanes_polygons", fid, s.polygon(outlines[fid]), fid, group, index, lb, rb, limit, 0)
    add("lane_connectors", straight, s.line([(100, -2), (120, -1.75)]), 12, 13, 51, 15.0, "71, ", 81)
    add("lane_connectors", left, s.line(arc(100, 15, 13.25, -math.pi / 2, 0, 12)), 11, 14, 52, None, " ", 81)
    surface = "gen_lane_connectors_scaled_width_polygons"
    add(surface, 61, s.polygon([(100, -4), (120, -3.5), (120, 0), (100, 0)]), straight, 34, 35)
    add(surface, 62, s.polygon(arc(100, 15, 11.5, -math.pi / 2, 0, 12) + arc(100, 15, 15, 0, -math.pi / 2, 12)), left, 38, 39)
    add("baseline_paths", 1, s.line([(0, 1.75), (100, 1.75)]), 11, None)
    add("baseline_paths", 2, s.line([(0, -1.75), (50, -1.75), (100, -2)]), 12, None)
    add("baseline_paths", 3, s.line([(120, -1.75), (220, -1.75)]), 13, None)
    add("baseline_paths", 4, s.line([(113.25, 15), (113.25, 115)]), 14, None)
    add("baseline_paths", 5, s.line([(100, -2), (120, -1.75)]), None, straight)
    add("baseline_paths", 6, s.line(arc(100, 15, 13.25, -math.pi / 2, 0, 12)), None, left)
    for fid, outline in ((1, box(0, -4, 100, 3.5)), (2, box(120, -3.5, 220, 0)), (3, box(111.5, 15, 115, 115))):
        add("lane_groups_polygons", fid, s.polygon(outline), 0)
        add("road_segments", 90 + fid, s.polygon(outline), str(fid))
    add("lane_group_connectors", 51, s.polygon(box(100, -4, 120, 0)), 1, 2, 81)
    add("lane_group_connectors", 52, s.polygon(box(100, 0, 115, 15)), 1, 3, 81)
    add("intersections", 81, s.polygon(box(100, -4, 120, 15)), 1)
    add("stop_polygons", 71, s.polygon(box(97, -4, 98.5, 0)), 2)
    add("stop_polygons", 72, s.polygon(box(96, 0, 98.5, 3.5)), 1)
    add("stop_polygons", 73, s.polygon(box(60, -4, 62, 4)), 1)  # too far from any end to rule one
    add("crosswalks", 75, s.polygon(box(100.5, -4, 103, 3.5)), "81")
    add("walkways", 76, s.polygon(box(0, 4, 100, 6)), 0)
    add("carpark_areas", 77, s.polygon(box(0, -40, 30, -10), box(10, -30, 20, -20)), 0.0)
    add("generic_drivable_areas", 78, s.polygon(box(60, -20, 80, -4)), 0)
    add("lanes_polygons", 15, s.polygon(box(5000, 0, 5100, 3.5)), 15, 9, 0, None, None, None, 1)  # a bike lane far away
    add("baseline_paths", 7, s.line([(5000, 1.75), (5100, 1.75)]), 15, None)
    db.commit()
    for statement in options.get("map_sql", "").split(";"):
        db.execute(statement)
    db.commit()
    db.execute("VACUUM")
    db.close()


TABLES = {
    "log": "token BLOB PRIMARY KEY, vehicle_name VARCHAR(64), date VARCHAR(64), timestamp INTEGER, logfile VARCHAR(64), "
           "location VARCHAR(64), map_version VARCHAR(64)",
    "lidar": "token BLOB PRIMARY KEY, log_token BLOB, channel VARCHAR(64), model VARCHAR(64), translation BLOB, rotation BLOB",
    "lidar_pc": "token BLOB PRIMARY KEY, next_token BLOB, prev_token BLOB, ego_pose_token BLOB, lidar_token BLOB, "
                "scene_token BLOB, filename VARCHAR(128), timestamp INTEGER",
    "ego_pose": "token BLOB PRIMARY KEY, timestamp INTEGER, x FLOAT, y FLOAT, z FLOAT, qw FLOAT, qx FLOAT, qy FLOAT, qz FLOAT, "
                "vx FLOAT, vy FLOAT, vz FLOAT, acceleration_x FLOAT, acceleration_y FLOAT, acceleration_z FLOAT, "
                "angular_rate_x FLOAT, angular_rate_y FLOAT, angular_rate_z FLOAT, epsg INTEGER, log_token BLOB",
    "lidar_box": "token BLOB PRIMARY KEY, lidar_pc_token BLOB, track_token BLOB, next_token BLOB, prev_token BLOB, x FLOAT, "
                 "y FLOAT, z FLOAT, width FLOAT, length FLOAT, height FLOAT, vx FLOAT, vy FLOAT, vz FLOAT, yaw FLOAT, "
                 "confidence FLOAT",
    "track": "token BLOB PRIMARY KEY, category_token BLOB, width FLOAT, length FLOAT, height FLOAT",
    "category": "token BLOB PRIMARY KEY, name VARCHAR(64), description TEXT",
    "scene": "token BLOB PRIMARY KEY, log_token BLOB, name TEXT, goal_ego_pose_token BLOB, roadblock_ids TEXT",
    "scenario_tag": "token BLOB PRIMARY KEY, lidar_pc_token BLOB, type TEXT, agent_track_token BLOB",
    "traffic_light_status": "token BLOB PRIMARY KEY, lidar_pc_token BLOB, lane_connector_id INTEGER, status VARCHAR(8)",
}
LOG, FRAME, POSE, TRACK, CATEGORY, BOX, OTHER = range(1, 8)


def token(kind, number):
    return struct.pack(">BBHI", 0xA0 + kind, 0, 0, number)


def write_log(path, options):
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA journal_mode = MEMORY")
    db.execute(f"PRAGMA page_size = {options.get('page', 4096)}")
    for table, columns in TABLES.items():
        db.execute(f"CREATE TABLE {table} ({columns})")

    def add(table, *row):
        db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)

    add("log", token(LOG, 1), "g1p-veh-0007", "2021-05-12", START, "2021.05.12.22.20.00_veh-07_00000_00020", "las_vegas",
        options.get("map_version", "us-nv-las-vegas-strip"))
    add("lidar", token(LOG, 2), token(LOG, 1), "MergedPointCloud", "", b"", b"")
    add("lidar", token(LOG, 3), token(LOG, 1), "Other", "", b"", b"")
    frames = round(options.get("seconds", 20) / 0.05)
    add("scene", token(LOG, 4), token(LOG, 1), "scene-000", token(POSE, frames - 1), "1 51 2")
    names = ["vehicle", "bicycle", "pedestrian", "traffic_cone", "barrier", "czone_sign", "generic_object"]
    for i, name in enumerate(names):
        add("category", token(CATEGORY, i), name, "")
    boxes = [("vehicle", 9.0, 2.5, 3.2), ("pedestrian", 0.7, 0.6, 1.7), ("traffic_cone", 0.4, 0.4, 0.8),
             ("vehicle", 4.5, 1.9, 1.5)]
    for i, (name, length, width, height) in enumerate(boxes):
        add("track", token(TRACK, i), token(CATEGORY, names.index(name)), width, length, height)
    order = list(range(frames))
    order[3], order[7] = order[7], order[3]  # rows need not be in order of time
    for k in order:
        jitter = 300 * (k % 3)
        t = k * 0.05
        add("lidar_pc", token(FRAME, k), None, None, token(POSE, k), token(LOG, 2), token(LOG, 4), "", START + k * STEP + jitter)
        # 600 m above the sea; turned by 190 degrees in one option, so that headings wrap
        yaw = math.radians(options.get("yaw", 0.0))
        add("ego_pose", token(POSE, k), START + k * STEP + 1234, E + 20 + 10 * t, N - 1.75, 600.0 + 0.01 * k,
            math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2), 10.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, CODE, token(LOG, 1))
        rows = [(0, E + 50 + 10 * t, N - 1.75, 601.6, 10.0, 0.0, 0.01),
                (1, E + 40, N + 5.0, 600.9, 0.0, 0.0, 3.5),
                (2, E + 70, N - 5.0, 600.4, 0.3, 0.4, -1.0)]
        if 100 <= k < 140:
            rows.append((3, E + 60 + k, N + 1.75, 600.7, 20.0, 0.0, 0.0))
        for track, x, y, z, vx, vy, heading in rows:
            name, length, width, height = boxes[track]
            if options.get("null_velocity") and track == 0:
                vx = vy = None
            add("lidar_box", token(BOX, 10 * k + track), token(FRAME, k), token(TRACK, track), None, None, x, y, z, width, length,
                height, vx, vy, 0.0, heading, 0.9)
        status = "red" if k < 40 else "green"
        add("traffic_light_status", token(OTHER, k), token(FRAME, k), options.get("same_ids") and 11 or 21, status)
        add("traffic_light_status", token(OTHER, 100000 + k), token(FRAME, k), 999, "yellow")
    add("lidar_pc", token(FRAME, 900000), None, None, token(POSE, 0), token(LOG, 3), token(LOG, 4), "", START + 25000)
    add("lidar_box", token(BOX, 900000), token(FRAME, 900000), token(TRACK, 0), None, None, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1)
    for i, tag in enumerate(filter(None, options.get("tags", "following_lane_with_lead@100,near_long_vehicle@100,"
                                                             "following_lane_with_lead@140,medium_magnitude_speed@120").split(","))):
        name, frame = tag.split("@")
        add("scenario_tag", token(OTHER, 200000 + i), token(FRAME, int(frame)), name, None)
    db.commit()
    for statement in options.get("log_sql", "").split(";"):
        db.execute(statement)
    db.commit()
    db.execute("VACUUM")
    db.close()


def main():
    folder = sys.argv[1]
    options = {}
    for argument in sys.argv[2:]:
        key, value = argument.split("=", 1)
        try:
            options[key] = float(value) if "." in value or key == "seconds" else int(value)
        except ValueError:
            options[key] = value
    place = os.path.join(folder, "maps", "us-nv-las-vegas-strip", "9.15.1915")
    os.makedirs(place, exist_ok=True)
    for path, write in ((os.path.join(folder, "log.db"), write_log), (os.path.join(place, "map.gpkg"), write_map)):
        if os.path.exists(path):
            os.remove(path)
        write(path, options)


main()
