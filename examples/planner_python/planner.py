"""A planner in Python: follows the route and keeps its distance. Give it to --planner as "exec:python3 planner.py".

Needs the official protobuf package (Debian: python3-protobuf; pip install protobuf) and planner_pb2.py, which protoc
(Debian: protobuf-compiler) makes of the messages; it is made here at every start unless it lies beside this file:

    protoc --proto_path=dataset/protos --python_out=examples/planner_python planner.proto

What the fields mean: dataset/protos/planner.proto and sim/planner.h.
"""
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import planner_pb2 as pb
except ImportError:
    protos = pathlib.Path(__file__).resolve().parents[2] / "dataset" / "protos"
    with tempfile.TemporaryDirectory() as made:
        subprocess.run(["protoc", f"--proto_path={protos}", f"--python_out={made}", "planner.proto"], check=True)
        sys.path.insert(0, made)
        import planner_pb2 as pb

channel_in, channel_out = sys.stdin.buffer, sys.stdout.buffer
sys.stdout = sys.stderr  # so that a print() does no harm


def requests():
    while len(header := channel_in.read(4)) == 4:
        yield pb.Request.FromString(channel_in.read(struct.unpack("<I", header)[0]))


def send(answer):
    channel_out.write(struct.pack("<I", answer.ByteSize()) + answer.SerializeToString())
    channel_out.flush()


def nearest_ahead(plan, heading):  # gap to the nearest agent in the way, and its speed
    x, y, c, s = plan.ego.box_centre.x_scene, plan.ego.box_centre.y_scene, math.cos(heading), math.sin(heading)
    h, best = plan.agents.history, (1e6, 0.0)
    for i, length in enumerate(plan.agents.length):
        k = (i + 1) * h.sample_count - 1  # now
        dx, dy = h.box_centre_x_scene[k] - x, h.box_centre_y_scene[k] - y
        ahead, left = dx * c + dy * s, dy * c - dx * s
        if ahead > 0 and abs(left) < 1.8:
            best = min(best, (ahead - length, math.hypot(h.velocity_x_scene[k], h.velocity_y_scene[k])))
    return best


def drive(plan, vehicle, route):
    answer = pb.Answer(step=plan.step)
    v, s = plan.ego.rear_axle_speed_ahead, plan.route_position - vehicle.rear_axle_to_box_centre
    gap, lead = nearest_ahead(plan, plan.ego.box_centre.heading_scene)
    for k in range(21):  # the Intelligent Driver Model, 2 s
        i = min(max(int(s), 0), len(route.x_scene) - 1)
        wanted = min(0.9 * route.speed_limit[i], 1.5 / math.sqrt(abs(route.curvature[i]) + 1e-3))
        room = max(2.0 + 1.2 * v + v * (v - lead) / 3.5, 0.0)
        accel = 1.5 * (1.0 - (v / wanted) ** 4 - (room / max(gap, 0.5)) ** 2)
        heading, over = route.heading_scene[i], s - i
        answer.trajectory.time.append(0.1 * k)
        answer.trajectory.rear_axle_x_scene.append(route.x_scene[i] + over * math.cos(heading))
        answer.trajectory.rear_axle_y_scene.append(route.y_scene[i] + over * math.sin(heading))
        answer.trajectory.heading_scene.append(heading)
        answer.trajectory.speed_ahead.append(v)
        v = max(v + 0.1 * min(max(accel, -4.0), 1.5), 0.0)
        s, gap = s + 0.1 * v, gap + 0.1 * (lead - v)
    return answer


for request in requests():
    if request.HasField("hello"):  # the last sample of everybody is enough, and no map
        send(pb.Answer(hello=pb.Hello(abi=1, name="example in Python", history=1, map_radius=-1)))
    elif request.HasField("begin"):
        vehicle, route = request.begin.vehicle, request.begin.route
        send(pb.Answer(ready=pb.Ready()))
    elif request.HasField("plan"):
        send(drive(request.plan, vehicle, route))
