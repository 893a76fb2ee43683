#!/usr/bin/env python3
"""One denoising pass of the published network: PyTorch beside nearmiss, on this machine, in one run.

    pip install "numpy<2" torch==1.13.1          # or any other PyTorch
    tools/compare_torch.py                       # after tools/quickstart or a release build

The PyTorch network is the one of tests/nexus/bench_torch.py, checked against the golden files before it is timed, in
float32 and evaluation mode, on all cores. The two take turns, so that a busy machine slows both. Exit status 0, or 1
when one of them could not run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def run(command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        sys.exit(f"compare_torch: {command[0]} can not be run: {error.strerror}")
    if done.returncode != 0:
        sys.exit(f"compare_torch: {command[0]} ended with status {done.returncode}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nearmiss", default=os.path.join(ROOT, "build/release/tools/nearmiss"), help="the program")
    parser.add_argument("--rounds", type=int, default=3, help="turns each takes; medians count; default 3")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is a number from 1 on")
    ours, theirs = {}, {}
    for _ in range(options.rounds):
        bench = run([options.nearmiss, "bench", "denoise", "--json"])
        for row in bench["rows"]:
            ours.setdefault(row["name"], []).append(row["value"])
        torch = run([sys.executable, os.path.join(ROOT, "tests/nexus/bench_torch.py")])
        for name, value in torch.items():
            if name.startswith("pass_ms."):
                theirs.setdefault(name, []).append(value)
    print(f"{bench['machine']['cpu']}, {bench['machine']['cores']} cores; PyTorch {torch['torch']}, float32")
    print(f"{'tokens':<10}{'PyTorch ms':>12}{'f32 ms':>10}{'ratio':>8}{'bf16 ms':>10}{'ratio':>8}")
    for name, values in sorted(theirs.items()):
        reference = statistics.median(values)
        cells = f"{name.removeprefix('pass_ms.'):<10}{reference:>12.1f}"
        for precision in ("f32", "bf16"):
            own = ours.get(f"{name}.{precision}")
            cells += f"{statistics.median(own):>10.2f}{reference / statistics.median(own):>8.1f}" if own else " " * 18
        print(cells)


if __name__ == "__main__":
    main()
