#!/usr/bin/env python3
"""Checks a folder that `nearmiss evaluate --report` filled.

    check_evaluate_report.py DIR [--gallery N] [--failed N] [--unfit N] [--pictures]

The page parses, needs nothing from elsewhere and has no scripts; its tables are rectangular, its pictures are pictures;
CSV, JSON, JUnit XML and page say the same, and the sums are those of the rows, computed here once more. With Chromium
on the machine the page is opened in it, which must log nothing and ask for nothing.
"""

import argparse
import base64
import csv
import html.parser
import json
import math
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
import zlib

VOID = {"meta", "link", "br", "img", "hr", "input"}
METRICS = ["no_ego_at_fault_collisions", "drivable_area_compliance", "ego_is_making_progress",
           "driving_direction_compliance", "ego_progress_along_expert_route", "time_to_collision_within_bound",
           "speed_limit_compliance", "ego_is_comfortable"]
DANGER = ["sweep_ttc_s", "min_thw_s", "pet_s", "closing_mps", "max_drac_mps2", "required_decel_mps2"]


def check(condition, message):
    if not condition:
        sys.exit(f"check_evaluate_report: {message}")


def near(a, b, what):
    check(abs(a - b) <= 1e-6 * max(1.0, abs(b)), f"{what}: {a} is not {b}")


class Page(html.parser.HTMLParser):
    """Keeps the balance of tags, and gathers what is checked."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.images, self.tables = [], set(), [], [], []
        self.meta, self.commands, self.titles, self.now = [], [], [], 0
        self.text, self.counts = "", {}

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        check(tag not in ("script", "iframe", "object", "embed", "form", "base", "video", "audio"), f"<{tag}> in the page")
        check(not any(name.startswith("on") for name in a), f"<{tag}> with a handler: {a}")
        if tag not in VOID:
            self.open.append(tag)
        if "id" in a:
            check(a["id"] not in self.ids, f"two elements called {a['id']}")
            self.ids.add(a["id"])
        for name in ("href", "src", "action", "srcset", "xlink:href"):
            if name in a:
                self.links.append((tag, name, a[name]))
        if tag == "meta":
            self.meta.append(a)
        if tag == "img":
            check(a.get("alt"), "an image without a text")
            self.images.append(a)
        if tag == "figure" and "now" in a.get("class", "").split():
            self.now += 1
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append(["", int(a.get("colspan", "1"))])
        if tag in ("code", "h3", "title"):
            self.text = ""

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]} at {self.getpos()}")
        self.open.pop()
        if tag == "code":
            self.commands.append(self.text)
        if tag in ("h3", "title"):
            self.titles.append(self.text)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] != "style" and self.tables and self.tables[-1] and self.tables[-1][-1] \
                and any(t in ("td", "th") for t in self.open):
            self.tables[-1][-1][-1][0] += data


def check_png(url, width, height):
    """Parses the chunks and unpacks the pixels."""
    check(url.startswith("data:image/png;base64,"), f"an image from {url[:60]}")
    data = base64.b64decode(url.split(",", 1)[1], validate=True)
    check(data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG")
    at, pixels = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        check(zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0], "a damaged PNG")
        if kind == b"IHDR":
            check(struct.unpack(">II", body[:8]) == (width, height), "a picture of another size than it says")
        if kind == b"IDAT":
            pixels += body
        at += 12 + size
    raw = zlib.decompress(pixels)
    check(len(raw) == height * (3 * width + 1), "a PNG with too few pixels")
    check(len(set(raw)) > 8, "an empty picture")


def read_page(path):
    with open(path, encoding="utf-8", errors="strict") as file:
        text = file.read()
    check(len(text) < 10e6, "the page is larger than 10 MB")
    check(text.startswith("<!DOCTYPE html>"), "no document type")
    check(not re.search(r"\bnan\b", text), "NaN in the page")
    page = Page()
    page.feed(text)
    page.close()
    check(not page.open, f"never closed: {page.open}")
    for tag, name, value in page.links:
        check(value.startswith(("data:", "#")), f"<{tag} {name}={value[:80]}> leaves the page")
        check(not value.startswith("#") or value[1:] in page.ids, f"{value} leads nowhere")
    check(not re.search(r"@import|url\(", text), "a style from elsewhere")
    policy = [m["content"] for m in page.meta if m.get("http-equiv") == "Content-Security-Policy"]
    check(policy and "default-src 'none'" in policy[0], "no content security policy")
    for table in page.tables:
        widths = {sum(cell[1] for cell in row) for row in table}
        check(len(widths) == 1, f"a table with rows of {widths} cells: {table[0]}")
    for image in page.images:
        check_png(image["src"], int(image["width"]), int(image["height"]))
    return page


def rows_of(folder):
    with open(os.path.join(folder, "results.csv"), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def quantile(values, share):
    """Definition 7 of Hyndman and Fan."""
    values, at = sorted(values), share * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


def check_sums(told, rows, what):
    counted = [r for r in rows if r["outcome"] != "unfit"]
    check(told["scenes"] == len(counted), f"{what}: scenes")
    check(told["failed"] == sum(r["outcome"] == "failed" for r in rows), f"{what}: failed")
    check(told["unfit"] == len(rows) - len(counted), f"{what}: unfit")
    if not counted:
        check(told["score"] is None, f"{what}: a score of nothing")
        return []
    scores = [float(r["score"]) for r in counted]
    near(told["score"], statistics.fmean(scores), f"{what}: score")
    for metric in METRICS:
        near(told[metric], statistics.fmean(float(r[metric]) for r in counted), f"{what}: {metric}")
    hit = sum(r["outcome"] == "done" and float(r["no_ego_at_fault_collisions"]) < 1 for r in counted)
    near(told["collided_at_fault"], hit / len(counted), f"{what}: collisions")
    return scores


def check_danger(planner, rows, name):
    measured = [r for r in rows if r["max_drac_mps2"] != ""]
    check(planner["danger_measured"] == len(measured), f"{name}: how many were measured")
    check(len(measured) == sum(r["outcome"] == "done" for r in rows), f"{name}: measured, but not done")
    for measure in DANGER:
        values = [float(r[measure]) for r in measured if r[measure] != ""]
        check(planner[measure]["count"] == len(values), f"{name}: {measure}")
        if values:
            near(planner[measure]["median"], quantile(values, 0.5), f"{name}: median {measure}")
            near(planner[measure]["p05"], quantile(values, 0.05), f"{name}: P5 {measure}")


def sign(pair):
    """Of the interval of a pair: which one is better, 0 where they tie."""
    return 0 if pair["low"] is None else (pair["low"] > 0) - (pair["high"] < 0)


def tau_b(a, b):
    """Kendall's, of two lists of signs of pairs."""
    ordered = sum(x != 0 for x in a) * sum(y != 0 for y in b)
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(ordered) if ordered else None


