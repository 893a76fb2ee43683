#!/usr/bin/env python3
"""Runs the `nearmiss` binary as users do and checks what it prints and how it ends.

    run.py --binary build/release/tools/nearmiss tests/cli/basics.toml

A file of cases is a sequence of [[case]] tables run in order in one fresh folder, so that a later case finds what an
earlier one made. Keys of a case:

    name          what is being shown (required)
    run           arguments of nearmiss, split as a shell would; or
    shell         a whole line for bash, where $NM is the binary, $SHARED the folder of optional data, $TESTS that of
                  the tests
    status        the exit status wanted (default 0)
    out, err      exact text of standard output, of standard error
    out_has, err_has          texts that must occur
    out_lacks, err_lacks      texts that must not
    out_matches, err_matches  regular expressions (searched, multi-line)
    json          {"a.b.0": value}: members of the one document on standard output; floats to 1e-9
    files         exact names in the folder afterwards, sorted
    interrupt     seconds after which SIGINT is sent; status then defaults to 1
    needs         data file under $SHARED without which the case is skipped
    skip_err      regular expression: a case that fails with this on standard error is skipped, saying so

Whatever the case says, these rules hold for every run: the status is 0, 1 or 2; 1 and 2 come with a message on standard
error that begins with "nearmiss"; 2 leaves standard output empty; with --json a 0 comes with exactly one JSON document;
no control characters reach either stream.
"""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import tomllib

KEYS = {"name", "run", "shell", "status", "out", "err", "out_has", "err_has", "out_lacks", "err_lacks", "out_matches",
        "err_matches", "json", "files", "interrupt", "needs", "skip_err"}
SKIPPED = 77
TIMEOUT = 100
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def one_document(text):
    """Parses exactly one JSON document, refusing the NaN and Infinity that Python would take."""

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def member(document, path):
    for part in path.split("."):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def same(got, wanted):
    if isinstance(wanted, float) and isinstance(got, (int, float)):
        return abs(got - wanted) <= 1e-9 * max(1.0, abs(wanted))
    return type(got) is type(wanted) and got == wanted


def aslist(value):
    return value if isinstance(value, list) else [value]


class Skip(Exception):
    """What a case needs and this machine lacks."""


class Runner:
    def __init__(self, binary, shared, folder):
        self.folder = folder
        self.shared = shared
        self.environment = dict(os.environ, NM=binary, SHARED=shared, TESTS=TESTS, LC_ALL="C.UTF-8")
        self.binary = binary

    def execute(self, case):
        if "shell" in case:
            command = ["bash", "-c", case["shell"]]
        else:
            command = [self.binary, *shlex.split(case["run"])]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            if "interrupt" in case:
                try:
                    process.wait(case["interrupt"])
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None, "", f"still running after {TIMEOUT} s"
        return process.returncode, out.decode("utf-8", "strict"), err.decode("utf-8", "strict")

    def check(self, case):
        """Returns the list of what is wrong."""
        status, out, err = self.execute(case)
        wrong = []
        missing = re.search(case["skip_err"], err) if status == 1 and "skip_err" in case else None
        if missing:
            raise Skip(missing.group(0))
        wanted = case.get("status", 1 if "interrupt" in case else 0)
        if status != wanted:
            wrong.append(f"exit status {status}, wanted {wanted}")
        plain = "run" in case
        document = None
        if plain:
            wrong += self.rules(case, status, out, err)
        if "json" in case or (plain and "--json" in shlex.split(case["run"]) and status == 0):
            try:
                document = one_document(out)
            except ValueError as trouble:
                wrong.append(f"not one JSON document: {trouble}")
        for path, value in case.get("json", {}).items():
            try:
                got = member(document, path)
            except (KeyError, IndexError, TypeError, ValueError):
                wrong.append(f"JSON has no {path}")
                continue
            if not same(got, value):
                wrong.append(f"JSON {path} is {got!r}, wanted {value!r}")
        for stream, text in (("out", out), ("err", err)):
            if stream in case and text != case[stream]:
                wrong.append(f"std{stream} differs")
            wrong += [f"std{stream} lacks {t!r}" for t in aslist(case.get(f"{stream}_has", [])) if t not in text]
            wrong += [f"std{stream} has {t!r}" for t in aslist(case.get(f"{stream}_lacks", [])) if t in text]
            wrong += [f"std{stream} does not match {t!r}" for t in aslist(case.get(f"{stream}_matches", []))
                      if not re.search(t, text, re.MULTILINE)]
        if "files" in case:
            names = sorted(os.listdir(self.folder))
            if names != sorted(case["files"]):
                wrong.append(f"the folder holds {names}, wanted {sorted(case['files'])}")
        if wrong:
            wrong.append(f"status {status}\n--- stdout\n{out[-3000:]}--- stderr\n{err[-3000:]}---")
        return wrong

    @staticmethod
    def rules(case, status, out, err):
        wrong = []
        if status not in (0, 1, 2):
            wrong.append(f"exit status {status} is none of 0, 1, 2")
        if status in (1, 2) and not re.search(r"^nearmiss", err, re.MULTILINE):
            wrong.append("no message on standard error")
        if status == 2 and out:
            wrong.append("a usage error printed to standard output")
        if status == 1 and "--json" in case["run"] and out:
            try:
                one_document(out)  # a partial result is fine, but it must be a document
            except ValueError as trouble:
                wrong.append(f"not one JSON document: {trouble}")
        for stream, text in (("stdout", out), ("stderr", err)):
            if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
                wrong.append(f"control characters on {stream}")
        return wrong


