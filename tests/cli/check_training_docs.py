#!/usr/bin/env python3
"""Holds docs/training.md against the program: every key of `nearmiss train --list-keys` is in its tables with the values
and defaults that the program has, nothing else is, and the first run that it shows works as it stands.

    check_training_docs.py --binary build/release/tools/nearmiss docs/training.md
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

BY_HAND = {"data.store", "data.only", "data.without", "data.simulate", "validation.data"}  # read by code, not by tables


def rows_of(text):
    """(section, key, values, default, meaning) of every row whose first cell is a key."""
    section = ""
    for line in text.splitlines():
        if line.startswith("### "):
            section = line[4:]
        found = re.match(r"^\| `([a-z0-9_.]+)` \| (.*?) \| (.*?) ?\| (.*) \|$", line)
        if found and section:
            yield (section, *found.groups())


def default_of(key):
    both = key["default"] != key["default_ego"] and key["key"] != "tokens.encoding"
    return f"{key['default']} (ego: {key['default_ego']})" if both else key["default"]


def check_tables(text, keys):
    wrong = []
    rows = {}
    for section, key, values, default, meaning in rows_of(text):
        if key in rows:
            wrong.append(f"{key} is there twice")
        rows[key] = (values, default)
        prefix = key.split(".")[0] if "." in key else "The run"
        if prefix not in section:
            wrong.append(f"{key} stands in section '{section}'")
        if len(meaning) < 8:
            wrong.append(f"{key} has no meaning")
    for key in keys:
        wanted = (key["values"], default_of(key))
        got = rows.pop(key["key"], None)
        if got != wanted:
            wrong.append(f"{key['key']} is {got}, the program has {wanted}")
    if set(rows) != BY_HAND:
        wrong.append(f"keys read by hand are {sorted(rows)}, not {sorted(BY_HAND)}")
    return wrong


def run_example(text, binary):
    """Runs the commands, the training for two steps only, and says what went wrong."""
    commands = re.search(r"```sh\n(.*?)```", text, re.DOTALL).group(1).splitlines()
    configuration = re.search(r"```json\n(.*?)```", text, re.DOTALL).group(1)
    with tempfile.TemporaryDirectory(prefix="nearmiss-docs-") as folder:
        with open(os.path.join(folder, "small.json"), "w", encoding="utf-8") as file:
            file.write(configuration)
        for command in commands:
            words = shlex.split(command)
            words[0] = binary
            words += ["--steps", "2", "--json"] if words[1] == "train" else ["--quiet"]
            result = subprocess.run(words, cwd=folder, capture_output=True, text=True)
            if result.returncode != 0:
                return [f"{command}: status {result.returncode}\n{result.stderr}"]
        document = json.loads(result.stdout)
        parameters = re.search(r"steps, (\d+) parameters", text).group(1)
        if document["steps"] != 2 or document["parameters"] != int(parameters):
            return [f"the example has {document}, the text says {parameters} parameters"]
        missing = [name for name in re.findall(r"^\| `([a-z]+\.[a-z]+)`", text, re.MULTILINE)
                   if not name.startswith("state") and re.search(r"\.(json|csv|safetensors)$", name)
                   and not os.path.exists(os.path.join(folder, "run", name))]
        return [f"the run left no {name}" for name in missing]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("document")
    options = parser.parse_args()
    binary = os.path.abspath(options.binary)
    with open(options.document, encoding="utf-8") as file:
        text = file.read()
    listed = subprocess.run([binary, "train", "--list-keys", "--json"], capture_output=True, text=True, check=True)
    keys = json.loads(listed.stdout)["keys"]
    wrong = check_tables(text, keys) if len(keys) > 50 else ["the program lists hardly any keys"]
    wrong += run_example(text, binary)
    print("\n".join(wrong) if wrong else f"{len(keys)} keys: ok")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