def check_comparison(document, worlds, by_planner):
    """Shifts, agreements and splits, computed here once more from scores and pairs."""
    told = document["comparison"]
    of = [[p for p in document["pairs"] if (p["store"], p["agents"]) == w] for w in worlds]
    means = [{p["planner"]: p["score"] for p in document["planners"] if (p["store"], p["agents"]) == w} for w in worlds]
    for a in told["agreements"]:
        first, second = a["first"], a["second"]
        apart = [[sign(p) for p in of[w]] for w in (first, second)]
        order = [[0 if None in (means[w][p["first"]], means[w][p["second"]]) else
                  (means[w][p["first"]] > means[w][p["second"]] + 1e-9) - (means[w][p["first"]] < means[w][p["second"]] - 1e-9)
                  for p in of[w]] for w in (first, second)]
        for wanted, key in ((tau_b(*order), "kendall_tau"), (tau_b(*apart), "kendall_tau_apart")):
            check((wanted is None) == (a[key] is None), f"{key} of nothing")
            if wanted is not None:
                near(a[key], wanted, key)
        check(a["same_order"] == sum(x * y > 0 for x, y in zip(*apart)), "pairs apart alike")
        check(a["opposite_order"] == sum(x * y < 0 for x, y in zip(*apart)), "pairs apart oppositely")
    splits = [(i, a, b) for i in range(len(of[0])) for a in range(len(worlds)) for b in range(len(worlds))
              if sign(of[a][i]) == 0 and sign(of[b][i]) != 0]
    check([(s["planner"], s["against"], s["tied_in"], s["apart_in"]) for s in told["splits"]] ==
          [(of[0][i]["first"], of[0][i]["second"], a, b) for i, a, b in splits], "splits")
    for shift in told["shifts"]:
        check(worlds[shift["from"]][0] == worlds[shift["to"]][0], "a shift between sets of scenes")
        a, b = (by_planner[(*worlds[shift[w]], shift["planner"])] for w in ("from", "to"))
        moved = [b[scene] - a[scene] for scene in a if scene in b]
        check(shift["scenes"] == len(moved), "scenes of a shift")
        if moved:
            near(shift["score"]["value"], statistics.fmean(moved), "a shift")
            check(shift["score"]["low"] - 1e-9 <= shift["score"]["value"] <= shift["score"]["high"] + 1e-9, "its interval")


