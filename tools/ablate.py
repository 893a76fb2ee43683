#!/usr/bin/env python3
"""What each switch of the sampler is worth: scores every one off and on, and the best of them together, on the same
recorded scenes with the same noise, and prints one table a set of scenes.

    tools/ablate.py DATA OUT                    everything: about three quarters of an hour on two cores
    tools/ablate.py DATA OUT --rows off,reduce  these alone
    tools/ablate.py DATA OUT --device cuda      where the switch has it
    tools/ablate.py --list                      what there is

DATA: folder with ngsim-val.tar.xz and osm-traffic.tar.xz (CommonRoad scenarios). OUT: made if missing; what is there
already is not made again, so that an interrupted run goes on; one OUT belongs to one program and one set of options, but
for --rows. Rows with weights of their own take them from OUT, where `tools/reproduce DATA OUT adapt attention energy`
leaves them, and are left out, with a word, where they are not.

Scores: displacement in m (mean over 1..8 s, goal: 1..7 s), collisions per agent, shares off the road, stability (jerk in
m/s^3, yaw steps in degrees), realism (WOSAC's meta-metric, an independent reimplementation), with 95 % intervals over
independent groups of scenes. `within`: every score, the six of stability for both tasks among them, is inside the
interval of the row that it is compared with, or better than it; else what is not. A score of one group has no interval:
it is printed, not judged. *+ and *- mark a paired difference, the same groups drawn for both (bootstrap), that is above
or below 0 with its whole 95 % interval: the stricter question.

Seconds are of one future of a scene, all its agents, both cores, free task; the least of --rounds rounds in which the rows
take turns. At the end OUT/ablation.json has everything, OUT/ablation.md the tables.
"""

import argparse
import json
import os
import random
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build", "release", "tools", "nearmiss")
HELD_TOWNS = ("DEU_Lohmar-[1-9]_*,DEU_Lohmar-[12][0-9]_*,ITA_Segrate*,BEL_Aarschot*,DEU_BadWaldsee*,ESP_Inca*,"
              "ITA_SanGiorgio*")
SETS = {"ngsim-val": "recordings", "towns": "towns set aside"}
DRAWS = 2000
SCORES = ["displacement_m", "collision_rate", "off_road_rate"]
STABILITY = ["yaw_step", "speed_step", "accel", "jerk", "yaw_accel", "yaw_jerk"]


class Row:
    """A line of the table. model: a file under OUT, or a name of those that
    come with the program; against: the row that it is compared with."""

    def __init__(self, name, what, options="", model="shipped", against="off", tasks="both", stage=None):
        self.name, self.what, self.options = name, what, options.split()
        self.model, self.against, self.tasks, self.stage = model, against, tasks, stage


GUIDANCE = "--guidance overlap=1,road=0.5,smooth=0.3,iterations=15"
REDUCE = "--reduce ahead=1,behind=1"
AGREE = "--agree m=1,mps=1,most=2"
ENERGY = "--energy OUT/energy/energy.safetensors"
ADAPTED = {"scratch": "blocks of 2 s from scratch", "scratch-causal": "the same, causal mask and next-token loss",
           "direct": "half seconds first, then blocks of 2 s", "grown": "half seconds first, then grown",
           "grown-causal": "the same, causal mask and next-token loss"}
