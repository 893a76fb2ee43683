#!/usr/bin/env python3
"""Runs a fenced piece of Python out of a document: what it shows is what works.

    run_docs.py FILE NAME     the first block ```python whose first line is "# NAME: ..."
"""

import importlib.util
import re
import sys


NEEDS = {"google.protobuf": "the protobuf package of Python is missing", "commonroad.": "commonroad-io is not installed"}


def available(module):
    try:
        return importlib.util.find_spec(module.rstrip(".")) is not None
    except ModuleNotFoundError:
        return False


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        blocks = re.findall(r"^```python\n(# (\S+): .*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    found = [text for text, name in blocks if name == sys.argv[2]]
    assert len(found) == 1, f"{len(found)} blocks are named {sys.argv[2]}"
    for module, reason in NEEDS.items():
        if module in found[0] and not available(module):
            print(f"skipped: {reason}", file=sys.stderr)
            return 1  # run.py skips a case that fails with this reason
    sys.path.insert(0, ".")
    exec(compile(found[0], sys.argv[1], "exec"), {"__name__": "__main__"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
