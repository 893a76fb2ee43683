#!/usr/bin/env python3
"""Checks an export's folder against its manifest: every file is there, complete and accounted for, every scene, too.

    check_export.py FOLDER      prints "N written, M refused"
"""

import hashlib
import json
import os
import sys


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    files = {f["name"]: f for f in manifest["files"]}
    assert sorted(os.listdir(folder)) == sorted([*files, "SHA256SUMS", "manifest.json"]), os.listdir(folder)
    with open(os.path.join(folder, "SHA256SUMS"), encoding="utf-8") as file:
        sums = dict(reversed(line.rstrip("\n").split("  ")) for line in file)
    assert set(sums) == set(files)
    for name, entry in files.items():
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        assert len(data) == entry["bytes"] and hashlib.sha256(data).hexdigest() == entry["sha256"] == sums[name], name
    written = [s for s in manifest["scenes"] if "file" in s]
    refused = [s for s in manifest["scenes"] if "refused" in s]
    assert len(written) + len(refused) == len(manifest["scenes"])
    assert (len(written), len(refused)) == (manifest["written"], manifest["refused"])
    assert all(s["file"] in files and s.get("shared", s["file"]) in files for s in written)
    assert all(s["refused"] for s in refused)
    used = {s["file"] for s in written} | {s["shared"] for s in written if "shared" in s}
    assert all(name in used or entry["scenes"] == 0 for name, entry in files.items())
    own = [s["file"] for s in written if "record" not in s]
    assert manifest["format"] in ("opendrive", "csv") or len(set(own)) == len(own)
    print(f"{len(written)} written, {len(refused)} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