def check_every_command(binary):
    """The promises that hold for all commands: --help with an example, no unknown options, listed in the overview."""
    wrong = []
    overview = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    listed = re.search(r"Commands:\n((?:  \S.*\n)+)", overview)
    commands = re.findall(r"^  (\S+)", listed.group(1), re.MULTILINE) if listed else []
    if not commands:
        wrong.append("the overview lists no commands")
    for command in commands:
        for arguments in ([command, "--help"], ["help", command], [command, "-h"]):
            result = subprocess.run([binary, *arguments], capture_output=True, text=True)
            if result.returncode != 0 or result.stderr:
                wrong.append(f"{arguments}: status {result.returncode}, stderr {result.stderr!r}")
            for part in (f"Usage: nearmiss {command}", "Example:\n  ", "--json", "--threads"):
                if part not in result.stdout:
                    wrong.append(f"{arguments}: the help lacks {part!r}")
        for arguments in ([command, "--no-such-option"], [command, "--threads", "many"], [command, "--threads", "-1"],
                          [command, "--device", "abacus"]):
            result = subprocess.run([binary, *arguments], capture_output=True, text=True)
            if result.returncode != 2 or result.stdout or not result.stderr.startswith(f"nearmiss {command}:"):
                wrong.append(f"{arguments}: status {result.returncode}, {result.stderr!r}, stdout {result.stdout!r}")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--shared", default=os.environ.get("NM_SHARED", ""))
    parser.add_argument("--every-command", action="store_true", help="check the promises that hold for all commands")
    parser.add_argument("cases", nargs="?")
    options = parser.parse_args()
    binary = os.path.abspath(options.binary)
    if options.every_command:
        wrong = check_every_command(binary)
        print("\n".join(wrong) if wrong else "every command: ok")
        return 1 if wrong else 0
    with open(options.cases, "rb") as file:
        cases = tomllib.load(file)["case"]
    failed = skipped = 0
    with tempfile.TemporaryDirectory(prefix="nearmiss-cli-") as folder:
        runner = Runner(binary, os.path.abspath(options.shared), folder)
        for case in cases:
            unknown = set(case) - KEYS
            if unknown or ("run" in case) == ("shell" in case) or "name" not in case:
                sys.exit(f"{options.cases}: bad case {case.get('name', case)}: {sorted(unknown)}")
            if "needs" in case and not os.path.exists(os.path.join(runner.shared, case["needs"])):
                print(f"skip  {case['name']}: {case['needs']} is not there")
                skipped += 1
                continue
            try:
                wrong = runner.check(case)
            except Skip as reason:
                print(f"skip  {case['name']}: {reason}")
                skipped += 1
                continue
            print(f"{'FAIL' if wrong else 'ok  '}  {case['name']}")
            for line in wrong:
                print(f"      {line}")
            failed += bool(wrong)
    print(f"{len(cases) - failed - skipped} ok, {failed} failed, {skipped} skipped")
    if failed:
        return 1
    return SKIPPED if skipped == len(cases) else 0


if __name__ == "__main__":
    sys.exit(main())
