#!/usr/bin/env python3
"""Does generated data help a planner? Trains a small planner by imitation on recordings alone, and on recordings with
3, 10, 30 and 60 times as many generated corner cases beside them, and drives all of them through scenes that none has
seen: recordings, corner cases on their roads, and corner cases in towns that are on no training road.

    tools/augment.py DATA OUT                 five seeds of each: about an hour on two cores
    tools/augment.py DATA OUT --seeds 2 --steps 500
    tools/augment.py DATA OUT --development   what settings are chosen on: trains on a part of the recordings of
                                              ngsim-train and drives through the others, and through other towns

DATA: folder with ngsim-train.tar.xz, ngsim-val.tar.xz and osm-traffic.tar.xz (CommonRoad scenarios). OUT: made if
missing; what is there already is not made again, so that an interrupted run goes on. At the end it prints a table and
writes OUT/augmentation.json and OUT/augmentation.svg.

The planner is the network of nearmiss in small (nexus/), trained by `nearmiss train` for the same number of steps on
every mix; where there are generated scenes, --share of the examples are of them. `nexus:1` is what it says the ego will
do, `nexus` the best of six (scenarios/planner_nexus.h). The score is nuPlan's closed-loop score, others replayed.

What is compared are scenes that all could be driven in, with all seeds. Intervals are 95 %, of the difference to
recordings alone and of the gain (the ratio of the means, less 1): seeds and groups of scenes are drawn anew 10,000 times
(bootstrap). All recordings of a place are one group, together with the cases made of them: few groups make wide intervals.

A mix has as many cases as the roads have room for, at most what its name says: the table has the number. One OUT belongs
to one set of options, but for --seeds and --mixes, which may grow.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build", "release", "tools", "nearmiss")
MIXES = [0, 3, 10, 30, 60]
PLANNERS = ["nexus:1", "nexus"]
SETS = {"val": "recordings", "cases-val": "corner cases, known roads", "cases-towns": "corner cases, other towns"}
HELD_TOWNS = ["DEU_Lohmar-[1-9]_*", "DEU_Lohmar-[12][0-9]_*", "ITA_Segrate*", "BEL_Aarschot*", "DEU_BadWaldsee*",
              "ESP_Inca*", "ITA_SanGiorgio*"]
# With --development: places of ngsim-train that are driven through instead, and towns that are not HELD_TOWNS.
DEVELOPMENT_PLACES = ["USA_Lanker-2_*", "USA_Peach-4_*", "USA_US101-[345]_*"]
DEVELOPMENT_TOWNS = ["BEL_Beringen*", "DEU_Bilderstoeckchen*", "ESP_Almansa*", "ITA_Adelfia*", "ITA_CarpiCentro-[1-9]_*"]
ARCHIVES = ["ngsim-train", "ngsim-val", "osm-traffic"]
DRAWS = 10000


def run(*arguments, log=None):
    """One command of nearmiss. What it prints goes to `log`, or nowhere."""
    command = [PROGRAM, *map(str, arguments)]
    print("$ nearmiss", *map(str, arguments), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if log:
        with open(log, "w", encoding="utf-8") as out:
            out.write(done.stdout + done.stderr)
    if done.returncode != 0:
        sys.exit(f"augment.py: nearmiss {arguments[0]} failed:\n{done.stderr}")


def finish(path, make):
    """Makes `path` by make(part) unless it is there: a part that was not finished is made again."""
    if os.path.exists(path):
        return
    part = path + ".part"
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(part + suffix):
            os.remove(part + suffix)
    make(part)
    os.rename(part, path)


def keep(store, patterns, matching=True):
    """Takes the scenes out of a store whose names do not match any of the patterns, or do."""
    with sqlite3.connect(store) as database:
        database.execute("PRAGMA foreign_keys = ON")
        wanted = " OR ".join("scene_name GLOB ?" for _ in patterns)
        database.execute(f"DELETE FROM scene WHERE {'NOT' if matching else ''} ({wanted})", patterns)
    database.close()


def make_stores(data, development):
    def make(store, archive, patterns=None, matching=True):
        def fill(part):
            run("import", os.path.join(data, archive + ".tar.xz"), "--store", part, "--quiet")
            if patterns:
                keep(part, patterns, matching)
        finish(store, fill)

    if development:
        make("logs.db", "ngsim-train", DEVELOPMENT_PLACES, matching=False)
        make("val.db", "ngsim-train", DEVELOPMENT_PLACES)
        make("towns.db", "osm-traffic", DEVELOPMENT_TOWNS)
    else:
        make("logs.db", "ngsim-train")
        make("val.db", "ngsim-val")
        make("towns.db", "osm-traffic", HELD_TOWNS)


def count_scenes(store):
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM scene").fetchone()[0]


def corner_cases(store, source, count, seed, severity):
    """`count` of each kind that the roads of `source` have room for."""
    finish(store, lambda part: run("generate", "--kind", "all", "--severity", severity, "--generator",
                                   "manoeuvre,resample", "--count", count, "--seed", seed, "--from", source, "--store",
                                   part, "--quiet"))


def make_cases(mixes):
    logs = count_scenes("logs.db")
    # In the training sets the ego gets away with it: collisions are nothing to imitate.
    corner_cases("one.db", "logs.db", 1, 1000, "near_miss")
    kinds = count_scenes("one.db")
    for mix in mixes:
        if mix:
            corner_cases(f"cases-{mix}x.db", "logs.db", round(mix * logs / kinds), 1000, "near_miss")
    corner_cases("cases-val.db", "val.db", 10, 2000, "both")
    corner_cases("cases-towns.db", "towns.db", 10, 3000, "both")


def configuration(mix, seed, steps, share):
    data = [{"store": "logs.db", "weight": 1 - share if mix else 1}]
    if mix:
        data.append({"store": f"cases-{mix}x.db", "weight": share})
    return {
        "name": f"imitation {mix}x",
        "seed": seed,
        "steps": steps,
        "scenes": 16,
        "precision": "bf16",
        "tokens": {"encoding": "agent", "position_scale": 10, "heading_scale": 0.5, "speed_scale": 5, "agents": 16,
                   "paths": True, "future": 8, "map_polylines": 24},
        "model": {"hidden": 64, "heads": 4, "blocks": 2, "frequencies": 64},
        "noise": {"loss": "v", "prior": "lane", "scene": 3, "behaviour": 0.8, "goals": 0},
        "optimizer": {"rate": 0.001, "warm_up": 100, "ema": 0.99, "decay": 0.05},
        "augmentation": {"mirror": 0.25, "drop": 0.2, "history_noise": 0.05, "other_ego": 0.3},
        "data": data,
    }


def train(mix, seed, steps, share):
    name = f"{mix}x-{seed}"
    with open(name + ".json", "w", encoding="utf-8") as out:
        json.dump(configuration(mix, seed, steps, share), out, indent=1)
    run("train", "--config", name + ".json", "--out", name, "--quiet", log=name + ".log")  # goes on, or is done
    return os.path.join(name, "weights.safetensors")


def drive(mix, seed, weights):
    for scenes in SETS:
        results = f"{mix}x-{seed}-{scenes}.db"
        arguments = [x for planner in PLANNERS for x in ("--planner", planner)]
        run("evaluate", "--store", scenes + ".db", *arguments, "--no-expert", "--agents", "log", "--deadline", 0, "--seed",
            seed, "--model", weights, "--results", results, "--quiet", log=results + ".log")  # goes on, or is done


def scores(mix, seed, scenes):
    """{planner: {scene: (score, no collision at fault)}}; a planner that failed has 0."""
    found = {}
    with sqlite3.connect(f"file:{mix}x-{seed}-{scenes}.db?mode=ro", uri=True) as database:
        for planner, scene, outcome, score, safe in database.execute(
                "SELECT planner, scene, outcome, score, no_ego_at_fault_collisions FROM episodes"):
            if outcome != "unfit":
                done = outcome == "done"
                found.setdefault(planner, {})[scene] = (score if done else 0.0, safe if done else 0.0)
    return found


def groups_of(scenes):
    """[[scene, ...], ...]: scenes that may say the same thing twice: those whose names have the same place, USA_Peach-4
    of USA_Peach-4_1_T-1, since the windows of a place overlap."""
    with sqlite3.connect(f"file:{scenes}.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT id, scene_name, file FROM scene").fetchall()
    groups = {}
    for scene, name, file in rows:
        groups.setdefault((name or file).split("_T-")[0].rsplit("_", 1)[0], []).append(scene)
    return list(groups.values())


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def belongs(options):
    """Says what OUT (the current folder) is made with; False where that was something else."""
    wanted = {"steps": options.steps, "share": options.share, "development": options.development}
    if not os.path.exists("options.json"):
        with open("options.json", "w", encoding="utf-8") as out:
            json.dump(wanted, out)
    with open("options.json", encoding="utf-8") as found:
        return json.load(found) == wanted


def driven_by_all(*many):
    """Scenes that are in every one of the dictionaries."""
    return set.intersection(*(set(one) for one in many)) if many else set()


def compare(base, other, groups, generator):
    """Mean difference of other[seed][scene] to base, and the ratio of the means less 1 ("gain"; NaN where base is 0),
    with their 95 % intervals."""
    seeds = range(len(base))
    common = driven_by_all(*base, *other)
    groups = [kept for kept in ([x for x in g if x in common] for g in groups) if kept]
    if not groups:
        return {name: float("nan") for name in ("difference", "low", "high", "gain", "gain_low", "gain_high")}
    sums = [[(sum(base[s][x] for x in g), sum(other[s][x] for x in g), len(g)) for g in groups] for s in seeds]

    def statistic(drawn_seeds, drawn_groups):
        a = b = n = 0
        for s in drawn_seeds:
            for g in drawn_groups:
                a, b, n = a + sums[s][g][0], b + sums[s][g][1], n + sums[s][g][2]
        return (b - a) / n, b / a - 1 if a else float("nan")

    whole = statistic(seeds, range(len(groups)))
    draws = [statistic([generator.randrange(len(base)) for _ in seeds], [generator.randrange(len(groups)) for _ in groups])
             for _ in range(DRAWS)]

    def bounds(values):
        ordered = sorted(v for v in values if v == v)
        return (ordered[int(0.025 * len(ordered))], ordered[int(0.975 * len(ordered))]) if ordered else (float("nan"),) * 2

    (low, high), (gain_low, gain_high) = (bounds([d[i] for d in draws]) for i in (0, 1))
    return {"difference": whole[0], "low": low, "high": high, "gain": whole[1], "gain_low": gain_low, "gain_high": gain_high}


def summarise(mixes, seeds):
    table = []
    for scenes, title in SETS.items():
        groups = groups_of(scenes)
        for planner in PLANNERS:
            by_mix = {mix: [scores(mix, s, scenes).get(planner, {}) for s in seeds] for mix in mixes}
            generator = random.Random(1)
            common = driven_by_all(*(found for runs in by_mix.values() for found in runs))
            by_mix = {mix: [{x: found[x] for x in common} for found in runs] for mix, runs in by_mix.items()}
            for mix in mixes:
                score = [{x: v[0] for x, v in found.items()} for found in by_mix[mix]]
                row = {"scenes": scenes, "title": title, "planner": planner, "mix": mix,
                       "cases": count_scenes(f"cases-{mix}x.db") if mix else 0,
                       "count": len(common), "groups": sum(1 for g in groups if common.intersection(g)),
                       "score": mean(mean(s.values()) for s in score),
                       "seeds": [mean(s.values()) for s in score],
                       "safe": mean(mean(v[1] for v in found.values()) for found in by_mix[mix])}
                if mix:
                    base = [{x: v[0] for x, v in found.items()} for found in by_mix[0]]
                    row.update(compare(base, score, groups, generator))
                table.append(row)
    return table


def print_table(table):
    for scenes in SETS:
        rows = [r for r in table if r["scenes"] == scenes]
        print(f"\n{rows[0]['title']}: {rows[0]['count']} scenes, {rows[0]['groups']} groups")
        print("planner   mix  cases  score  no collision at fault  difference, 95 % interval   gain, 95 % interval")
        for r in rows:
            line = f"{r['planner']:8} {r['mix']:3}x  {r['cases']:5}  {r['score']:.3f}  {r['safe']:21.3f}"
            if r["mix"]:
                line += (f"      {r['difference']:+.3f}  [{r['low']:+.3f}, {r['high']:+.3f}]  {100 * r['gain']:+5.1f} %  "
                         f"[{100 * r['gain_low']:+.1f}, {100 * r['gain_high']:+.1f}]")
            print(line)


def draw(table, mixes, path):
    """Score over mix, a line a set and planner, as SVG; a dot a seed."""
    width, height, left, top = 640, 360, 56, 20
    plot_w, plot_h = width - left - 190, height - top - 44
    colours = {"val": "#5b6673", "cases-val": "#0b6bcb", "cases-towns": "#c2410c"}
    x = {mix: left + plot_w * i / max(len(mixes) - 1, 1) for i, mix in enumerate(mixes)}

    def y(score):
        return top + plot_h * (1 - score)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
           f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>']
    for tenth in range(0, 11, 2):
        out.append(f'<path d="M{left} {y(tenth / 10):.1f}h{plot_w}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(tenth / 10) + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>')
    for mix in mixes:
        label = f"{mix}x" if mix else "none"
        out.append(f'<text x="{x[mix]:.1f}" y="{top + plot_h + 18}" text-anchor="middle">{label}</text>')
    out.append(f'<text x="{left + plot_w / 2}" y="{height - 8}" text-anchor="middle">generated corner cases, times the '
               f'recordings</text><text transform="translate(14 {top + plot_h / 2}) rotate(-90)" '
               f'text-anchor="middle">closed-loop score</text>')
    line = 0
    for scenes, title in SETS.items():
        for planner in PLANNERS:
            rows = [r for r in table if r["scenes"] == scenes and r["planner"] == planner]
            dash = "" if planner == "nexus" else ' stroke-dasharray="5 4"'
            points = " ".join(f'{x[r["mix"]]:.1f},{y(r["score"]):.1f}' for r in rows)
            out.append(f'<polyline points="{points}" fill="none" stroke="{colours[scenes]}" stroke-width="2"{dash}/>')
            for r in rows:
                out += [f'<circle cx="{x[r["mix"]]:.1f}" cy="{y(s):.1f}" r="2" fill="{colours[scenes]}" '
                        f'opacity="0.5"/>' for s in r["seeds"]]
            at = top + 10 + 34 * line
            out.append(f'<path d="M{width - 180} {at}h22" stroke="{colours[scenes]}" stroke-width="2"{dash}/>'
                       f'<text x="{width - 152}" y="{at + 4}">{title.split(", ")[0]}</text>'
                       f'<text x="{width - 152}" y="{at + 18}" fill="#666">'
                       f'{", ".join(title.split(", ")[1:] + [planner])}</text>')
            line += 1
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000, help="of training, 16 scenes each (default 2000)")
    parser.add_argument("--mixes", default=",".join(map(str, MIXES)), help="default %(default)s; 0 is always among them")
    parser.add_argument("--share", type=float, default=0.5, help="of examples that are generated (default %(default)s)")
    parser.add_argument("--development", action="store_true", help="hold back a part of ngsim-train and other towns instead")
    options = parser.parse_args()
    data = os.path.abspath(options.data)
    try:
        mixes = sorted({0, *map(int, options.mixes.split(","))})
    except ValueError:
        parser.error(f"--mixes wants numbers with commas between them, not {options.mixes!r}")
    if not 0 < options.share < 1:
        parser.error("--share is between 0 and 1")
    if options.seeds < 1 or options.steps < 1 or mixes[0] < 0:
        parser.error("--seeds and --steps are at least 1, mixes at least 0")
    for name in ARCHIVES:
        if not os.path.exists(os.path.join(data, name + ".tar.xz")):
            parser.error(f"{data} has no {name}.tar.xz")
    seeds = list(range(1, options.seeds + 1))
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f"augment.py: {PROGRAM} is missing: tools/quickstart builds it")
    os.makedirs(options.out, exist_ok=True)
    os.chdir(options.out)
    if not belongs(options):
        sys.exit(f"augment.py: {options.out} was begun with other options: see its options.json, or take another folder")
    make_stores(data, options.development)
    make_cases(mixes)
    for seed in seeds:
        for mix in mixes:
            drive(mix, seed, train(mix, seed, options.steps, options.share))
    table = summarise(mixes, seeds)
    with open("augmentation.json", "w", encoding="utf-8") as out:
        json.dump({"steps": options.steps, "share": options.share, "seeds": seeds, "rows": table}, out, indent=1)
    draw(table, mixes, "augmentation.svg")
    print_table(table)


if __name__ == "__main__":
    main()