ROWS = [
    Row("off", "all switches off", "--reduce none", against=None),
    Row("reuse", "key/value reuse, drift 0.1", "--reuse drift=0.1"),
    Row("reduce", "token reduction", f"{REDUCE} {GUIDANCE}"),
    Row("default", "token reduction, guidance of what is near (default)"),
    Row("agree", "guided unmasking", f"--reduce none {AGREE}"),
    Row("agree-reduce", "guided unmasking, token reduction, guidance of what is near",
        f"--reduce ahead=2,behind=2 {GUIDANCE},ahead=1 {AGREE}"),
    Row("coarse", "two half seconds at once, one level", "--schedule block:2 --levels 1"),
    Row("best-of-4", "residual energy, best of 4", f"{REDUCE} {ENERGY} --candidates 4 --choose best", against="reduce",
        stage="energy"),
    Row("importance", "residual energy, importance sampling of 6 in a window",
        f"{REDUCE} {ENERGY} --candidates 6 --window 0.2:0.58", against="reduce", stage="energy"),
    Row("blocks", "blocks of half a second with kept keys, weights of their own", model="shipped-blocks", tasks="free"),
    *(Row(f"adapt-{name}", what + " (small network)", model=f"adapt-{name}/weights.safetensors", tasks="free",
          against=None if name == "scratch" else "adapt-scratch", stage="adapt") for name, what in ADAPTED.items()),
    Row("joint-full", "attention over all tokens of a scene (short training)", model="joint-full/weights.safetensors",
        against=None, stage="attention"),
    Row("joint-free", "the same weights, block attention", "--attention blocks:tau=0.7,target=32",
        model="joint-full/weights.safetensors", against="joint-full", stage="attention"),
    Row("joint-blocks", "trained with block attention", model="joint-blocks/weights.safetensors", against="joint-full",
        stage="attention"),
    Row("joint-factored", "trained with the default layers", "--reduce none", model="joint-factored/weights.safetensors",
        against="joint-full", stage="attention"),
]


def run(program, *arguments):
    """One command of nearmiss; returns what it prints."""
    command = [program, *map(str, arguments)]
    print("$ nearmiss", *map(str, arguments), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"ablate.py: nearmiss {arguments[0]} failed:\n{done.stderr}")
    return done.stdout


def prepare(args):
    """The stores that are scored on."""
    for name, archive in (("ngsim-val", "ngsim-val"), ("towns", "osm-traffic")):
        store = os.path.join(args.out, name + ".db")
        if os.path.exists(store):
            continue
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(store + ".part" + suffix):
                os.remove(store + ".part" + suffix)
        run(args.program, "import", os.path.join(args.data, archive + ".tar.xz"), "--store", store + ".part", "--quiet")
        os.rename(store + ".part", store)


def find_model(row, out):
    """The weights of a row, or None where nobody has made them."""
    if row.model.startswith("shipped"):
        return row.model
    place = os.path.join(out, row.model)
    return place if os.path.exists(place) else None


def command(row, which, args, task, samples, realism):
    """The arguments of `nearmiss score` for a row."""
    line = ["score", "--data", os.path.join(args.out, which + ".db"), "--model", find_model(row, args.out),
            "--no-baselines", "--samples", samples, "--task", task, "--device", args.device, "--json", "--quiet"]
    if which == "towns":
        line += ["--only", HELD_TOWNS]
    if realism:
        line += ["--realism", realism]
    return line + [o.replace("OUT/", args.out + "/") for o in row.options]


def kept(path, make):
    """What `make` returns, read from `path` if it was made before."""
    if not os.path.exists(path):
        text = json.dumps(make())
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".part", path)
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def score(row, which, args):
    """Both tasks of a row: {"free": ..., "goal": ...}."""
    path = os.path.join(args.out, "rows", f"{row.name}.{which}.json")
    document = kept(path, lambda: json.loads(run(args.program, *command(row, which, args, row.tasks, args.samples, args.realism))))
    return {r["task"]: r for r in document["rows"]}


