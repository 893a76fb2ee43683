#!/usr/bin/env python3
"""Kills `nearmiss import` (SIGKILL) at random moments: the store must stay sound, and the same command must complete it.

    kill_import.py --binary build/release/tools/nearmiss --kills 50 [--seed S] [--files N] [FILE...]

Without FILE, made-up CommonRoad files are imported, some of them inside an archive. After each kill: SQLite's integrity
and foreign keys, `nearmiss stats --check` (indexes, words, every blob decoded and compared), and every scene there must
be one of the whole. Once an import ends by itself, its store must hold exactly what an undisturbed import gives, with
the same numbers in the same order; then a new store is begun.
"""

import argparse
import io
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time

LANE = """<lanelet id="1"><leftBound><point><x>0</x><y>3.5</y></point><point><x>{length}</x><y>3.5</y></point></leftBound>
<rightBound><point><x>0</x><y>0</y></point><point><x>{length}</x><y>0</y></point></rightBound></lanelet>
"""
STATE = """<{name}><position><point><x>{x:.2f}</x><y>{y:.3f}</y></point></position><orientation><exact>{h:.4f}</exact>
</orientation><time><exact>{t}</exact></time><velocity><exact>{v:.3f}</exact></velocity></{name}>
"""


def scenario(number, rng):
    """One CommonRoad document: a lane on one of a few maps, and some cars."""
    text = [f'<commonRoad commonRoadVersion="2018b" benchmarkID="ZAM_Kill-{number}_1" date="2020-01-01" author="test" '
            f'affiliation="test" source="made up" timeStepSize="0.1" tags="highway">',
            LANE.format(length=100 + 50 * (number % 7))]
    for car in range(rng.randint(2, 8)):
        text.append(f'<obstacle id="{10 + car}"><role>dynamic</role><type>car</type><shape><rectangle><length>4.5</length>'
                    '<width>1.8</width></rectangle></shape>')
        v = rng.uniform(1, 20)
        for t in range(30):
            state = STATE.format(name="initialState" if t == 0 else "state", x=10 * car + 0.1 * v * t,
                                 y=rng.uniform(0, 3.5), h=rng.uniform(-0.1, 0.1), t=t, v=v)
            text.append(state if t != 1 else "<trajectory>" + state)
        text.append("</trajectory></obstacle>")
    text.append("</commonRoad>\n")
    return "".join(text).encode()


def make_inputs(folder, count, rng):
    """Half of the files in a folder, half in an archive between them."""
    loose = os.path.join(folder, "logs")
    os.mkdir(loose)
    with tarfile.open(os.path.join(loose, "middle.tar.xz"), "w:xz", preset=0) as archive:
        for number in range(count):
            content = scenario(number, rng)
            name = f"{'a' if number % 4 == 0 else 'z'}{number:05}.xml"
            if number % 2:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                with open(os.path.join(loose, name), "wb") as file:
                    file.write(content)
    return [loose]


def contents(store):
    database = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    rows = database.execute("SELECT id, file, record, scene_name, content_hash, map FROM scene ORDER BY id").fetchall()
    done = database.execute("SELECT file, file_bytes, file_hash, scenes FROM imported ORDER BY file").fetchall()
    database.close()
    return rows, done


def check(binary, store, whole):
    """Returns what is wrong with the store of a killed import, and how many scenes it holds."""
    if not os.path.exists(store) or os.path.getsize(store) == 0:
        return [], 0  # killed before there was anything
    database = sqlite3.connect(store)  # as any program would: this replays what was left in the log
    if database.execute("PRAGMA application_id").fetchone()[0] == 0:
        tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        return ([f"{tables} tables without our mark"] if tables else []), 0
    wrong = [row[0] for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
    wrong += [f"foreign key: {row}" for row in database.execute("PRAGMA foreign_key_check")]
    database.close()
    stats = subprocess.run([binary, "stats", "--store", store, "--check", "--json"], capture_output=True, text=True)
    if stats.returncode != 0:
        wrong.append(f"stats --check: {stats.stderr.strip()}")
    rows, done = contents(store)
    if rows != whole[0][:len(rows)]:
        wrong.append("the scenes there are not the first ones of the whole import")
    if not set(done) <= set(whole[1]):
        wrong.append("files are marked as done that are not part of the whole import")
    if not wrong and json.loads(stats.stdout)["scenes"] != len(rows):
        wrong.append("stats counts otherwise")
    return wrong, len(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=500, help="made-up files to import")
    parser.add_argument("input", nargs="*")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    print(f"seed {options.seed}, {options.kills} kills")
    with tempfile.TemporaryDirectory(prefix="nearmiss-kill-") as folder:
        inputs = [os.path.abspath(path) for path in options.input] or make_inputs(folder, options.files, rng)
        store = os.path.join(folder, "whole.db")

        def command(path):
            return [options.binary, "import", *inputs, "--store", path, "--json"]

        start = time.monotonic()
        first = subprocess.run(command(store), capture_output=True, text=True)
        seconds = time.monotonic() - start
        if first.returncode != 0:
            sys.exit(f"the undisturbed import failed: {first.stderr}")
        whole = contents(store)
        print(f"undisturbed: {len(whole[0])} scenes in {seconds:.2f} s")
        kills = completed = stores = 0
        attempt = None
        while kills < options.kills or completed == 0:
            if attempt is None:
                stores += 1
                attempt = os.path.join(folder, f"killed{stores}.db")
            # at the end of the kills one more run, which is let through
            patience = rng.uniform(0, seconds) if kills < options.kills else 600
            process = subprocess.Popen(command(attempt), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                _, err = process.communicate(timeout=patience)
                if process.returncode != 0:
                    sys.exit(f"an import that was not killed failed: {err}")
                differing = [(a, b) for got, want in zip(contents(attempt), whole)
                             for a, b in itertools.zip_longest(got, want) if a != b]
                if differing:
                    sys.exit(f"the completed import differs from the undisturbed one: {differing[:3]}")
                completed += 1
                attempt = None
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                wrong, scenes = check(options.binary, attempt, whole)
                print(f"kill {kills} after {patience:.3f} s: {scenes} scenes")
                if wrong:
                    sys.exit("\n".join(wrong))
        print(f"{kills} kills, {completed} imports completed afterwards, all sound, no duplicates")
    return 0


if __name__ == "__main__":
    sys.exit(main())