def check_json(document, rows):
    told = document["rows"]
    check(len(told) == len(rows), "JSON and CSV have different numbers of rows")
    for a, b in zip(told, rows):
        a = {name: value for name, value in a.items() if name not in ("losses", "said")}  # more than a cell holds
        check(list(a) == list(b), "JSON and CSV have different columns")
        for name, value in a.items():
            if value is None or isinstance(value, str):
                check((value or "") == b[name], f"{name}: {value} in JSON, {b[name]} in CSV")
            else:
                near(float(b[name]), value, name)
    by_planner = {}
    for planner in document["planners"]:
        world = (planner["store"], planner["agents"])
        name = (*world, planner["planner"])
        own = [r for r in rows if (r["store"], r["agents"], r["planner"]) == name]
        by_planner[name] = {r["scene"]: float(r["score"]) for r in own if r["outcome"] != "unfit"}
        scores = check_sums(planner, own, name)
        if scores:
            spread = planner["score_distribution"]
            for key, share in (("least", 0), ("p05", 0.05), ("p25", 0.25), ("median", 0.5), ("p75", 0.75),
                               ("p95", 0.95), ("most", 1)):
                near(spread[key], quantile(scores, share), f"{name}: {key}")
            check(planner["score_low"] <= planner["score"] <= planner["score_high"], f"{name}: interval")
        check_danger(planner, own, name)
        check([t["type"] for t in planner["types"]] ==
              sorted({r["type"] for r in rows if (r["store"], r["agents"]) == world}), f"{name}: types")
        for part in planner["types"]:
            check_sums(part, [r for r in own if r["type"] == part["type"]], f"{name}, {part['type']}")
    worlds = [(w["store"], w["agents"]) for w in document["worlds"]]
    check(len(set(worlds)) == len(worlds), "a world is there twice")
    check([(p["store"], p["agents"]) for p in document["planners"]] == sorted(
        ((p["store"], p["agents"]) for p in document["planners"]), key=worlds.index), "planners not world by world")
    names = [p["planner"] for p in document["planners"] if (p["store"], p["agents"]) == worlds[0]]
    pairs = [(*world, a, b) for world in worlds for i, a in enumerate(names) for b in names[i + 1:]]
    check([(p["store"], p["agents"], p["first"], p["second"]) for p in document["pairs"]] == pairs, "pairs")
    check(("comparison" in document) == (len(worlds) > 1), "a comparison of one world, or none of several")
    if len(worlds) > 1:
        check_comparison(document, worlds, by_planner)
    for pair in document["pairs"]:
        a, b = (by_planner[pair["store"], pair["agents"], pair[which]] for which in ("first", "second"))
        differences = [a[scene] - b[scene] for scene in a if scene in b]
        check(pair["scenes"] == len(differences), "scenes of a pair")
        if not differences:
            continue
        near(pair["difference"], statistics.fmean(differences), "difference of a pair")
        check(pair["wins"] == sum(d > 1e-9 for d in differences), "wins of a pair")
        check(pair["losses"] == sum(d < -1e-9 for d in differences), "losses of a pair")
        check(pair["wins"] + pair["ties"] + pair["losses"] == len(differences), "ties of a pair")
        check(min(differences) - 1e-9 <= pair["low"] <= pair["difference"] + 1e-9, "low end of a pair")
        check(pair["difference"] - 1e-9 <= pair["high"] <= max(differences) + 1e-9, "high end of a pair")


