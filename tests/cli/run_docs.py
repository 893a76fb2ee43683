#!/usr/bin/env python3
"""Runs a fenced piece of Python out of a document: what it shows is what works.

    run_docs.py FILE NAME     the first block ```python whose first line is "# NAME: ..."
"""

import importlib.util
import re
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        blocks = re.findall(r"^```python\n(# (\S+): .*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    found = [text for text, name in blocks if name == sys.argv[2]]
    assert len(found) == 1, f"{len(found)} blocks are named {sys.argv[2]}"
    if "google.protobuf" in found[0] and not importlib.util.find_spec("google.protobuf"):
        print("skipped: the protobuf package of Python is missing", file=sys.stderr)
        return 77
    sys.path.insert(0, ".")
    exec(compile(found[0], sys.argv[1], "exec"), {"__name__": "__main__"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
