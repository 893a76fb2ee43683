#!/usr/bin/env python3
"""Counts agents and agent states in CommonRoad files, independently of the importer: nothing but Python's expat.

    count_commonroad.py FILE|ARCHIVE|FOLDER...

One line a document, "NAME AGENTS STATES", sorted by name, then "total SCENES AGENTS STATES". An agent is a dynamic
obstacle (2020a: dynamicObstacle; 2018b: obstacle with role dynamic); its states are the initial one and those of its
trajectory.
"""
import os
import sys
import tarfile
import xml.etree.ElementTree as ElementTree


def count(stream):
    agents = states = 0
    inside = dynamic = False
    own = 0
    for event, element in ElementTree.iterparse(stream, events=("start", "end")):
        tag = element.tag
        if event == "start":
            if tag in ("dynamicObstacle", "obstacle"):
                inside, dynamic, own = True, tag == "dynamicObstacle", 0
            continue
        if inside and tag == "role":
            dynamic = element.text.strip() == "dynamic"
        elif inside and tag in ("initialState", "state"):
            own += 1
        elif tag in ("dynamicObstacle", "obstacle"):
            inside = False
            if dynamic:
                agents += 1
                states += own
        if not inside or tag in ("initialState", "state"):
            element.clear()
    return agents, states


def documents(path):
    if os.path.isdir(path):
        for folder, _, names in os.walk(path):
            for name in names:
                if name.endswith(".xml"):
                    with open(os.path.join(folder, name), "rb") as stream:
                        yield name, stream
    elif path.endswith(".xml"):
        with open(path, "rb") as stream:
            yield os.path.basename(path), stream
    else:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".xml"):
                    yield os.path.basename(member.name), archive.extractfile(member)


def main():
    rows = []
    for path in sys.argv[1:]:
        for name, stream in documents(path):
            rows.append((name, *count(stream)))
    for row in sorted(rows):
        print(*row)
    print("total", len(rows), sum(row[1] for row in rows), sum(row[2] for row in rows))


if __name__ == "__main__":
    main()