def time_rows(rows, which, args):
    """Seconds of one future by row: rounds in which the rows take turns, the least of each."""
    def measure():
        least = {}
        for _ in range(args.rounds):
            for row in rows:
                line = command(row, which, args, "free", 6, 0) + ["--limit", args.timed]
                seconds = json.loads(run(args.program, *line))["rows"][0]["seconds_per_scene"]
                least[row.name] = min(seconds, least.get(row.name, seconds))
        return least
    names = "+".join(row.name for row in rows)
    path = os.path.join(args.out, "rows", f"seconds.{which}.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if json.load(file)["rows"] != names:
                os.remove(path)
    return kept(path, lambda: {"rows": names, "seconds": measure()})["seconds"]


# ----------------------------------------------------------------------------------------------------------------------
# Comparison

def ratio(groups, drawn):
    """The score over the drawn groups: the mean over parts of the ratio of sums (sim/metrics/interval.h)."""
    parts = len(groups[0])
    total, count = 0.0, 0
    for k in range(parts):
        numerator = sum(groups[g][k][0] for g in drawn)
        denominator = sum(groups[g][k][1] for g in drawn)
        if denominator > 0:
            total, count = total + numerator / denominator, count + 1
    return total / count if count else float("nan")


def counted_groups(*rows):
    """Which groups have anything to say about a score, of all rows together."""
    return [g for g in range(len(rows[0])) if any(part[1] > 0 for row in rows for part in row[g])]


def difference(mine, theirs):
    """Value and interval of mine - theirs, the same groups drawn for both; None where there are not two groups."""
    counted = counted_groups(mine, theirs)
    if len(counted) < 2:
        return None
    rng = random.Random(0)
    value = ratio(mine, counted) - ratio(theirs, counted)
    draws = []
    for _ in range(DRAWS):
        drawn = rng.choices(counted, k=len(counted))
        one = ratio(mine, drawn) - ratio(theirs, drawn)
        if one == one:
            draws.append(one)
    draws.sort()
    if not draws:
        return None
    return {"value": value, "low": draws[int(0.025 * (len(draws) - 1))], "high": draws[int(0.975 * (len(draws) - 1))]}


def estimate(result, task, name):
    """{"value", "low", "high"} of a score, or None."""
    row = result.get(task)
    if not row:
        return None
    if name == "realism":
        return row.get("realism", {}).get("meta")
    return row[name] if row[name]["value"] is not None else None


def compare(mine, theirs):
    """What is worse than the interval of `theirs`, the paired differences, and what one group alone says."""
    outside, paired, alone = [], {}, []
    for task in ("free", "goal"):
        for name in SCORES + STABILITY + (["realism"] if task == "free" else []):
            here, there = estimate(mine, task, name), estimate(theirs, task, name)
            if not here or not there:
                continue
            both = [r[task]["by_group"][name] for r in (mine, theirs)]
            if len(counted_groups(*both)) < 2:
                alone.append(f"{task} {name}")
                continue
            sign = -1 if name == "realism" else 1
            worst = there["low"] if name == "realism" else there["high"]
            if sign * here["value"] > sign * worst + 1e-12:
                outside.append(f"{task} {name}")
            paired[f"{task} {name}"] = difference(*both)
    return {"outside": outside, "paired": paired, "alone": alone}


# ----------------------------------------------------------------------------------------------------------------------
# Tables

def number(e, scale=1.0, digits=2, star=None):
    """A score with its interval, and a star and a sign where the paired difference says so."""
    if not e:
        return "-"
    mark = ""
    if star and (star["low"] > 0 or star["high"] < 0):
        mark = " *+" if star["low"] > 0 else " *-"
    return f"{scale * e['value']:.{digits}f} ({scale * e['low']:.{digits}f}, {scale * e['high']:.{digits}f}){mark}"


def verdict(row, comparison):
    """The last cell."""
    if not row.against:
        return ""
    return "within" if not comparison["outside"] else "not: " + ", ".join(comparison["outside"])


def table(which, rows, results, seconds):
    """Lines of Markdown."""
    lines = [f"### {SETS[which]} (`{which}`)", "",
             "| | free m | goal m | collisions % | off road % | jerk | yaw step | realism | passes | s | times | scores |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        mine, c = results[row.name], results[row.name].get("comparison", {"outside": [], "paired": {}})
        stars = c["paired"]
        cells = [f"**{row.name}**: {row.what}" if not row.against else f"{row.name}: {row.what}"]
        cells.append(number(estimate(mine, "free", "displacement_m"), star=stars.get("free displacement_m")))
        cells.append(number(estimate(mine, "goal", "displacement_m"), star=stars.get("goal displacement_m")))
        cells.append(number(estimate(mine, "free", "collision_rate"), 100.0, star=stars.get("free collision_rate")))
        cells.append(number(estimate(mine, "free", "off_road_rate"), 100.0, star=stars.get("free off_road_rate")))
        cells.append(number(estimate(mine, "free", "jerk"), star=stars.get("free jerk")))
        cells.append(number(estimate(mine, "free", "yaw_step"), star=stars.get("free yaw_step")))
        cells.append(number(estimate(mine, "free", "realism"), digits=3, star=stars.get("free realism")))
        cells.append(f"{mine['free']['passes_per_future']:.1f}" if mine["free"].get("passes_per_future") else "-")
        mine_s, their_s = seconds.get(row.name), seconds.get(row.against or row.name)
        cells.append(f"{mine_s:.4f}" if mine_s else "-")
        cells.append(f"{their_s / mine_s:.2f}" if mine_s and their_s and row.against else "")
        cells.append(verdict(row, c))
        lines.append("| " + " | ".join(cells) + " |")
    alone = sorted({name for row in rows for name in results[row.name].get("comparison", {}).get("alone", [])})
    return lines + ([f"\nOf one group, and not judged: {', '.join(alone)}."] if alone else []) + [""]


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="folder with the archives")
    parser.add_argument("out", nargs="?", help="folder of the results")
    parser.add_argument("--list", action="store_true", help="print the rows and leave")
    parser.add_argument("--rows", help="names of rows, with commas; those that they are compared with come, too")
    parser.add_argument("--samples", type=int, default=4, help="futures of each scene that are scored (default 4)")
    parser.add_argument("--realism", type=int, default=8, help="futures of each scene for realism (default 8)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of timing, 0 = none (default 3)")
    parser.add_argument("--timed", type=int, default=12, help="scenes that are timed (default 12)")
    parser.add_argument("--program", default=PROGRAM, help="nearmiss (default: that of the build folder)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    args = parser.parse_args()
    if not args.list and not (args.data and args.out):
        parser.error("DATA and OUT are missing")
    return args


def choose(args):
    """The rows that were asked for and whose weights are there."""
    names = args.rows.split(",") if args.rows else [row.name for row in ROWS]
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"ablate.py: there is no row {', '.join(sorted(unknown))}; see --list")
    wanted = set(names) | {row.against for row in ROWS if row.name in names and row.against}
    rows, missing = [], set()
    for row in ROWS:
        if row.name not in wanted:
            continue
        files = [o.replace("OUT/", args.out + "/") for o in row.options if o.startswith("OUT/")]
        if find_model(row, args.out) and all(map(os.path.exists, files)) and row.against not in missing:
            rows.append(row)
        else:
            missing.add(row.name)
            print(f"ablate.py: without {row.name}: tools/reproduce DATA {args.out} {row.stage} makes its weights",
                  file=sys.stderr)
    return rows


def main():
    args = parse()
    if args.list:
        for row in ROWS:
            print(f"{row.name:14} {row.what} [{' '.join(row.options) or 'no options'}; {row.model}]")
        return
    os.makedirs(os.path.join(args.out, "rows"), exist_ok=True)
    prepare(args)
    rows = choose(args)
    document, lines = {}, []
    for which in SETS:
        results = {row.name: score(row, which, args) for row in rows}
        for row in rows:
            if row.against:
                results[row.name]["comparison"] = compare(results[row.name], results[row.against])
        seconds = time_rows(rows, which, args) if args.rounds else {}
        document[which] = {"results": results, "seconds": seconds}
        lines += table(which, rows, results, seconds)
    for name, text in (("ablation.json", json.dumps(document, indent=1)), ("ablation.md", "\n".join(lines))):
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as file:
            file.write(text + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