def check_junit(path, document, rows):
    root = xml.etree.ElementTree.parse(path).getroot()
    check(root.tag == "testsuites", "no JUnit")
    check(len(root) == len(document["planners"]), "suites")
    for suite, planner in zip(root, document["planners"]):
        check(suite.get("name").startswith(planner["planner"]), "name of a suite")
        own = [r for r in rows if all(r[key] == planner[key] for key in ("planner", "agents", "store"))]
        cases = suite.findall("testcase")
        check(len(cases) == len(own) == int(suite.get("tests")), "cases of a suite")
        check(len(suite.findall("testcase/failure")) == int(suite.get("failures")), "failures of a suite")
        check(len(suite.findall("testcase/skipped")) == int(suite.get("skipped")), "skipped ones of a suite")
        for case, row in zip(cases, own):
            check(case.get("name").split()[1] == row["scene"], "order of cases")
            check((case.find("skipped") is not None) == (row["outcome"] == "unfit"), "what is skipped")
            if row["outcome"] == "failed":
                check(case.find("failure").get("message") == row["reason"], "reason of a failure")


def check_page(page, document, rows):
    """The score table says what the document says."""
    lines = [line for table in page.tables if len(table[0]) > 1 and table[0][1][0] == "mean score" for line in table[1:]]
    check(len(lines) == len(document["planners"]), "planners in the score table")
    for planner, row in zip(document["planners"], lines):
        check(row[0][0].replace("recorded drive", "") in (planner["planner"], os.path.basename(planner["planner"])),
              f"{planner['planner']} is not in the score table")
        wanted = "-" if planner["score"] is None else f"{planner['score']:.4f}"
        check(row[1][0] == wanted, f"{planner['planner']}: {row[1][0]} in the page, {wanted} in JSON")
        check(row[-3][0] == str(planner["failed"]), "failed scenes in the page")
        check(row[-2][0] == str(planner["unfit"]), "unfit scenes in the page")
    check(document["command"] in page.commands, "the command line is not in the page")
    reasons = {cell[0] for table in page.tables for row in table for cell in row}
    for row in rows:
        check(not row["reason"] or row["reason"] in reasons, f"'{row['reason']}' is not in the page")


def check_browser(path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        print("no Chromium here: not opened in a browser")
        return
    with tempfile.TemporaryDirectory() as profile:
        log = os.path.join(profile, "net.json")
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
                   "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                   "--disable-default-apps", "--disable-extensions", "--enable-logging=stderr",
                   f"--log-net-log={log}", "--dump-dom", "file://" + os.path.abspath(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        except subprocess.TimeoutExpired:
            print("Chromium does not answer here: not opened in a browser")
            return
        if done.returncode != 0 or "<html" not in done.stdout:
            print("Chromium does not start here: not opened in a browser")
            return
        check("CONSOLE" not in done.stderr, f"the browser complains: {done.stderr[-500:]}")
        check(done.stdout.count("</section>") >= 5 and "</footer>" in done.stdout, "the browser shows only a part")
        with open(log, encoding="utf-8", errors="replace") as file:
            urls = set(re.findall(r'"url":"(https?://[^"]+)"', file.read()))
        # the browser's own questions to its maker do not come from the page
        urls = {u for u in urls if not re.match(r"https?://[^/]*(google|gvt1|googleapis|chromium)[^/]*/", u)}
        check(not urls, f"the page asks for {urls}")
        print("opened in Chromium")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--gallery", type=int, help="scenes that the gallery holds")
    parser.add_argument("--failed", type=int, help="failed rows")
    parser.add_argument("--unfit", type=int, help="unfit rows")
    parser.add_argument("--pictures", action="store_true", help="this machine can draw")
    parser.add_argument("--browser", action="store_true", help="open the page in Chromium where there is one")
    options = parser.parse_args()
    rows = rows_of(options.folder)
    with open(os.path.join(options.folder, "results.json"), encoding="utf-8") as file:
        document = json.load(file, parse_constant=lambda c: check(False, f"{c} is not JSON"))
    check_json(document, rows)
    check_junit(os.path.join(options.folder, "results.xml"), document, rows)
    page = read_page(os.path.join(options.folder, "index.html"))
    check_page(page, document, rows)
    for name in ("failed", "unfit"):
        wanted = getattr(options, name)
        check(wanted is None or wanted == sum(r["outcome"] == name for r in rows), f"{name} rows")
    articles = page.counts.get("article", 0)
    check(options.gallery is None or articles == options.gallery, f"a gallery of {articles}")
    check(not options.pictures or len(page.images) >= articles > 0, f"{len(page.images)} pictures")
    check(page.now <= articles, "more moments than scenes")
    if options.browser:
        check_browser(os.path.join(options.folder, "index.html"))
    print("well")


if __name__ == "__main__":
    main()
